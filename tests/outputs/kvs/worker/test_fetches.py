from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.messages import Fetch, write_message
from backpack._outputs.kvs.shared.api import Operation, write_request
from backpack._outputs.kvs.worker import fetches
from tests.outputs.kvs.worker.rig import Rig, head_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.kvs_server.server import KVSServer


def describe(server: KVSServer, endpoint: str | None = None, number: int = 7) -> Fetch:
    """Ask what the stream is."""
    request = write_request(Operation.DESCRIBE_STREAM, server.url, {"StreamName": "test"})
    head = head_of(request).decode("latin-1")
    return Fetch(number, endpoint or server.url, head, request.body.decode())


def test_a_signed_request_is_sent_and_answered(server: KVSServer, rig: Rig) -> None:
    """While the stream goes on; the far side's clock comes with it."""
    rig.frames(1, 15)
    fetched = rig.fetch(describe(server))

    assert (fetched.number, fetched.status, fetched.trouble) == (7, 200, "")
    assert json.loads(fetched.body)["StreamInfo"]["StreamName"] == "test"
    assert fetched.skew_seconds is not None
    assert abs(fetched.skew_seconds) < 30
    rig.finish()
    assert rig.numbers()["frames_persisted"] == 15


def test_a_refusal_is_told_by_its_name(server: KVSServer, rig: Rig) -> None:
    """As AWS gives it."""
    message = describe(server)
    server.keys.clear()
    fetched = rig.fetch(message)

    assert (fetched.status, fetched.error_type) == (403, "UnrecognizedClientException")
    assert "token" in fetched.body


@pytest.mark.parametrize("endpoint", ["https://example.com", "http://10.0.0.1", "ftp://localhost"])
def test_nothing_is_sent_elsewhere(server: KVSServer, rig: Rig, endpoint: str) -> None:
    """A signature is good for whoever has it."""
    fetched = rig.fetch(describe(server, endpoint))

    assert (fetched.number, fetched.status) == (7, 0)
    assert endpoint in fetched.trouble


def test_no_answer_is_an_answer(
    server: KVSServer, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a host that refuses, and of one that hangs; the stream goes on meanwhile."""
    refusing = rig.fetch(describe(server, "http://127.0.0.1:1"))
    # Longer than a busy machine takes for a fragment.
    monkeypatch.setattr(fetches, "FETCH_SECONDS", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        rig.upload.on_message(write_message(describe(server, f"http://127.0.0.1:{port}")))
        rig.frames(1, 15)
        rig.wait(lambda numbers: numbers["fragments_persisted"])
        assert len(rig.signer.fetched) == 1
        wait_for(lambda: len(rig.signer.fetched) == 2)

    assert "connection refused" in refusing.trouble
    assert "no answer" in rig.signer.fetched[1].trouble


def test_what_is_under_way_at_the_end_is_answered(server: KVSServer, rig: Rig) -> None:
    """And what is too much at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for number in range(fetches.MOST_AT_ONCE + 1):
            rig.upload.on_message(write_message(describe(server, endpoint, number)))
        wait_for(lambda: rig.signer.fetched)
        assert rig.signer.fetched[0].number == fetches.MOST_AT_ONCE
        rig.close()

    assert len(rig.signer.fetched) == fetches.MOST_AT_ONCE + 1
    assert "closed" in rig.signer.fetched[-1].trouble
