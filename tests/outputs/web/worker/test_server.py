from __future__ import annotations

import base64
import contextlib
import http.client
import json
import random
import re
import socket
import threading
import time
import zlib
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._media.hub import Hub
from backpack._outputs.serving.worker.connections import ConnectionLimits
from backpack._outputs.web.settings import WebServerSettings
from backpack._outputs.web.worker.connections import Limits
from backpack._outputs.web.worker.server import Server
from backpack.errors import AddressInUseError, SettingsError, StateError
from tests.outputs.web.rig import TOKEN
from tests.streams import source_of
from tests.waiting import open_descriptors, threads_named, wait_for

if TYPE_CHECKING:
    from tests.outputs.web.rig import Answer, Rig, Serving
    from tests.streams import NumberedStream


def basic(login: str) -> dict[str, str]:
    """Log in as a user."""
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def cookie_of(answer: Answer) -> SimpleCookie:
    """Read the cookie that was given."""
    return SimpleCookie(answer.headers.get("Set-Cookie", ""))


def raw(port: int, request: bytes, seconds: float = 10.0) -> bytes:
    """Send bytes and read until the server closes or says nothing for so long."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        received = b""
        with contextlib.suppress(OSError):
            line.sendall(request)
            while chunk := line.recv(65536):
                received += chunk
        return received


# --- life ------------------------------------------------------------------------


def test_nothing_is_left_of_a_closed_server(rig: Rig, stream: NumberedStream) -> None:
    """Neither thread nor descriptor, and the port is free at once; twice is as once."""
    rig.serve().close()
    descriptors = open_descriptors()
    for _ in range(3):
        serving = rig.serve()
        serving.mount("/cam", stream.hub)
        assert serving.ask("/cam").status == 200
        serving.close()
        serving.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", serving.port))

    wait_for(lambda: open_descriptors() <= descriptors)
    wait_for(lambda: not threads_named("spyglass-web"))


def test_a_taken_port_is_told(rig: Rig) -> None:
    """AddressInUseError; nothing of the server stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = WebServerSettings(port=taken.getsockname()[1], token=TOKEN)
        server = Server(settings)
        with pytest.raises(AddressInUseError, match="another port"):
            rig.loop.call(server.open)
    wait_for(lambda: not threads_named("spyglass-web"))
    rig.loop.call(server.open)
    with pytest.raises(StateError):
        rig.loop.call(server.open)
    rig.loop.call(server.close).result(30)


def test_settings_are_checked_at_the_opening(rig: Rig) -> None:
    """What crossed the border is checked once more on this side."""
    with pytest.raises(SettingsError):
        rig.loop.call(Server(WebServerSettings(port=0)).open)


def test_paths_are_mounted_once(serving: Serving, stream: NumberedStream) -> None:
    """A taken path is refused, and so is one of the server's own; a closed server mounts none."""
    with pytest.raises(SettingsError, match="taken"):
        serving.mount("/cam", stream.hub)
    with pytest.raises(SettingsError):
        serving.mount("/metrics", stream.hub)
    serving.unmount("/cam")
    serving.unmount("/cam")
    serving.mount("/cam", stream.hub)
    serving.close()
    with pytest.raises(StateError):
        serving.mount("/other", stream.hub)
    assert serving.viewers() == 0


@pytest.mark.parametrize("address", ["::1", "::", "0.0.0.0"])
def test_it_listens_where_it_is_told(rig: Rig, stream: NumberedStream, address: str) -> None:
    """IPv6 too, and on all addresses where that was asked."""
    serving = rig.serve(address=address)
    serving.mount("/cam", stream.hub)

    local = "::1" if address == "::1" else "127.0.0.1"
    with socket.create_connection((local, serving.port), timeout=10) as line:
        line.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 200 " in line.recv(100)


# --- who may watch ----------------------------------------------------------------

PRIVATE = ["/", "/cam", "/other", "/cam/snapshot.jpg", "/cam/stream.mjpg", "/cam/ws", "/metrics"]


@pytest.mark.parametrize("path", [*PRIVATE, "/api/streams", "/nix"])
def test_without_a_token_there_is_nothing_to_see(serving: Serving, path: str) -> None:
    """Also on loopback: other people may use this machine."""
    answer = serving.ask(path, login=False)

    assert answer.status == 401
    assert "Not allowed" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_health_and_files_are_for_everybody(serving: Serving) -> None:
    """A probe has no token; what the page is made of is no secret."""
    assert serving.ask("/healthz", login=False, headers={"Host": "anything"}).text == "ok\n"
    answer = serving.ask("/static/stream.js", login=False)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/javascript")
    known = {"If-None-Match": answer.headers["ETag"]}
    assert serving.ask("/static/stream.js", login=False, headers=known).status == 304
    for path in ("/static/", "/static/../server.py", "/static/%2e%2e/server.py", "/static/x.js"):
        assert serving.ask(path, login=False).status == 404


def test_the_token_moves_from_the_address_into_a_cookie(serving: Serving) -> None:
    """The browser is led on to the address without it; the rest of the query stays."""
    answer = serving.ask(f"/cam?token={TOKEN}&transport=ws", login=False)
    (cookie,) = cookie_of(answer).values()

    assert answer.status == 303
    assert answer.headers["Location"] == "/cam?transport=ws"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert not cookie["secure"]
    assert TOKEN not in answer.headers["Set-Cookie"]
    inside = {"Cookie": f"{cookie.key}={cookie.value}"}
    assert serving.ask("/cam", login=False, headers=inside).status == 200
    again = serving.ask(f"/cam?token={TOKEN}", login=False, headers=inside)
    assert again.headers["Location"] == "/cam"


def test_the_way_without_the_token_leads_to_no_other_server(serving: Serving) -> None:
    """However odd the path is."""
    for path in ("//evil.example/", "/%5Cevil.example", "/\\evil.example", "///evil.example"):
        answer = raw(
            serving.port,
            f"GET {path}?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: close\r\n\r\n".encode(),
        )
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert b"location: //" not in head
        assert b"location: /\\" not in head
        assert b"location: http" not in head


def test_the_cookie_outlives_the_server(rig: Rig, stream: NumberedStream) -> None:
    """Who was let in stays in when the streaming process is started again at the same port."""
    first = rig.serve()
    given = cookie_of(first.ask(f"/?token={TOKEN}", login=False))
    first.close()
    second = rig.serve(port=first.port)
    second.mount("/cam", stream.hub)
    (cookie,) = given.values()

    inside = {"Cookie": f"{cookie.key}={cookie.value}"}
    assert second.ask("/cam", login=False, headers=inside).status == 200
    third = rig.serve(token="another-token-here")
    assert third.ask("/", login=False, headers=inside).status == 401


@pytest.mark.parametrize(
    "other",
    [
        *("a=1", "k:v=1", "foo/bar=1", 'x={"a": "b c"}', "x=[1, 2]", "x=a b", "a@b=1", "b,c=2"),
        *('x="2|1:0|10:123"', 'x="', "x=café", "émoji=1", "=", "x", "", "x=\xff"),
    ],
)
def test_a_foreign_cookie_locks_nobody_out(serving: Serving, other: str) -> None:
    """Cookies know no ports: programs on other ones set theirs, and odd ones, for the same host."""
    (cookie,) = cookie_of(serving.ask(f"/?token={TOKEN}", login=False)).values()
    ours = f"{cookie.key}={cookie.value}"
    for sent, status in (
        (f"{other}; {ours}", 200),
        (f"{ours}; {other}", 200),
        (f"{cookie.key}=theirs; {other};{ours}", 200),
        (other, 401),
    ):
        for encoding in ("utf-8", "latin-1"):
            # As http.client wants it: text of which each character is a byte.
            headers = {"Cookie": sent.encode(encoding).decode("latin-1")}
            assert serving.ask("/cam", login=False, headers=headers).status == status


def test_over_tls_the_cookie_stays_there(rig: Rig, certificate: tuple[Path, Path]) -> None:
    """HTTPS with the given certificate; the cookie never goes over plain HTTP."""
    cert, key = map(str, certificate)
    serving = rig.serve(certificate=cert, key=key)
    answer = serving.ask(f"/?token={TOKEN}", login=False)
    (cookie,) = cookie_of(answer).values()

    assert cookie["secure"]
    assert b"HTTP" not in raw(serving.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_users_come_in_by_password(rig: Rig) -> None:
    """A browser is asked for it, and gets the cookie, which a WebSocket can show."""
    serving = rig.serve(users={"anna": "pw"})
    asked = serving.ask("/", login=False)
    assert asked.headers["WWW-Authenticate"].startswith("Basic ")
    quiet = serving.ask("/api/streams", login=False, headers={"Sec-Fetch-Mode": "cors"})
    assert "WWW-Authenticate" not in quiet.headers

    answer = serving.ask("/", login=False, headers=basic("anna:pw"))

    assert answer.status == 200
    assert cookie_of(answer)
    assert serving.ask("/", login=False, headers=basic("anna:no")).status == 401


def test_an_open_server_asks_nobody(rig: Rig) -> None:
    """allow_anonymous=True with neither token nor users."""
    serving = rig.serve(token=None, allow_anonymous=True)
    assert serving.ask("/", login=False).status == 200
    assert "Set-Cookie" not in serving.ask("/", login=False).headers


def test_guesses_are_slowed_down(rig: Rig) -> None:
    """Each takes longer, then none is listened to, not even the right one; the cookie still is."""
    serving = rig.serve(users={"anna": "pw"})
    (cookie,) = cookie_of(serving.ask(f"/?token={TOKEN}", login=False)).values()
    begin = time.monotonic()
    # More than are free: one is forgiven every ten seconds.
    workers = [
        threading.Thread(target=serving.ask, args=["/"], kwargs={"headers": basic(f"anna:{n}")})
        for n in range(9)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    answer = serving.ask("/", login=False, headers=basic("anna:pw"))
    assert answer.status == 429
    assert answer.headers["Retry-After"]
    assert time.monotonic() - begin > 1
    inside = {"Cookie": f"{cookie.key}={cookie.value}"}
    assert serving.ask("/", login=False, headers=inside).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "10.1.2.3", "localhost.evil.io"]
)
def test_a_foreign_host_is_refused(serving: Serving, host: str) -> None:
    """With the right token too: it would be a foreign page that asks."""
    answer = serving.ask("/cam", headers={"Host": host})

    assert answer.status == 403
    assert "allowed_hosts" in answer.text


@pytest.mark.parametrize("host", ["", "a b", "localhost/x", "x@localhost", "localhost:0x50"])
def test_a_host_that_is_none_is_refused(serving: Serving, host: str) -> None:
    """Also where there are two."""
    assert serving.ask("/cam", headers={"Host": host}).status == 400
    twice = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b" 400 " in raw(serving.port, twice)[:30]


def test_the_port_of_a_host_does_not_matter(rig: Rig) -> None:
    """Through `ssh -L 9000:…:8080` it is another one; further names are as good as localhost."""
    serving = rig.serve(allowed_hosts=("cam.example.org",))
    for host in ("localhost:9000", "127.0.0.1:1", "[::1]:9000", "cam.example.org:443"):
        assert serving.ask("/", headers={"Host": host}).status == 200


def test_a_websocket_of_a_foreign_page_is_refused(serving: Serving) -> None:
    """Its Origin must be the request's own Host, port and all; a change likewise."""
    (cookie,) = cookie_of(serving.ask(f"/?token={TOKEN}", login=False)).values()
    upgrade = {
        "Cookie": f"{cookie.key}={cookie.value}",
        "Host": "localhost:9000",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
    }
    for origin in (
        "http://evil.example",
        "http://localhost:9001",
        "http://localhost",
        "http://[",
        "http://\xe2\x84\x80",  # of a sign that Unicode takes apart into a/c, in UTF-8
        "null",
        None,
    ):
        given = upgrade if origin is None else {**upgrade, "Origin": origin}
        assert serving.ask("/cam/ws", login=False, headers=given).status == 403
        assert serving.ask("/cam", login=False, headers=given, method="POST").status == 403
    assert serving.ask("/cam", method="POST").status == 405


# --- what is answered -------------------------------------------------------------


def test_every_answer_gives_a_browser_nothing_to_go_wrong_with(serving: Serving) -> None:
    """A strict policy, no referrer, no sniffing, no caching; and not who made the server."""
    for path in ("/", "/cam", "/nix/", "/api/streams", "/metrics", "/static/list.js"):
        headers = serving.ask(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "SpyGlass"
        assert headers["Cache-Control"] in ("no-store", "no-cache")


def test_pages_name_no_other_server() -> None:
    """No third party is ever contacted: all addresses in the page's files are our own."""
    folder = (
        Path(__file__).parents[4] / "src" / "backpack" / "_outputs" / "web" / "worker" / "static"
    )
    for path in folder.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        text = text.replace("http://127.0.0.1:8080/?token=…", "")
        assert "http://" not in text
        assert "https://" not in text


def test_a_stream_that_is_not_there_yet_is_waited_for(serving: Serving) -> None:
    """Its page is given, as not found; what could be no stream has none."""
    assert "stage" in serving.ask("/other").text
    assert serving.ask("/other").status == 404
    assert "stage" not in serving.ask("/o%20ther").text
    assert serving.ask("/cam/").headers["Location"] == "/cam"
    for path in ("/other/snapshot.jpg", "/other/stream.mjpg", "/snapshot.jpg", "/favicon.ico"):
        assert serving.ask(path).status == 404
    assert serving.ask("/cam/ws").status == 426
    assert serving.ask("/cam", method="HEAD").body == b""


def test_the_list_says_what_is_known(serving: Serving, stream: NumberedStream) -> None:
    """As JSON; numbers are the stream's own."""
    serving.mount("/other", stream.hub)
    serving.numbers = {"width": 640, "height": 480, "fps": 29.5, "viewers": 3, "encoder": "x264enc"}
    found = json.loads(serving.ask("/api/streams").text)["streams"]

    assert [one["path"] for one in found] == ["/cam", "/other"]
    assert found[0]["name"] == "cam"
    assert found[0]["state"] == "waiting"
    assert (found[0]["width"], found[0]["viewers"], found[0]["fps"]) == (640, 3, 29.5)


def test_a_frame_of_a_moment_ago_makes_a_stream_live(rig: Rig, serving: Serving) -> None:
    """Also while nobody watches; long ago it stands still, and the age is told."""
    for path, age_ns in (("/fresh", 10**9), ("/old", 60 * 10**9)):
        frames = rig.frames()
        frames.put(1, age_ns=age_ns)
        serving.mount(path, Hub(), frames.snapshots.ask)
    found = {one["path"]: one for one in json.loads(serving.ask("/api/streams").text)["streams"]}

    assert found["/cam"]["state"] == "waiting"
    assert found["/fresh"]["state"] == "live"
    assert found["/old"]["state"] == "still"
    assert found["/old"]["age_ms"] >= 60_000


def test_prometheus_gets_its_page(serving: Serving) -> None:
    """One label a stream and output; a scraper shows the token as a bearer."""
    serving.numbers = {"encoded": 7, "outputs": [{"kind": "kvs", "lost": 2}, {"kind": "web"}, {}]}
    answer = serving.ask("/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'spyglass_frames_encoded_total{stream="/cam"} 7' in lines
    assert 'spyglass_output_viewers{stream="/cam",output="web"} 0' in lines
    assert 'spyglass_output_frames_lost_total{stream="/cam",output="kvs-1"} 2' in lines


def test_numbers_that_cannot_be_had_are_none(
    serving: Serving, stream: NumberedStream, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream's fault takes no page along."""

    def fail() -> dict[str, object]:
        raise ValueError("no numbers")

    serving.loop.call(serving.server.mount, "/bad", source_of(stream.hub, fail))
    assert serving.ask("/api/streams").status == 200
    assert serving.ask("/bad/snapshot.jpg").status == 503
    assert "/bad cannot be asked" in caplog.text


def answers(serving: Serving) -> bool:
    """Tell whether a server has a place and an answer."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return serving.ask("/healthz").status == 200
    return False


# --- bad clients ------------------------------------------------------------------


def test_a_head_that_never_ends_is_cut_off(rig: Rig) -> None:
    """Slow-loris: a byte now and then keeps no connection, the second request's neither."""
    serving = rig.serve(limits=Limits(head_seconds=1.0))
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for first in (b"", health):
        # The first head's time begins with the connection, the second one's with its first byte.
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as line:
            line.sendall(first)
            if first:
                assert b"200" in line.recv(4096)
                begin = time.monotonic()
            with contextlib.suppress(OSError):
                line.sendall(b"GET / HTTP/1.1\r\nX: ")
                while time.monotonic() - begin < 8:
                    line.sendall(b"x")
                    line.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        if not line.recv(100):
                            break
            assert 0.9 < time.monotonic() - begin < 6


def test_who_says_nothing_is_cut_off(rig: Rig) -> None:
    """A connection is for asking something."""
    serving = rig.serve(limits=Limits(head_seconds=0.2))
    begin = time.monotonic()
    assert raw(serving.port, b"", seconds=20) == b""
    assert time.monotonic() - begin < 10


def test_a_head_that_is_too_large_is_refused(serving: Serving) -> None:
    """In one header or many, or in the address."""
    begin = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    for request in (
        begin + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
        begin + b"".join(b"X%d: %s\r\n" % (n, b"x" * 1000) for n in range(200)) + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ):
        assert b" 200 " not in raw(serving.port, request)[:20]
    assert serving.ask("/").status == 200


def test_a_body_that_is_too_large_is_refused(serving: Serving) -> None:
    """By what it says of itself, before it is sent."""
    head = f"POST /cam HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    answer = raw(serving.port, f"{head}Content-Length: 1000000000\r\n\r\n".encode())
    assert b" 413 " in answer[:20]


WAITING = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
AUTHORIZED = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"


def is_cut(line: socket.socket, data: bytes, most: int) -> bool:
    """Send again and again, and tell whether the server has cut the connection before the most."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            sent += line.send(data)
        return False
    return True


def test_requests_behind_one_that_takes_long_are_bounded(serving: Serving) -> None:
    """Who sends more and more of them is cut off before they fill the memory."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as line:
        line.sendall(f"GET /cam/stream.mjpg HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        assert b" 200 " in line.recv(100)
        assert is_cut(line, WAITING * 1000, 30_000_000)


def test_requests_that_nobody_waits_for_are_bounded(rig: Rig) -> None:
    """Also where each is answered at once: an answer makes room for one request, and no more."""
    serving = rig.serve(limits=Limits(ahead_bytes=2000))
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as line:
        assert is_cut(line, WAITING * 100, 3_000_000)


def test_requests_behind_a_body_are_bounded(serving: Serving) -> None:
    """Those that come in one piece with its end are counted like all others."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as line:
        head = f"POST /cam/whep HTTP/1.1\r\n{AUTHORIZED}Content-Type: application/sdp\r\n"
        line.sendall(f"{head}Content-Length: 20000\r\n\r\n".encode() + b"x" * 19_999)
        line.sendall(b"x" + WAITING * 500)
        answers = b""
        with contextlib.suppress(OSError):
            while answers.count(b"HTTP/1.1 ") < 501 and (chunk := line.recv(65536)):
                answers += chunk
    assert answers.count(b"HTTP/1.1 ") < 501


def test_some_requests_at_once_are_answered(serving: Serving) -> None:
    """In their order, and a body may be far longer than a head."""
    post = f"POST /cam/whep HTTP/1.1\r\n{AUTHORIZED}Content-Type: application/sdp\r\n"
    body = b"x" * 30_000
    answers = raw(
        serving.port,
        f"{post}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        + WAITING * 50
        + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", *[b"200"] * 51]


def test_a_connection_ends_after_many_requests(rig: Rig) -> None:
    """It is said in the last answer, as browsers and programs expect it."""
    serving = rig.serve(limits=Limits(requests=3))
    answers = raw(serving.port, WAITING * 5).lower()

    assert answers.count(b"http/1.1 200") == 3
    assert answers.count(b"connection: close") == 1


def test_a_packed_body_stays_packed(rig: Rig, stream: NumberedStream) -> None:
    """Some bytes cannot become megabytes before anybody has looked at them."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    packed = zlib.compress(b"v=0\r\n" * 10_000)
    kind = {"Content-Type": "application/sdp", "Content-Encoding": "deflate"}

    assert len(packed) < 1000
    # Unpacked it would be too much.
    assert serving.ask("/cam/whep", method="POST", headers=kind, body=packed).status == 400


def test_idle_connections_make_room(rig: Rig) -> None:
    """Whoever comes is answered; the one that has waited longest is cut."""
    serving = rig.serve(limits=Limits(connections=ConnectionLimits(total=3)))
    with contextlib.ExitStack() as lines:
        kept = [lines.enter_context(connected(serving.port)) for _ in range(3)]
        for line in kept[1:]:
            assert asks(line)
        assert answers(serving)
        assert kept[0].recv(1) == b""
        for line in kept[1:]:
            assert asks(line)


def asks(line: socket.socket) -> bool:
    """Ask on a connection, and tell whether the whole answer came."""
    line.sendall(WAITING)
    got = b""
    while not got.endswith(b"ok\n"):
        more = line.recv(4096)
        if not more:
            return False
        got += more
    return b"200" in got


def test_silent_tls_connections_keep_nobody_out(rig: Rig, certificate: tuple[Path, Path]) -> None:
    """However many there are, the next client is served, and the first of them is cut."""
    cert, key = map(str, certificate)
    limits = Limits(connections=ConnectionLimits(total=3))
    serving = rig.serve(limits=limits, certificate=cert, key=key)
    with contextlib.ExitStack() as lines:
        silent = [lines.enter_context(connected(serving.port)) for _ in range(4)]
        assert answers(serving)
        assert silent[0].recv(1) == b""


def test_a_tls_handshake_that_never_ends_is_cut_off(
    rig: Rig, certificate: tuple[Path, Path]
) -> None:
    """As a head is; the place is free again, also where it was no handshake at all."""
    cert, key = map(str, certificate)
    limits = Limits(head_seconds=0.5)
    serving = rig.serve(limits=limits, certificate=cert, key=key)
    for said in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
        begin = time.monotonic()
        raw(serving.port, said, seconds=20)
        assert time.monotonic() - begin < 10
        wait_for(lambda: answers(serving))


def test_who_takes_nothing_is_cut_off(rig: Rig) -> None:
    """A client that asks and does not read is there but for a while."""
    serving = rig.serve(limits=Limits(stuck_seconds=0.5))
    asking = b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", serving.port))
        # For more than the buffers on the way hold.
        line.sendall(asking * 200)
        limiter = serving.server._limiter
        wait_for(lambda: limiter._limiter)
        wait_for(lambda: not limiter._limiter)
    assert answers(serving)


def connected(port: int) -> socket.socket:
    """Connect, and say nothing."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_nonsense_harms_nobody(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """Requests with bytes changed at random (seeded): the server answers on, and logs no fault."""
    good = (
        f"GET /cam/ws?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nCookie: a=b; c\r\n"
        "Authorization: Basic YTpi\r\nContent-Length: 3\r\n\r\nabc"
    ).encode()
    pick = random.Random(4)
    for piece, instead in (
        *((b"/cam/ws", b"http://[/"), (b"MDEy", b"\xff"), (b": 13", b": \xff")),
        (b"/cam/ws?", b"/cam?x=\xff&"),
    ):
        assert b" 500 " not in raw(serving.port, good.replace(piece, instead), seconds=0.5)
    for _ in range(150):
        request = bytearray(good)
        for _ in range(pick.randint(1, 12)):
            request[pick.randrange(len(request))] = pick.choice(b"\0\r\n\xff:; /%AZ09\t\"'{}")
        if pick.random() < 0.3:
            del request[pick.randrange(len(request)) :]
        with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as line:
            line.sendall(request)
            line.shutdown(socket.SHUT_WR)
            line.settimeout(0.02)
            with contextlib.suppress(OSError):
                line.recv(65536)

    assert serving.ask("/cam").status == 200
    assert "fault" not in caplog.text
    assert "Traceback" not in caplog.text
    wait_for(lambda: serving.viewers() == 0)
