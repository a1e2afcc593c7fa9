"""Who may watch is asked before anything else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.rtsp.worker.auth import MOST_REFUSED
from tests.clients import RawClient
from tests.outputs.rtsp.conftest import until

if TYPE_CHECKING:
    from tests.outputs.rtsp.conftest import Rig, Serving
    from tests.streams import NumberedStream

USERS = {"anna": "s3cret"}


@pytest.fixture
def guarded(rig: Rig, stream: NumberedStream) -> Serving:
    """Give a server that asks for a login, with the stream at /cam."""
    serving = rig.serve(users=USERS)
    serving.mount("/cam", stream.hub)
    return serving


def log_in(client: RawClient, password: str = USERS["anna"]) -> int:
    """Ask for the SDP with a login, and give the status."""
    challenge = client.describe().headers["www-authenticate"]
    login = client.login("anna", password, challenge)
    return client.ask("DESCRIBE", Accept="application/sdp", Authorization=login).status


@pytest.mark.parametrize(
    "method",
    ["DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "RECORD"],
)
def test_paths_that_are_there_answer_as_those_that_are_not(guarded: Serving, method: str) -> None:
    """Who has no login learns from no request which streams there are."""
    answers = []
    for path in ("/cam", "/nothing"):
        with RawClient(guarded.url(path)) as client:
            reply = client.ask(method, Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
            headers = {**reply.headers, "date": ""}
            headers["www-authenticate"] = re.sub('nonce="[^"]*"', "", headers["www-authenticate"])
            answers.append((reply.status, headers, reply.body))

    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.parametrize("method", ["PLAY", "PAUSE", "TEARDOWN"])
def test_a_session_is_nobody_elses(guarded: Serving, method: str) -> None:
    """Who has seen its number, and has no login, cannot pause or end it."""
    with RawClient(guarded.url()) as viewer, RawClient(guarded.url()) as stranger:
        assert log_in(viewer) == 200
        control = f"{viewer.url}/stream=0"
        transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
        challenge = viewer.ask("SETUP", control, Transport=transport).headers["www-authenticate"]
        login = viewer.login("anna", USERS["anna"], challenge, method="SETUP")
        setup = viewer.ask("SETUP", control, Transport=transport, Authorization=login)
        assert setup.status == 200
        # This connection has logged in.
        assert viewer.ask("PLAY", Range="npt=0-").status == 200
        stranger.session = viewer.session

        assert stranger.ask(method).status == 401
        until(lambda: guarded.viewers() == 1)
        assert viewer.ask("GET_PARAMETER").status == 200


def test_guesses_are_not_listened_to_after_five(
    guarded: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even the right one, for ten seconds; then one at a time. It is logged once."""
    auth = guarded.server._auth
    assert auth is not None
    now = 1000.0
    auth._clock = lambda: now
    for _ in range(5):
        with RawClient(guarded.url()) as client:
            assert log_in(client, "wrong") == 401
    with RawClient(guarded.url()) as client:
        assert [log_in(client) for _ in range(MOST_REFUSED)] == [401] * MOST_REFUSED
        client.send("DESCRIBE", Authorization=client.login("anna", "wrong", 'realm="" nonce=""'))
        client.wait_closed()
    assert guarded.server.failed_logins() == 5
    (said,) = [one.message for one in caplog.records if "Wrong login" in one.message]
    assert said.startswith(f"Wrong login at the RTSP server on port {guarded.port} from 127.0.0.1.")

    now += 11
    with RawClient(guarded.url()) as client:
        assert log_in(client) == 200


def test_who_has_logged_in_goes_on_while_others_guess(guarded: Serving) -> None:
    """From the same address, as behind a router or a tunnel."""
    with RawClient(guarded.url()) as viewer:
        assert log_in(viewer) == 200
        for _ in range(6):
            with RawClient(guarded.url()) as client:
                assert log_in(client, "wrong") == 401
        assert viewer.ask("GET_PARAMETER").status == 200


def test_clients_that_are_gone_are_forgotten(guarded: Serving) -> None:
    """Nothing is kept of a connection that has ended."""
    auth = guarded.server._auth
    assert auth is not None
    with RawClient(guarded.url()) as client:
        assert log_in(client) == 200
        assert len(auth._connections) == 1
    until(lambda: not auth._connections)
