"""Opening and closing, and who is let in."""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._media.hub import Hub
from backpack._outputs.rtsp.settings import RTSPServerSettings
from backpack._outputs.rtsp.worker.server import Server
from backpack.errors import AddressInUseError, OutputError, SettingsError, StateError
from tests.clients import RawClient, ffmpeg_frames, read_frames, watching
from tests.outputs.rtsp.conftest import open_things, until
from tests.streams import source_of

if TYPE_CHECKING:
    from tests.outputs.rtsp.conftest import Rig, Serving
    from tests.streams import NumberedStream


def own_udp_addresses(port_range: tuple[int, int] = (1, 65535)) -> set[str]:
    """List the addresses of this process's UDP sockets in a range, as the kernel shows them."""
    shown = subprocess.run(
        ["ss", "-H", "-u", "-n", "-a", "-p"], capture_output=True, text=True, check=True
    )
    found = set()
    for line in shown.stdout.splitlines():
        address, _, port = line.split()[3].rpartition(":")
        if f"pid={os.getpid()}," in line and port_range[0] <= int(port) <= port_range[1]:
            found.add(address)
    return found


def own_tcp_listeners() -> set[str]:
    """List what this process listens on over TCP."""
    shown = subprocess.run(
        ["ss", "-H", "-t", "-n", "-l", "-p"], capture_output=True, text=True, check=True
    )
    return {line.split()[3] for line in shown.stdout.splitlines() if f"pid={os.getpid()}," in line}


def test_port_zero_tells_the_bound_port(rig: Rig, stream: NumberedStream) -> None:
    """A free port is taken and told, and something answers there."""
    serving = rig.serve(port=0)

    assert serving.port > 0
    assert len(read_frames(serving.mount("/cam", stream.hub), 3)) == 3


def test_a_given_port_is_the_one_that_is_bound(rig: Rig) -> None:
    """The port is the asked one, not GStreamer's 8554."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert rig.serve(port=port).port == port
    assert f"127.0.0.1:{port}" in own_tcp_listeners()


def test_it_listens_on_the_named_address_alone(rig: Rig) -> None:
    """Neither all addresses nor another loopback address answer."""
    serving = rig.serve(address="127.0.0.7")

    listeners = {one for one in own_tcp_listeners() if one.endswith(f":{serving.port}")}
    assert listeners == {f"127.0.0.7:{serving.port}"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", serving.port), 5)


@pytest.mark.parametrize("address", ["127.0.0.7", "::1"])
def test_video_leaves_from_the_named_address_alone(
    rig: Rig, stream: NumberedStream, address: str
) -> None:
    """RTP and RTCP sockets of UDP viewers stand on the server's address, in the given range."""
    serving = rig.serve(address=address, rtp_ports=(21000, 21009))
    url = serving.mount("/cam", stream.hub)

    with watching(url, protocols="udp") as client:
        client.wait(5)
        # The client's sockets are this process's too, but not in the range.
        found = own_udp_addresses((21000, 21009))

    assert found == {f"[{address}]" if ":" in address else address}


def test_exhausted_ports_refuse_a_viewer_and_harm_nobody(rig: Rig, stream: NumberedStream) -> None:
    """Two mounts need two pairs: with one, the second is refused over UDP but plays over TCP."""
    serving = rig.serve(rtp_ports=(21020, 21021))
    first, second = serving.mount("/one", stream.hub), serving.mount("/two", stream.hub)

    with watching(first, protocols="udp") as playing:
        playing.wait(5)
        with watching(second, protocols="udp") as refused:
            refused.wait_end()
        assert len(read_frames(second, 5, protocols="tcp")) == 5
        playing.wait_more(5)


def test_a_taken_port_is_told(rig: Rig) -> None:
    """The error names the address and what to do, and nothing is left open."""
    taken = rig.serve()
    server = Server(RTSPServerSettings(port=taken.port))

    with pytest.raises(AddressInUseError, match=rf"127\.0\.0\.1:{taken.port}.*port=0"):
        rig.loop.call(server.open)
    rig.loop.call(server.close).result(30)
    taken.close()

    assert rig.loop.call(server.open) == taken.port
    rig.loop.call(server.close).result(30)


def test_a_port_that_is_not_permitted_is_told(rig: Rig) -> None:
    """Where low ports are for root, the error says so."""
    if os.geteuid() == 0:
        pytest.skip("root may listen anywhere")
    with pytest.raises(OutputError, match="not permitted"):
        rig.loop.call(Server(RTSPServerSettings(port=1)).open)


@pytest.mark.parametrize(
    "settings",
    [
        {"address": "203.0.113.7", "allow_anonymous": True},
        {"address": "0.0.0.0"},
        {"certificate": "/no/such/file.pem"},
        {"rtp_ports": (5, 5)},
    ],
)
def test_settings_that_cannot_be_are_told_at_open(rig: Rig, settings: dict[str, Any]) -> None:
    """Opening checks everything again: settings may come from another process."""
    server = Server(RTSPServerSettings(port=0, **settings))

    with pytest.raises(SettingsError):
        rig.loop.call(server.open)
    rig.loop.call(server.close).result(30)


def test_a_mount_that_cannot_be_is_told(rig: Rig, serving: Serving) -> None:
    """A bad path, a taken path and a pipeline that is none raise, and change nothing."""
    for path in ("cam", "/a b", "/"):
        with pytest.raises(SettingsError, match="mount path"):
            serving.mount(path, Hub())
    with pytest.raises(SettingsError, match="taken"):
        serving.mount("/cam", Hub())
    for text, why in (("no_such_element", "no_such_element"), ("fakesrc ! fakesink", "pay0")):
        with pytest.raises(SettingsError, match=why):
            rig.loop.call(serving.server.mount_launch, "/test", text)

    assert len(read_frames(serving.url(), 3)) == 3


def test_calls_at_the_wrong_time_are_told(rig: Rig) -> None:
    """Mounting on a closed server and opening an open one raise; the rest does nothing."""
    server = Server(RTSPServerSettings(port=0))
    with pytest.raises(StateError):
        rig.loop.call(server.mount, "/cam", source_of(Hub()))
    rig.loop.call(server.unmount, "/cam")
    rig.loop.call(server.close).result(30)
    assert rig.loop.call(server.viewers, "/cam") == 0

    rig.loop.call(server.open)
    with pytest.raises(StateError):
        rig.loop.call(server.open)
    rig.loop.call(server.close).result(30)
    rig.loop.call(server.close).result(30)


def test_users_log_in_with_a_digest(rig: Rig, stream: NumberedStream) -> None:
    """The right password plays with ffmpeg and GStreamer; anything else gets a 401."""
    serving = rig.serve(users={"anna": "s3cret", "bert": "pw two"})
    serving.mount("/cam", stream.hub)

    assert len(ffmpeg_frames(serving.url(login="anna:s3cret@"), 5)) == 5
    assert len(read_frames(serving.url(login="anna:s3cret@"), 5)) == 5
    for login in ("", "anna:wrong@", "carl:s3cret@"):
        with pytest.raises(RuntimeError, match="401 Unauthorized"):
            ffmpeg_frames(serving.url(login=login), 1)


def test_the_password_is_never_asked_for_in_clear(rig: Rig, stream: NumberedStream) -> None:
    """Only digest is offered, a basic login is refused, and nothing is shown before the login."""
    serving = rig.serve(users={"anna": "s3cret"})
    serving.mount("/cam", stream.hub)

    with RawClient(serving.url()) as client:
        refused = client.describe()
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Digest ")
        login = base64.b64encode(b"anna:s3cret").decode()
        basic = client.ask("DESCRIBE", Authorization=f"Basic {login}")
        assert basic.status == 401
        assert client.ask("SETUP", serving.url() + "/stream=0", Transport="RTP/AVP").status == 401
        assert not stream.hub.wanted(0)
        challenge = client.describe().headers["www-authenticate"]
        answer = client.login("anna", "s3cret", challenge)
        assert client.ask("DESCRIBE", Authorization=answer).status == 200


def test_a_wide_address_serves_with_users(rig: Rig, stream: NumberedStream) -> None:
    """Listening everywhere works over TCP and UDP once there is a login."""
    serving = rig.serve(address="0.0.0.0", users={"anna": "s3cret"})
    serving.mount("/cam", stream.hub)
    url = f"rtsp://anna:s3cret@127.0.0.1:{serving.port}/cam"

    for protocol in ("tcp", "udp"):
        assert len(read_frames(url, 5, protocols=protocol)) == 5


def test_rtsps_plays_encrypted_and_nothing_else_does(
    rig: Rig, stream: NumberedStream, certificate: tuple[Path, Path]
) -> None:
    """With a certificate GStreamer and ffmpeg play over TLS; clear text and UDP get nothing."""
    serving = rig.serve(certificate=str(certificate[0]), key=str(certificate[1]))
    url = serving.mount("/cam", stream.hub)

    assert url.startswith("rtsps://")
    assert len(read_frames(url, 10)) == 10
    assert len(read_frames(url, 10, protocols="udp+tcp")) == 10
    assert len(ffmpeg_frames(url, 5)) == 5
    with watching(url, protocols="udp") as client:
        client.wait_end()
        assert client.frames == []
    with pytest.raises(RuntimeError):
        ffmpeg_frames(url.replace("rtsps:", "rtsp:"), 1)


def test_rtsps_with_users(rig: Rig, stream: NumberedStream, certificate: tuple[Path, Path]) -> None:
    """A login works over TLS, and is still needed there."""
    serving = rig.serve(
        certificate=str(certificate[0]), key=str(certificate[1]), users={"anna": "s3cret"}
    )
    serving.mount("/cam", stream.hub)

    assert len(ffmpeg_frames(serving.url(login="anna:s3cret@"), 5)) == 5
    with pytest.raises(RuntimeError, match="401"):
        ffmpeg_frames(serving.url(), 1)


def test_a_silent_handshake_holds_nobody_up(
    rig: Rig, stream: NumberedStream, certificate: tuple[Path, Path]
) -> None:
    """Connections that never finish the TLS handshake leave the others their picture."""
    serving = rig.serve(certificate=str(certificate[0]), key=str(certificate[1]))
    url = serving.mount("/cam", stream.hub)

    silent = [socket.create_connection(("127.0.0.1", serving.port), 5) for _ in range(5)]
    try:
        silent[0].sendall(b"\x16\x03\x01")
        with watching(url) as client:
            client.wait(10)
            silent[1].sendall(b"\x16\x03\x01\x02\x00")
            client.wait_more(30)
    finally:
        for one in silent:
            one.close()


def test_multicast_is_refused(serving: Serving) -> None:
    """Video reaches those who ask, not whoever is on the network."""
    with RawClient(serving.url()) as client:
        assert client.describe().status == 200
        for transport in (
            "RTP/AVP;multicast",
            "RTP/AVP;multicast;destination=239.1.1.1;port=7000-7001",
        ):
            reply = client.ask("SETUP", serving.url() + "/stream=0", Transport=transport)
            assert reply.status == 461


def test_unmounting_ends_the_viewers_clearly(serving: Serving) -> None:
    """Viewers over TCP and UDP hear a goodbye, then are disconnected; newcomers get a 404."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(watching(serving.url(), protocols=protocol))
            for protocol in ("tcp", "udp")
        ]
        raw = stack.enter_context(RawClient(serving.url()))
        describer = stack.enter_context(RawClient(serving.url()))
        raw.play()
        describer.describe()
        for client in clients:
            client.wait(5)

        serving.unmount("/cam")

        for client in clients:
            assert client.wait_end() == "end of stream"
        raw.wait_closed()
        describer.wait_closed()
        with RawClient(serving.url()) as late:
            assert late.describe().status == 404
        assert serving.viewers() == 0


def test_a_path_can_be_mounted_again_at_once(serving: Serving, stream: NumberedStream) -> None:
    """After unmount and mount a new viewer plays, while the old ones are still being told."""
    with watching(serving.url()) as old:
        old.wait(5)
        serving.unmount("/cam")
        serving.mount("/cam", stream.hub)
        with watching(serving.url()) as new:
            new.wait(5)
            old.wait_end()
            new.wait_more(30)


def test_unmounting_leaves_the_other_paths_alone(rig: Rig, serving: Serving) -> None:
    """Only the viewers of that path are told."""
    other = rig.stream()
    url = serving.mount("/other", other.hub)

    with watching(url) as stays, watching(serving.url()) as leaves:
        stays.wait(5)
        leaves.wait(5)
        serving.unmount("/cam")
        leaves.wait_end()
        stays.wait_more(30)


def test_closing_frees_the_port_and_disconnects_everybody(
    rig: Rig, serving: Serving, stream: NumberedStream
) -> None:
    """When close returns, the port can be bound again, and clients have been hung up on."""
    with watching(serving.url(), protocols="udp") as client, RawClient(serving.url()) as raw:
        client.wait(5)
        raw.play()

        serving.close()

        again = rig.serve(port=serving.port)
        assert again.port == serving.port
        raw.wait_closed()
        client.wait_end()
        assert stream.hub.subscriber_count == 0
        assert len(read_frames(again.mount("/cam", stream.hub), 5)) == 5


def test_closing_right_after_unmounting_is_complete(serving: Serving) -> None:
    """A goodbye that is still being said does not keep anything."""
    with watching(serving.url()) as client:
        client.wait(5)
        serving.unmount("/cam")
        serving.close()
        client.wait_end()
    assert f":{serving.port}" not in " ".join(own_tcp_listeners())


def test_opening_and_closing_many_times_leaves_nothing(rig: Rig, stream: NumberedStream) -> None:
    """Descriptors and threads are the same after a dozen servers with viewers."""

    def once() -> None:
        server = Server(RTSPServerSettings(port=0))
        port = rig.loop.call(server.open)
        rig.loop.call(server.mount, "/cam", source_of(stream.hub))
        client = RawClient(f"rtsp://127.0.0.1:{port}/cam")
        client.play()
        client.packet()
        rig.loop.call(server.close).result(30)
        client.wait_closed()
        client.close()

    for _ in range(3):
        once()
    until(lambda: stream.hub.subscriber_count == 0)
    descriptors, threads = open_things()
    for _ in range(12):
        once()

    # GLib keeps a few idle threads for a while; what counts is that they do not add up.
    until(lambda: open_things()[0] <= descriptors and open_things()[1] <= threads + 4)


def test_server_threads_have_gone_after_close(rig: Rig, stream: NumberedStream) -> None:
    """No thread of a media or of RTCP outlives the server."""
    before = threading.active_count()
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    with RawClient(serving.url()) as client:
        client.play()
        client.packet()
        assert thread_names() & {"feed:src", "rtpsession-rtcp"}
        serving.close()

    until(lambda: not any(re.match("feed|rtpsession|udpsrc", one) for one in thread_names()))
    until(lambda: threading.active_count() <= before)


def thread_names() -> set[str]:
    """List the names of this process's threads, GStreamer's included."""
    names = set()
    for task in Path("/proc/self/task").iterdir():
        # Gone meanwhile.
        with suppress(OSError):
            names.add((task / "comm").read_text().strip())
    return names
