from __future__ import annotations

import socket
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.cli.commands import FREE_PORT, run, running, shown


def test_the_demo_tells_how_to_watch_and_can_be_watched() -> None:
    """Without an argument but the address, it prints the URL and commands that play it."""
    with running("demo", FREE_PORT) as demo:
        demo.wait_line(demo.out, "ffplay .*rtsp://127.0.0.1:")
        url = demo.out[1].strip()
        assert shown(url, "960")
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
        taken = f"rtsp://127.0.0.1:{other.getsockname()[1]}/demo"
        done = run("demo", taken)
        both = run("demo", "http://[::1]:0/demo", taken)

    assert done.process.returncode == both.process.returncode == 1
    assert done.err[-1].endswith(" spyglass demo rtsp://127.0.0.1:0/demo")
    # The page, too, where there was to be one.
    assert both.err[-1].endswith(" spyglass demo http://[::1]:0/demo rtsp://127.0.0.1:0/demo")


@pytest.mark.parametrize("command", [("demo",), ("serve", "testsrc")])
def test_without_a_url_there_are_a_page_and_rtsp(command: tuple[str, ...]) -> None:
    """Both are printed, both on this machine only, and the page lets in who has its address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.connect_ex(("127.0.0.1", 8554)) == 0:
            pytest.skip("another program listens on RTSP's usual port")
    with running(*command) as serving:
        serving.wait_line(serving.out, "rtsp://127.0.0.1:8554/")
        page = next(line.strip() for line in serving.out if "http://127.0.0.1:" in line)
        with build_opener(HTTPCookieProcessor()).open(page, timeout=30) as answer:
            assert answer.status == 200
            assert b"<html" in answer.read()
        assert serving.end() == 0
    assert "token=" not in "\n".join(serving.err)
