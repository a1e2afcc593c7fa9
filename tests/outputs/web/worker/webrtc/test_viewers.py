from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.web.worker.webrtc import peer as peer_module
from tests.outputs.web.worker.webrtc.relay import UdpRelay
from tests.waiting import threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backpack._media.access_unit import AccessUnit
    from tests.outputs.web.rig import Rig, Serving
    from tests.streams import NumberedStream


@pytest.fixture(autouse=True)
def _no_port_of_before() -> None:
    """Peers of earlier tests stop on threads of their own."""
    wait_for(lambda: not _udp_ports())


@pytest.fixture
def relay() -> Iterator[UdpRelay]:
    """Give a relay between viewer and server."""
    made = UdpRelay()
    yield made
    made.close()


def test_a_client_that_is_not_ours_sees_the_pictures(
    serving: Serving, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """In order, none left out, each a moment after it was captured, with its capture time."""
    viewer = watch(serving)
    # Who is counted in is shown a picture once more.
    wait_for(lambda: serving.viewers() == 1)
    first = len(viewer.seen) + 10
    last = first + 19
    wait_for(lambda: len(viewer.seen) > last)
    seen, ticks = viewer.seen[first : last + 1], viewer.ticks[first : last + 1]
    numbers = [number for number, _ in seen]

    assert numbers == list(range(numbers[0], numbers[0] + 20))
    late = sorted(at - stream.published[number].pts_ns for number, at in seen)
    assert late[10] < 500_000_000
    begin, end = (stream.published[number].pts_ns for number in (numbers[0], numbers[-1]))
    assert abs((ticks[-1] - ticks[0]) / 90e3 - (end - begin) / 1e9) < 0.001
    assert serving.viewers() == 1


def test_all_watch_one_encode(
    serving: Serving, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """Each gets each picture; nothing is encoded for one who has gone."""
    viewers = [watch(serving) for _ in range(3)]
    wait_for(lambda: all(len(viewer.seen) > 10 for viewer in viewers))
    wait_for(lambda: serving.viewers() == 3)
    for viewer in viewers:
        assert serving.ask(viewer.location, method="DELETE").status == 200
    wait_for(lambda: not stream.hub.subscriber_count)
    assert serving.viewers() == 0


def test_lost_packets_are_sent_again(rig: Rig, watch: Callable[..., Any], relay: UdpRelay) -> None:
    """One in twenty is lost, and hardly a picture: the viewer asks for them (NACK)."""
    stream = rig.stream(padding_bytes=12_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    viewer = watch(serving, rewrite=relay.through)
    wait_for(lambda: len(viewer.seen) > 10)
    relay.loss = 0.05
    begin = len(viewer.seen)
    wait_for(lambda: relay.lost > 20 and len(viewer.seen) > begin + 60)
    numbers = viewer.numbers()[begin : begin + 60]
    missing = set(range(numbers[0], numbers[-1])) - set(numbers)

    assert len(missing) < 6


def test_a_lost_picture_is_answered_by_a_key_frame(
    serving: Serving, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """The viewer says that it has lost one (PLI): the next ones can be decoded without it."""
    viewer = watch(serving)
    wait_for(lambda: len(viewer.seen) > 10)
    before = max(stream.published)
    viewer.lose_picture()
    wait_for(lambda: any(unit.key for number, unit in _after(stream, before)))

    asked_for = next(number for number, unit in _after(stream, before) if unit.key)
    assert asked_for - before < 60
    wait_for(lambda: asked_for in viewer.numbers())


def _after(stream: NumberedStream, number: int) -> list[tuple[int, AccessUnit]]:
    return [one for one in list(stream.published.items()) if one[0] > number]


def test_deleting_a_session_ends_it(
    serving: Serving, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """Nothing is left of it, and it cannot be deleted twice."""
    viewer = watch(serving)
    wait_for(lambda: viewer.seen)
    assert serving.ask(viewer.location, method="DELETE").status == 200

    assert serving.ask(viewer.location, method="DELETE").status == 404
    wait_for(lambda: not stream.hub.subscriber_count)
    wait_for(lambda: not _udp_ports())


def test_who_says_goodbye_is_gone(
    serving: Serving, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """Closing the connection is enough: DTLS says so."""
    viewer = watch(serving)
    wait_for(lambda: viewer.seen)
    viewer.close()
    wait_for(lambda: not stream.hub.subscriber_count, peer_module.SILENT_SECONDS / 2)


def test_who_falls_silent_is_gone(
    serving: Serving,
    stream: NumberedStream,
    watch: Callable[..., Any],
    relay: UdpRelay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a word: its packets stop coming."""
    viewer = watch(serving, rewrite=relay.through)
    # To connect may take a busy machine longer than its reports do.
    wait_for(lambda: viewer.seen)
    monkeypatch.setattr(peer_module, "SILENT_SECONDS", 4.0)
    begin = len(viewer.seen)
    # Its reports keep it.
    wait_for(lambda: len(viewer.seen) > begin + 6 * 30)
    relay.is_cut = True
    wait_for(lambda: not stream.hub.subscriber_count)


def test_who_never_comes_is_forgotten(
    serving: Serving,
    stream: NumberedStream,
    watch: Callable[..., Any],
    relay: UdpRelay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its port is closed again, and nothing was encoded for it."""
    monkeypatch.setattr(peer_module, "SILENT_SECONDS", 0.5)
    relay.is_cut = True
    viewer = watch(serving, rewrite=relay.through)
    wait_for(lambda: sorted(_udp_ports()) == sorted(relay.ports))

    assert serving.ask(viewer.location, method="DELETE").status == 404
    assert not stream.published


def test_a_stream_that_ends_ends_its_sessions(
    serving: Serving, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """And one can begin anew when it is back."""
    viewer = watch(serving)
    wait_for(lambda: viewer.seen)
    serving.unmount("/cam")
    wait_for(lambda: not stream.hub.subscriber_count)
    assert serving.ask(viewer.location, method="DELETE").status == 404
    serving.mount("/cam", stream.hub)
    again = watch(serving)
    wait_for(lambda: again.seen)


def test_the_server_closes_under_its_viewers(
    rig: Rig, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """In a moment, and no thread and no socket stays."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    for _ in range(3):
        watch(serving)
    wait_for(lambda: serving.viewers() == 3)
    begin = time.monotonic()
    serving.close()

    assert time.monotonic() - begin < 5
    assert not stream.hub.subscriber_count
    # One that takes longer than the server waits for it ends by itself.
    wait_for(lambda: not threads_named("spyglass-webrtc"))
    wait_for(lambda: not _udp_ports())


def test_nothing_listens_but_one_udp_port_a_viewer(
    rig: Rig, stream: NumberedStream, watch: Callable[..., Any]
) -> None:
    """On the named address, in the named range: no TCP, no other interface, no port for UPnP."""
    serving = rig.serve(udp_ports=(29_040, 29_049))
    serving.mount("/cam", stream.hub)
    before = _sockets("tcp")
    viewers = [watch(serving) for _ in range(2)]
    wait_for(lambda: all(viewer.seen for viewer in viewers))
    found = _sockets("udp")
    ours = [one for one in found if one.startswith("127.0.0.1:")]

    assert len(ours) == 2
    assert all(29_040 <= int(one.rpartition(":")[2]) <= 29_049 for one in ours)
    # The viewers' own are the only others.
    assert not [one for one in found if one.startswith(("0.0.0.0", "*", "[::]"))]
    assert set(_sockets("tcp")) <= set(before)


def test_no_free_port_is_said(rig: Rig, stream: NumberedStream, watch: Callable[..., Any]) -> None:
    """When the range is used up the next viewer learns it at once."""
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serving = rig.serve(udp_ports=(port, port))
    serving.mount("/cam", stream.hub)
    viewer = watch(serving)
    wait_for(lambda: viewer.seen)
    with pytest.raises(Exception, match="no UDP port"):
        watch(serving)


def _sockets(kind: str) -> list[str]:
    """List where this process listens, as ss tells it."""
    flag = {"udp": "-lunp", "tcp": "-ltnp"}[kind]
    done = subprocess.run(["ss", "-H", flag], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if f"pid={os.getpid()}," in line]
    return sorted(line.split()[3] for line in lines)


def _udp_ports() -> list[int]:
    """List the UDP ports on loopback, where none but peers and relays are."""
    found = [one.rpartition(":") for one in _sockets("udp")]
    return [int(port) for address, _, port in found if address == "127.0.0.1"]
