from __future__ import annotations

import re
from fractions import Fraction

import pytest

from backpack._gst.gi import Gst
from backpack._media.bits import BitWriter
from backpack._media.h264 import (
    COLOUR,
    ParameterSetWriter,
    has_b_slices,
    nal_types,
    read_sps,
)
from tests.caps import field

# As openh264enc of Debian 12 writes it: 1920x1080, without a word on colours.
SILENT = bytes.fromhex("00000001 6742c0288c8d403c0113f2c03c2211a8 00000001 68ce3c80 00000001 65b8")
# As x264enc writes it: SMPTE 170M, and timing behind it.
DESCRIBED = bytes.fromhex(
    "00000001 6742c028da01e0089f97016a0c0c0c80000003008000001e478c195000000001 68ce3c80 000001 65b8"
)


def encoded(text: str) -> bytes:
    """Let GStreamer encode one picture and give its access unit."""
    pipeline = Gst.parse_launch(
        f"videotestsrc num-buffers=1 ! {text} ! video/x-h264,stream-format=byte-stream,alignment=au"
        " ! appsink name=sink sync=false"
    )
    pipeline.set_state(Gst.State.PLAYING)
    try:
        buffer = pipeline.get_by_name("sink").try_pull_sample(20 * Gst.SECOND).get_buffer()
        return bytes(buffer.extract_dup(0, buffer.get_size()))
    finally:
        pipeline.set_state(Gst.State.NULL)


def test_the_units_of_a_picture_are_listed() -> None:
    """Start codes of three and of four bytes part them."""
    assert nal_types(SILENT) == [7, 8, 5]
    assert nal_types(DESCRIBED) == [7, 8, 5]
    assert nal_types(b"no start code") == []


def test_a_parameter_set_is_read() -> None:
    """Size after cropping, profile, colours and rate."""
    sps = read_sps(SILENT)
    assert sps is not None
    assert (sps.profile, sps.width, sps.height, sps.colour) == (66, 1920, 1080, None)
    assert (sps.rate, sps.has_fixed_rate) == (None, False)
    sps = read_sps(DESCRIBED)
    assert sps is not None
    assert (sps.width, sps.height, sps.colour, sps.full_range) == (1920, 1080, (6, 6, 6), False)
    assert (sps.rate, sps.has_fixed_rate) == (30, True)
    assert read_sps(b"\x00\x00\x01\x65\xb8") is None


@pytest.mark.parametrize("profile", ["baseline", "main", "high", "high-4:4:4"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (322, 242), (16, 16)])
def test_parameter_sets_of_all_profiles_are_read(profile: str, width: int, height: int) -> None:
    """What x264 writes for any profile and size is understood."""
    raw = "Y444" if profile == "high-4:4:4" else "I420"
    unit = encoded(
        f"video/x-raw,format={raw},width={width},height={height} ! x264enc "
        f"! video/x-h264,profile=(string){profile} ! identity"
    )
    sps = read_sps(unit)
    assert sps is not None
    assert (sps.width, sps.height) == (width, height)


def test_colours_are_described_where_the_encoder_is_silent() -> None:
    """Nothing but the parameter set changes, and a second key frame is the same."""
    describer = ParameterSetWriter()
    described = describer.describe(SILENT)

    sps = read_sps(described)
    assert sps is not None
    assert (sps.profile, sps.width, sps.height, sps.colour) == (66, 1920, 1080, COLOUR)
    assert described.endswith(SILENT[-14:])
    assert describer.describe(SILENT) == described
    assert describer.describe(described) == described


def test_a_wrong_description_is_replaced_and_the_rest_kept() -> None:
    """BT.709 from an encoder that guessed becomes ours; what stands behind it stays."""
    unit = encoded(
        "video/x-raw,format=I420,width=1280,height=720,framerate=25/1,colorimetry=bt709 ! x264enc"
    )
    before = read_sps(unit)
    assert before is not None
    assert before.colour == (1, 1, 1)

    after = ParameterSetWriter(Fraction(25)).describe(unit)

    sps = read_sps(after)
    assert sps is not None
    assert sps.colour == COLOUR
    assert len(after) == pytest.approx(len(unit), abs=2)
    begin = after.index(b"\x00\x00\x01\x67") + 3
    parameters = after[begin : after.index(b"\x00\x00\x01", begin)].rstrip(b"\x00")
    assert not re.search(b"\x00\x00[\x00-\x02]", parameters)
    assert b"\x00\x00\x03" in parameters
    assert caps_of(after) == {"colorimetry": "2:4:5:1", "framerate": "25/1"}


@pytest.mark.parametrize("data", [SILENT, DESCRIBED], ids=["silent", "described"])
@pytest.mark.parametrize("rate", [None, Fraction(3), Fraction(30000, 1001)])
def test_only_a_promised_rate_is_written_and_never_as_a_fixed_one(
    data: bytes, rate: Fraction | None
) -> None:
    """Who believes a fixed rate plays at it, whatever the times of the pictures are."""
    sps = read_sps(ParameterSetWriter(rate).describe(data))

    assert sps is not None
    assert (sps.rate, sps.has_fixed_rate) == (rate, False)
    assert (sps.width, sps.height, sps.colour) == (1920, 1080, COLOUR)


def caps_of(unit: bytes) -> dict[str, str]:
    """Ask GStreamer's parser what it reads in a parameter set."""
    pipeline = Gst.parse_launch("appsrc name=source ! h264parse ! appsink name=sink sync=false")
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    source.set_caps(Gst.Caps.from_string("video/x-h264,stream-format=byte-stream,alignment=au"))
    pipeline.set_state(Gst.State.PLAYING)
    try:
        source.push_buffer(Gst.Buffer.new_wrapped(unit))
        source.end_of_stream()
        caps = sink.try_pull_sample(20 * Gst.SECOND).get_caps()
        return {name: field(caps, name) for name in ("colorimetry", "framerate")}
    finally:
        pipeline.set_state(Gst.State.NULL)


def test_another_parser_agrees() -> None:
    """GStreamer reads in a completed parameter set what was written."""
    rate = Fraction(15)
    found = caps_of(ParameterSetWriter(rate).describe(SILENT))
    assert found == {"colorimetry": "2:4:5:1", "framerate": "15/1"}


@pytest.mark.parametrize("length", range(5, 12))
def test_a_broken_parameter_set_is_a_value_error(length: int) -> None:
    """Whatever its length, and never an endless loop."""
    with pytest.raises(ValueError, match="too early"):
        ParameterSetWriter().describe(SILENT[:length])


@pytest.mark.parametrize(("kind", "found"), [(0, False), (1, True), (2, False), (6, True)])
def test_b_slices_are_found(kind: int, found: bool) -> None:  # noqa: FBT001
    """Slice types 1 and 6 are B (table 7-6)."""
    writer = BitWriter()
    writer.unsigned(0)
    writer.unsigned(kind)
    assert has_b_slices(b"\x00\x00\x01\x41" + writer.finish() + b"\x55" * 20) is found
