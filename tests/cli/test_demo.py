from __future__ import annotations

import socket

from tests.cli.commands import FREE_PORT, run, running
from tests.clients import ffprobe


def test_the_demo_tells_how_to_watch_and_can_be_watched() -> None:
    """Without an argument but the address, it prints the URL and commands that play it."""
    with running("demo", FREE_PORT) as demo:
        demo.wait_line(demo.out, "ffplay .*rtsp://127.0.0.1:")
        url = demo.out[1].strip()
        assert ffprobe(url)["width"] == "960"
        assert demo.end() == 0

    assert any("vlc" in line and url in line for line in demo.out)
    assert any("gst-launch-1.0" in line and url in line for line in demo.out)


def test_the_demo_ends_by_itself_with_its_bill() -> None:
    """--seconds ends it with status 0; the last line says what it cost."""
    done = run("demo", FREE_PORT, "--seconds", "2")

    assert done.process.returncode == 0
    assert "put()" in done.err[-1]


def test_a_taken_port_has_a_way_out() -> None:
    """Where the usual port is taken, the demo says how to take another one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run("demo", f"rtsp://127.0.0.1:{other.getsockname()[1]}/demo")

    assert done.process.returncode == 1
    assert "spyglass demo rtsp://127.0.0.1:0/demo" in done.err[-1]
