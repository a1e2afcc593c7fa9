"""Video leaves by the address that was named, and by no other."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from backpack.rtsp import RTSPServer, RTSPSpyGlass
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Stage


def local_addresses(pid: int, kind: str) -> list[str]:
    """List the local addresses of a process's sockets, as the kernel knows them."""
    said = subprocess.run(
        ["ss", "-Hna", "-p", "-t" if kind == "tcp" else "-u"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # ss pads its columns; the local address is the fourth of UDP's and TCP's alike.
    return [line.split()[3] for line in said.splitlines() if f"pid={pid}," in line]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_all_sockets_are_bound_to_the_named_address(stage: Stage, address: str) -> None:
    """While UDP clients play, RTSP, RTP and RTCP sockets have the named address only."""
    server = RTSPServer(0, address=address)
    stage.finally_do(server.stop)
    server.start()
    spyglass = RTSPSpyGlass(server, "/cam", required=True)
    stage.finally_do(spyglass.stop_streaming)
    spyglass.start_streaming()
    stage.putter(spyglass, fps=20)
    for _ in range(2):
        stage.viewer(spyglass.urls()[0], protocols="udp").wait(5)
    pid = spyglass.stats().streamer_pid or 0

    udp, tcp = local_addresses(pid, "udp"), local_addresses(pid, "tcp")

    assert len(udp) >= 2, "one for RTP, one for RTCP"
    host = f"[{address}]" if ":" in address else address
    assert {one.rpartition(":")[0] for one in [*udp, *tcp]} == {host}


def test_rtp_ports_are_kept_to(stage: Stage) -> None:
    """rtp_ports= names the UDP ports that a firewall has to let through."""
    server = RTSPServer(0, rtp_ports=(39_000, 39_019))
    stage.finally_do(server.stop)
    server.start()
    spyglass = RTSPSpyGlass(server, "/cam", required=True)
    stage.finally_do(spyglass.stop_streaming)
    spyglass.start_streaming()
    stage.putter(spyglass, fps=20)
    stage.viewer(spyglass.urls()[0], protocols="udp").wait(5)

    ports = [
        int(one.rpartition(":")[2])
        for one in local_addresses(spyglass.stats().streamer_pid or 0, "udp")
    ]

    assert len(ports) >= 2
    assert all(39_000 <= port <= 39_019 for port in ports)


def test_no_udp_socket_is_open_without_udp_clients(stage: Stage) -> None:
    """Viewers over TCP open none."""
    spyglass = stage.spyglass()
    stage.putter(spyglass, fps=20)
    stage.viewer(spyglass.urls()[0], protocols="tcp").wait(5)

    # Those of the viewers of an earlier test may be closing still.
    wait_for(lambda: local_addresses(spyglass.stats().streamer_pid or 0, "udp") == [])
