from __future__ import annotations

import socket

import pytest

from backpack._outputs.gst.worker.far_side import FarSide, explain, far_sides


@pytest.mark.parametrize(
    ("pipeline", "found"),
    [
        (
            "h264parse ! tcpclientsink host=10.0.0.7 port=9000",
            [FarSide("10.0.0.7", 9000, is_tcp=True)],
        ),
        (
            'h264parse ! udpsink host="cam.example" port=5',
            [FarSide("cam.example", 5, is_tcp=False)],
        ),
        (
            "h264parse ! rtspclientsink location=rtsp://me:secret@media.example/door",
            [FarSide("media.example", 554, is_tcp=True)],
        ),
        (
            "flvmux ! rtmp2sink location=rtmp://media.example/live/key",
            [FarSide("media.example", 1935, is_tcp=True)],
        ),
        ("mpegtsmux ! srtsink uri=srt://[::1]:9000", [FarSide("::1", 9000, is_tcp=False)]),
        ("mpegtsmux ! srtsink uri=srt://:9000?mode=listener", []),
        ("mpegtsmux ! srtsink uri=srt://0.0.0.0:9000 mode=listener", []),
        ("h264parse ! mpegtsmux ! filesink location=/var/video/out.ts", []),
        ("tcpserversink host=127.0.0.1 port=9000", []),
        ("rtspclientsink location=rtsp://[broken/door", []),
        ("rtspclientsink location=rtsp://host:99999/door", []),
    ],
)
def test_the_hosts_that_a_pipeline_connects_to(pipeline: str, found: list[FarSide]) -> None:
    """From URLs and from properties; whatever listens connects to nobody."""
    assert far_sides(pipeline) == found


def test_a_refused_connection_is_named() -> None:
    """With host and port, and without the rest of the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = f"rtspclientsink location=rtsp://me:secret@127.0.0.1:{port}/door"
    assert explain(text) == f"127.0.0.1:{port} refuses the connection"


def test_a_name_that_does_not_resolve_is_named() -> None:
    """RFC 6761 keeps ``.invalid`` for names that never resolve."""
    text = "mpegtsmux ! srtsink uri=srt://nowhere.invalid:9000"
    assert explain(text).startswith("the name nowhere.invalid cannot be resolved (")


def test_a_host_that_takes_connections_explains_nothing() -> None:
    """Then the reason is another one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert explain(f"tcpclientsink host=127.0.0.1 port={server.getsockname()[1]}") == ""
