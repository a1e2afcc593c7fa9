from __future__ import annotations

import gc
import http.client
import json
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.web.settings import WebServerSettings
from backpack._outputs.web.worker.webrtc.offer import LARGEST_OFFER_BYTES
from backpack.errors import SettingsError
from tests.outputs.web.rig import TOKEN
from tests.outputs.web.worker.webrtc.offers import CHROMIUM, USER, spoilt
from tests.waiting import open_descriptors, wait_for

if TYPE_CHECKING:
    from tests.outputs.web.rig import Answer, Rig, Serving
    from tests.streams import NumberedStream

pytest.importorskip("backpack._gst.webrtc", exc_type=ImportError)

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = b"a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"


def post(serving: Serving, body: bytes = CHROMIUM, path: str = "/cam/whep") -> Answer:
    """Offer something."""
    return serving.ask(path, method="POST", headers=SDP, body=body)


def test_an_offer_is_answered(serving: Serving) -> None:
    """With the session's address, a tag for ICE, and an answer that says where we listen."""
    answer = post(serving)

    assert answer.status == 201
    assert answer.headers["Content-Type"].startswith("application/sdp")
    assert answer.headers["Location"].startswith("/cam/whep/")
    assert answer.headers["ETag"].startswith('"')
    lines = answer.text.splitlines()
    assert [line for line in lines if line.startswith("m=audio 0 ")]
    assert [line for line in lines if line.startswith("m=video 9 UDP/TLS/RTP/SAVPF 108 109")]
    assert len([line for line in lines if line.startswith("a=candidate:")]) == 1
    assert "a=sendonly" in lines
    assert serving.ask(answer.headers["Location"], method="DELETE").status == 200


def test_no_name_of_this_machine_is_told(serving: Serving) -> None:
    """GStreamer would write user and host into each description."""
    answer = post(serving).text

    assert "cname:spyglass" in answer
    assert "@" not in answer


def test_options_say_what_is_taken(serving: Serving) -> None:
    """An offer."""
    answer = serving.ask("/cam/whep", method="OPTIONS")

    assert answer.status == 204
    assert answer.headers["Accept-Post"] == "application/sdp"
    assert "POST" in answer.headers["Allow"]


def test_candidates_are_taken(serving: Serving) -> None:
    """For the session of ICE that there is; another one cannot be begun."""
    made = post(serving)
    where, tag = made.headers["Location"], made.headers["ETag"]

    def patch(body: bytes = CANDIDATE, **headers: str) -> int:
        given = {**FRAGMENT, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return serving.ask(where, method="PATCH", headers=given, body=body).status

    own = f"a=ice-ufrag:{USER}\r\n".encode()
    assert patch(If_Match=tag) == 204
    assert patch(own + CANDIDATE, If_Match=tag) == 204
    assert patch() == 428
    assert patch(If_Match='"other"') == 412
    assert patch(If_Match="*") == 422
    assert patch(b"a=ice-ufrag:EsAw\r\n", If_Match=tag) == 422
    assert patch(b"\xff", If_Match=tag) == 400
    assert patch(b"a" * (LARGEST_OFFER_BYTES + 1), If_Match=tag) == 413
    assert patch(If_Match=tag, Content_Type="text/plain") == 415
    assert serving.ask("/cam/whep/none", method="PATCH", headers=FRAGMENT).status == 404


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [
        (b"hello", "/cam/whep", 400),
        (b"", "/cam/whep", 400),
        (CHROMIUM.replace(b"H264", b"H265"), "/cam/whep", 406),
        (CHROMIUM + b"a=x\r\n" * 8000, "/cam/whep", 413),
        (CHROMIUM, "/nothing/whep", 404),
        (CHROMIUM, "/cam/whep/more", 405),
    ],
)
def test_what_cannot_be_is_refused(serving: Serving, body: bytes, path: str, status: int) -> None:
    """With a sentence that says why."""
    answer = post(serving, body, path)

    assert answer.status == status
    assert answer.text.strip().endswith(".")


def test_an_offer_of_unknown_length_has_the_same_limit(serving: Serving) -> None:
    """Sent in chunks it is cut off as well."""
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
    headers = {**SDP, "Authorization": f"Bearer {serving.settings.token}"}
    chunks = (b"a=x\r\n" * 100 for _ in range(90))
    connection.request("POST", "/cam/whep", body=chunks, headers=headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_an_offer_that_does_not_come_is_not_waited_for(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender is told so, and the connection ends."""
    monkeypatch.setattr("backpack._outputs.web.worker.whep.BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as line:
        line.sendall(
            f"POST /cam/whep HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/sdp\r\nContent-Length: 100\r\n\r\nv=0".encode()
        )
        answer = b""
        while chunk := line.recv(4096):
            answer += chunk

    assert b" 408 " in answer[:20]


def test_only_an_offer_is_taken(serving: Serving) -> None:
    """Another type is refused by its name, another method by its own."""
    assert serving.ask("/cam/whep", method="POST", body=CHROMIUM).status == 415
    assert serving.ask("/cam/whep").status == 405
    assert serving.ask("/cam/whep", method="PUT", headers=SDP, body=CHROMIUM).status == 405


@pytest.mark.parametrize("ports", [(0, 5), (9, 8), (1, 65536), (5000,), "ab", 5000, (1.5, 2)])
def test_ports_that_cannot_be_are_refused(ports: object) -> None:
    """And those that can be reach the streaming process."""
    settings = WebServerSettings(token="x" * 16, udp_ports=ports)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="udp_ports"):
        settings.validate()
    good = WebServerSettings(token="x" * 16, udp_ports=(5000, 5000))
    good.validate()
    assert WebServerSettings.from_dict(json.loads(json.dumps(good.to_dict()))) == good


def test_who_may_not_watch_gets_no_session(serving: Serving) -> None:
    """Without a token, with a wrong one, or sent by a page of another server."""
    wrong = {**SDP, "Authorization": "Bearer wrong"}
    foreign = {**SDP, "Origin": "https://evil.example"}
    own = {**SDP, "Origin": f"http://127.0.0.1:{serving.port}"}

    def ask(headers: dict[str, str], *, login: bool = True) -> int:
        return serving.ask(
            "/cam/whep", method="POST", headers=headers, body=CHROMIUM, login=login
        ).status

    assert ask(SDP, login=False) == 401
    assert ask(wrong, login=False) == 401
    assert ask(foreign) == 403
    assert ask(own) == 201


def test_a_session_belongs_to_who_knows_its_address(serving: Serving) -> None:
    """And a stream's sessions are not another one's."""
    where = post(serving).headers["Location"]

    assert serving.ask(where, method="DELETE", login=False).status == 401
    assert serving.ask(where.replace("/cam/", "/other/"), method="DELETE").status == 404
    assert serving.ask("/cam/whep/guess", method="DELETE").status == 404
    assert serving.ask(where, method="DELETE").status == 200


def test_there_is_a_limit_to_sessions(rig: Rig, stream: NumberedStream) -> None:
    """In all, and from one address; who goes makes room."""
    for settings, most in (({"max_viewers": 2}, 2), ({}, 16)):
        serving = rig.serve(**settings)
        serving.mount("/cam", stream.hub)
        made = [post(serving) for _ in range(most)]
        assert [one.status for one in made] == [201] * most
        refused = post(serving)
        assert refused.status == 503
        assert refused.headers["Retry-After"]
        serving.ask(made[0].headers["Location"], method="DELETE")
        assert post(serving).status == 201


def test_spoilt_offers_break_nothing(rig: Rig, stream: NumberedStream) -> None:
    """Whatever comes is answered, and then a right offer as well."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    random_ = random.Random(12)
    statuses = set()
    for _ in range(150):
        answer = post(serving, spoilt(random_))
        statuses.add(answer.status)
        if answer.status == 201:
            serving.ask(answer.headers["Location"], method="DELETE")

    assert statuses == {201, 400, 406}
    assert post(serving).status == 201


def test_sessions_leave_nothing_behind(serving: Serving) -> None:
    """Two hundred made and taken down: threads, descriptors and memory are as before."""

    def one() -> None:
        where = post(serving).headers["Location"]
        assert serving.ask(where, method="DELETE").status == 200

    def growth() -> int:
        start = _memory_kb()
        for _ in range(170):
            one()
        gc.collect()
        return _memory_kb() - start

    for _ in range(30):
        one()
    before = _threads(), open_descriptors()
    # A leak grows in every round; the heap of a process that has run other tests in one.
    assert any(growth() < 8_000 for _ in range(3))
    wait_for(lambda: _threads() <= before[0] + 2, what="threads stay")
    wait_for(lambda: open_descriptors() <= before[1] + 2, what="descriptors stay")


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def _memory_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4
