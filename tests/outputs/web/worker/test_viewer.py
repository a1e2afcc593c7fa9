from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import aiohttp

from backpack._media.access_unit import AccessUnit
from backpack._media.hub import Hub
from backpack._outputs.web.worker.pacing import WINDOW_US
from backpack._outputs.web.worker.protocol import HEADER, SHOWN
from tests.outputs.rtsp.conftest import until
from tests.outputs.web.rig import TOKEN
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

    from tests.outputs.web.rig import Rig, Serving
    from tests.streams import NumberedStream


class Viewer:
    """A page as far as its WebSocket goes, with a client that is not ours."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.said: list[dict[str, Any]] = []
        # Sequence, capture time, key, repeat, number, data.
        self.pictures: list[tuple[int, int, bool, bool, int, bytes]] = []

    async def hear(self, *, shows: bool = True) -> bool:
        """Take the next message; False: the server has closed."""
        message = await asyncio.wait_for(self.ws.receive(), 30)
        if message.type == aiohttp.WSMsgType.TEXT:
            self.said.append(json.loads(message.data))
        elif message.type == aiohttp.WSMsgType.BINARY:
            _, flags, _, sequence, pts_us, _, number = HEADER.unpack(message.data[: HEADER.size])
            picture = (
                *(sequence, pts_us, bool(flags & 1), bool(flags & 2), number),
                message.data[HEADER.size :],
            )
            self.pictures.append(picture)
            if shows:
                await self.ws.send_bytes(SHOWN.pack(sequence))
        else:
            return False
        return True

    async def until(self, condition: Callable[[], object], *, shows: bool = True) -> None:
        """Go on until something is true."""
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            assert await self.hear(shows=shows)

    async def say(self, message: dict[str, Any]) -> None:
        """Say something as the page does."""
        await self.ws.send_str(json.dumps(message))


def watch(
    serving: Serving, work: Callable[..., Awaitable[None]], *, path: str = "/cam", count: int = 1
) -> None:
    """Open viewers and do something with them."""

    async def run() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            url = f"http://127.0.0.1:{serving.port}{path}/ws"
            viewers = [Viewer(await session.ws_connect(url, max_msg_size=0)) for _ in range(count)]
            await work(*viewers)
            for viewer in viewers:
                await viewer.ws.close()

    asyncio.run(run())


def test_a_viewer_gets_every_picture(
    serving: Serving, stream: NumberedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a key frame on, none missing, with their times; before that a hello and the format."""
    # A busy machine may keep the viewer from showing anything for longer than the window.
    monkeypatch.setattr("backpack._outputs.web.worker.pacing.WINDOW_US", 30_000_000)

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: len(viewer.pictures) >= 30)
        assert serving.viewers() == 1

    viewers: list[Viewer] = []

    async def keep(viewer: Viewer) -> None:
        viewers.append(viewer)
        await work(viewer)

    watch(serving, keep)
    (viewer,) = viewers

    assert viewer.said[0]["type"] == "hello"
    assert viewer.said[0]["path"] == "/cam"
    shape = next(said for said in viewer.said if said["type"] == "format")
    assert (shape["width"], shape["height"]) == (320, 240)
    assert viewer.pictures[0][2]
    sequences = [picture[0] for picture in viewer.pictures]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    for _, pts_us, key, repeat, number, data in viewer.pictures:
        if not repeat:
            unit = stream.published[number]
            assert (unit.pts_ns // 1000, unit.key, unit.data) == (pts_us, key, data)
    wait_for(lambda: serving.viewers() == 0)
    wait_for(lambda: stream.hub.subscriber_count == 0)


def test_the_second_viewer_is_told_the_format_at_once(serving: Serving) -> None:
    """And gets a key frame soon, which the first one gets too: there is one encode."""

    async def work(first: Viewer, second: Viewer) -> None:
        await second.say({"type": "pause"})
        await first.until(lambda: len(first.pictures) > 5)
        until(lambda: serving.viewers() == 1)
        before = len(second.said)
        # Taken before, for the key frame may be made before `say` returns.
        joined_us = time.monotonic_ns() // 1000
        await second.say({"type": "play"})
        # The encoder of the tests makes no key frame unless it is asked.
        await second.until(lambda: second.pictures and second.pictures[-1][1] > joined_us)
        assert any(said.get("codec") for said in second.said[before:])
        assert serving.viewers() == 2
        await first.until(lambda: any(one[2] and one[1] > joined_us for one in first.pictures))

    watch(serving, work, count=2)


def test_the_clock_is_told(serving: Serving) -> None:
    """An answer holds what was asked and the server's clock, by which the page knows lateness."""

    async def work(viewer: Viewer) -> None:
        before_us = time.monotonic_ns() // 1000
        await viewer.say({"type": "ping", "sent": 12.5, "round_trip_ms": None})
        await viewer.until(lambda: any(said["type"] == "pong" for said in viewer.said))
        pong = next(said for said in viewer.said if said["type"] == "pong")
        assert pong["sent"] == 12.5
        assert before_us <= pong["mono_us"] <= time.monotonic_ns() // 1000

    watch(serving, work)


def test_a_page_that_shows_nothing_gets_little_and_does_not_count_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the window; then it is no viewer, until it shows something again."""
    monkeypatch.setattr("backpack._outputs.web.worker.pacing.STALLED_US", 600_000)
    stream = rig.stream()
    serving = rig.serve()
    serving.mount("/cam", stream.hub)

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: viewer.pictures, shows=False)
        deadline = time.monotonic() + 30
        while serving.viewers():
            assert time.monotonic() < deadline
            try:
                await asyncio.wait_for(viewer.hear(shows=False), 0.1)
            except asyncio.TimeoutError:
                continue
        # Behind all that was sent before.
        await viewer.say({"type": "ping", "sent": 0, "round_trip_ms": None})
        await viewer.until(lambda: viewer.said[-1]["type"] == "pong", shows=False)
        assert viewer.pictures[-1][1] - viewer.pictures[0][1] <= WINDOW_US
        until(lambda: not stream.hub.subscriber_count)
        sent = len(viewer.pictures)
        await viewer.ws.send_bytes(SHOWN.pack(viewer.pictures[-1][0]))
        await viewer.until(lambda: len(viewer.pictures) > sent + 5)
        assert viewer.pictures[sent][2]

    watch(serving, work)
    assert serving.lost() > 0


def test_a_page_that_pauses_costs_nothing(serving: Serving, stream: NumberedStream) -> None:
    """It is no viewer until it plays again, and then begins at a key frame at once."""

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: len(viewer.pictures) > 3)
        await viewer.say({"type": "pause"})
        until(lambda: not serving.viewers() and not stream.hub.subscriber_count)
        # Taken before, for the key frame may be made before `say` returns.
        paused_us = time.monotonic_ns() // 1000
        await viewer.say({"type": "play"})
        await viewer.until(lambda: viewer.pictures[-1][1] > paused_us)
        assert next(one for one in viewer.pictures if one[1] > paused_us)[2]

    watch(serving, work)


def test_a_decoder_that_lost_its_way_gets_a_key_frame(serving: Serving) -> None:
    """At once, and nothing before it."""

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: len(viewer.pictures) > 3)
        hellos = [said["type"] for said in viewer.said].count("hello")
        await viewer.say({"type": "resync"})
        await viewer.until(lambda: [s["type"] for s in viewer.said].count("hello") > hellos)
        before = len(viewer.pictures)
        await viewer.until(lambda: len(viewer.pictures) > before)
        assert viewer.pictures[before][2]

    watch(serving, work)


def test_a_decoder_that_fails_for_ever_costs_the_others_little(
    serving: Serving, stream: NumberedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it begins again, key frames are asked for with a space between them."""
    monkeypatch.setattr("backpack._outputs.web.worker.pacing.KEY_SPACING_US", 10**12)

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: len(viewer.pictures) > 3)
        asked = stream.hub.counters.key_frames_asked
        for _ in range(4):
            begin = len(stream.units)
            await viewer.say({"type": "resync"})
            # Time enough for a key frame: the hub makes two a second.
            until(lambda begin=begin: len(stream.units) > begin + 20)
        assert stream.hub.counters.key_frames_asked <= asked + 1

    watch(serving, work)


def test_a_stream_that_ends_is_told_and_comes_back(
    rig: Rig, serving: Serving, stream: NumberedStream
) -> None:
    """On the same connection; a path that is not there yet is waited for likewise."""

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: viewer.said)
        assert viewer.said[0]["state"] == "absent"
        serving.mount("/later", stream.hub)
        await viewer.until(lambda: len(viewer.pictures) > 2)
        serving.unmount("/later")
        await viewer.until(lambda: viewer.said[-1].get("state") == "ended")
        assert viewer.said[-1]["age_ms"] is not None
        before = len(viewer.pictures)
        serving.mount("/later", rig.stream().hub)
        await viewer.until(lambda: len(viewer.pictures) > before + 2)
        assert viewer.pictures[before][2]

    watch(serving, work, path="/later")
    until(lambda: not stream.hub.subscriber_count)


def test_how_frames_come_is_told(rig: Rig) -> None:
    """The card means waiting, a put frame live, and repeats after a while that it stands still."""
    serving = rig.serve()
    hub = Hub()
    serving.mount("/cam", hub)
    wall_ns = time.time_ns()

    def unit(number: int, age_ns: int, *, repeat: bool) -> AccessUnit:
        return AccessUnit(b"", True, time.monotonic_ns(), wall_ns - age_ns, number, repeat)  # noqa: FBT003

    async def work(viewer: Viewer) -> None:
        def states() -> list[str]:
            return [said["state"] for said in viewer.said if "state" in said]

        until(lambda: hub.subscriber_count)
        hub.publish(unit(0, 0, repeat=True))
        await viewer.until(lambda: viewer.pictures)
        assert states() == ["waiting"]
        for made in (unit(1, 60 * 10**9, repeat=False), unit(1, 0, repeat=True)):
            hub.publish(made)
        await viewer.until(lambda: states() == ["waiting", "live", "still"])
        assert viewer.said[-1]["age_ms"] >= 60_000

    watch(serving, work)


def test_who_comes_to_a_silent_application_is_told_the_age(rig: Rig) -> None:
    """All that a newcomer gets are repeats, with present times; the newest frame itself knows."""
    serving, hub, frames = rig.serve(), Hub(), rig.frames()
    frames.put(1, age_ns=60 * 10**9)
    serving.mount("/cam", hub, frames.snapshots.ask)

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: viewer.said)
        until(lambda: hub.subscriber_count)
        now_ns = time.monotonic_ns()
        hub.publish(AccessUnit(b"", True, now_ns, time.time_ns(), 1, True))  # noqa: FBT003
        await viewer.until(lambda: (viewer.said[-1].get("age_ms") or 0) >= 60_000)
        assert viewer.said[-1]["state"] == "still"

    watch(serving, work)


def test_viewers_are_limited(rig: Rig, stream: NumberedStream) -> None:
    """One too many is told so, by a code that its page understands."""
    serving = rig.serve(max_viewers=1)
    serving.mount("/cam", stream.hub)

    async def work(first: Viewer, second: Viewer) -> None:
        assert not await second.hear()
        assert second.ws.close_code == 1013
        await first.until(lambda: len(first.pictures) > 2)

    watch(serving, work, count=2)


def test_viewers_of_all_kinds_share_the_limit(rig: Rig, stream: NumberedStream) -> None:
    """Who watches over the WebSocket takes the place of one over WebRTC, or of one of JPEGs."""
    serving = rig.serve(max_viewers=1)
    serving.mount("/cam", stream.hub)

    def statuses() -> list[int]:
        offer = {"Content-Type": "application/sdp"}
        return [
            serving.ask("/cam/whep", method="POST", headers=offer, body=b"no offer").status,
            serving.ask("/cam/stream.mjpg", method="HEAD").status,
        ]

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: viewer.pictures)
        assert await asyncio.to_thread(statuses) == [503, 503]

    assert statuses() == [400, 200]
    watch(serving, work)


def test_nonsense_ends_its_own_connection_only(serving: Serving) -> None:
    """Messages that no page of ours sends, and too large ones (seeded)."""
    pick = random.Random(7)
    nonsense: list[bytes | str] = [
        b"",
        b"abc",
        b"x" * 5000,
        "",
        "[]",
        "1",
        "{}",
        "[" * 4000,
        "null",
    ]
    nonsense += ['{"type": 1}', '{"type": ["ping"]}', '{"type": "ping", "sent": "x"}', "\ud7ff"]
    nonsense += [pick.randbytes(pick.randint(1, 40)) for _ in range(20)]
    odd = [b"\xff\xff\xff\xff", '{"type": "ping", "sent": 1e308, "round_trip_ms": 1e308}']
    odd += ['{"type": "ping", "sent": NaN, "round_trip_ms": NaN}', '{"type": "unknown"}']

    async def send(viewer: Viewer, message: bytes | str) -> None:
        if isinstance(message, bytes):
            await viewer.ws.send_bytes(message)
        else:
            await viewer.ws.send_str(message)

    async def one(viewer: Viewer) -> None:
        for message in odd:
            await send(viewer, message)
        before = len(viewer.pictures)
        await viewer.until(lambda: len(viewer.pictures) > before + 3)
        await send(viewer, pick.choice(nonsense))

    for _ in range(5):
        watch(serving, one)
    for message in nonsense:
        watch(serving, lambda viewer, message=message: send(viewer, message))

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: len(viewer.pictures) > 2)

    watch(serving, work)
    wait_for(lambda: serving.viewers() == 0)


def test_a_page_may_say_much_in_the_course_of_time(serving: Serving) -> None:
    """What limits the requests of a connection does not count what comes over a WebSocket."""

    async def work(viewer: Viewer) -> None:
        for _ in range(8000):
            await viewer.ws.send_bytes(SHOWN.pack(0))
        before = len(viewer.pictures)
        await viewer.until(lambda: len(viewer.pictures) > before + 20)

    watch(serving, work)


def upgraded(serving: Serving, stack: ExitStack, *extensions: str) -> tuple[socket.socket, bytes]:
    """Open a WebSocket by hand, which answers nothing by itself; give it and the head."""
    line = stack.enter_context(socket.create_connection(("127.0.0.1", serving.port), timeout=30))
    given = "".join(f"Sec-WebSocket-Extensions: {one}\r\n" for one in extensions)
    line.sendall(
        f"GET /cam/ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n{given}\r\n".encode()
    )
    received = b""
    while b"\r\n\r\n" not in received:
        received += line.recv(4096)
    return line, received.partition(b"\r\n\r\n")[0]


def test_video_is_not_compressed(serving: Serving) -> None:
    """It does not shrink: every browser offers to, and none gets it."""
    with ExitStack() as stack:
        _, head = upgraded(serving, stack, "permessage-deflate; client_max_window_bits")

        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in head


def test_who_does_not_answer_is_disconnected(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping without a pong ends the session, also of one who takes what is sent."""
    monkeypatch.setattr("backpack._outputs.web.worker.routes.HEARTBEAT_SECONDS", 0.4)
    with ExitStack() as stack:
        line, _ = upgraded(serving, stack)
        until(serving.viewers)
        with contextlib.suppress(ConnectionResetError):
            while line.recv(65536):
                pass
    until(lambda: not serving.viewers())


def test_closing_the_server_says_goodbye(rig: Rig, stream: NumberedStream) -> None:
    """Viewers are disconnected, with the code for that."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)

    async def work(viewer: Viewer) -> None:
        await viewer.until(lambda: viewer.pictures)
        closing = asyncio.get_running_loop().run_in_executor(None, serving.close)
        while await viewer.hear():
            pass
        assert viewer.ws.close_code == 1001
        await closing

    watch(serving, work)
    assert not stream.hub.subscriber_count
