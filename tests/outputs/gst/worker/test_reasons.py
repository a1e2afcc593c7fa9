from __future__ import annotations

import pytest

from backpack._gst.gi import GLib, Gst
from backpack._outputs.gst.worker.reasons import mask, reason_of

PLACE = "gsttcpclientsink.c(366): gst_tcp_client_sink_start (): /GstPipeline:pipeline0"


@pytest.mark.parametrize(
    ("message", "debug", "reason"),
    [
        (
            "Could not open resource for writing.",
            f"{PLACE}:\nFailed to connect to host '10.0.0.7:9': Connection refused",
            "fakesink: Failed to connect to host '10.0.0.7:9': Connection refused",
        ),
        (
            'Could not open file "/nowhere/x" for writing.',
            f"{PLACE}:\nsystem error: missing",
            'fakesink: Could not open file "/nowhere/x" for writing: system error: missing',
        ),
        ("Connection refused.", PLACE, "fakesink: Connection refused"),
        ("Connection refused.", "", "fakesink: Connection refused"),
        ("No route: domain g-io-error-quark, code 38", "", "fakesink: No route"),
        ("GStreamer error: state change failed.", f"{PLACE}:\nFailed to start", None),
    ],
)
def test_the_reason_is_where_the_element_has_put_it(
    message: str, debug: str, reason: str | None
) -> None:
    """In the debug text where the message only names the kind of failure, in both, or in one."""
    element = Gst.ElementFactory.make("fakesink", None)
    error = GLib.Error.new_literal(Gst.ResourceError.quark(), message, Gst.ResourceError.OPEN_WRITE)
    found = reason_of(Gst.Message.new_error(element, error, debug))
    assert found == (reason or f"fakesink: {message.rstrip('.')}")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to rtsp://me:secret@10.0.0.7:554/door failed", "to rtsp://10.0.0.7:554 failed"),
        ("rtmp://media.example/live2/my-stream-key?token=x.", "rtmp://media.example"),
        ("srt://10.0.0.7:9?passphrase=secret&latency=5", "srt://10.0.0.7:9"),
        ("passphrase=secret latency=5", "passphrase=*** latency=5"),
        ("user-pw: secret", "user-pw: ***"),
        ("the key frame is missing", "the key frame is missing"),
    ],
)
def test_secrets_are_hidden(text: str, masked: str) -> None:
    """Logins, and the paths of URLs, in which stream keys stand."""
    assert mask(text) == masked
