"""
List the encoders that may be there, best first, and how each is told things.

A row holds what differs from one element to the next: the names and units of
its properties, and what has to stand in front of it. A property that an
element of some version lacks is left out; only the bit rate is essential.
Whether a row works on a machine is not guessed but tried
(`backpack._worker.encoding.trial`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_NEVER: Final = 1_000_000
"""Pictures between key frames: so many that they are made on demand alone."""

_BASELINE: Final = "video/x-h264,profile=(string){constrained-baseline,baseline}"

_Settings = tuple[tuple[str, bool | int | str], ...]


@dataclass(frozen=True)
class EncoderSpec:
    """
    One H.264 encoder of GStreamer.

    Attributes:
        name: The element's name.
        source: Where names, units and ranges are from.
        bitrate: The property that holds the bit rate; ``structure.field``
            for one that is a field of a structure.
        bitrate_unit_bps: How many bits a second one of its units is.
        settings: Properties that are set once, with their values.
        threads: The property that holds the number of threads.
        buffer: The property that holds the size of the rate control's buffer.
        buffer_unit: What that is counted in: ``ms``, ``kbit`` or ``bit``.
        raw_formats: What is handed in, the best first; the first that the
            element takes is made.
        in_front: Elements, and caps between them, that stand before it.
        caps: What is asked of its output.
        bitrate_while_playing: Whether a new bit rate takes effect at once;
            if not, the pipeline is restarted for it.
        measures_rate: Whether it goes by the pictures' own times rather than
            by the rate in the caps.
        hardware: Whether it leaves the CPU alone.
        delay_pictures: How many pictures it may keep inside.

    """

    name: str
    source: str
    bitrate: str = "bitrate"
    bitrate_unit_bps: int = 1000
    settings: _Settings = ()
    threads: str | None = None
    buffer: str | None = None
    buffer_unit: str = "ms"
    raw_formats: tuple[str, ...] = ("NV12", "I420")
    in_front: tuple[str, ...] = ()
    caps: str = _BASELINE
    bitrate_while_playing: bool = True
    measures_rate: bool = False
    hardware: bool = True
    delay_pictures: int = field(default=2)


# The older and the newer generation of these elements name some things
# differently; what an element does not know is left out.
_NVENC: Final = (
    ("preset", "low-latency-hp"),
    ("preset", "p1"),
    ("tune", "ultra-low-latency"),
    ("rc-mode", "cbr"),
    ("zerolatency", True),
    ("zero-reorder-delay", True),
    ("bframes", 0),
    ("b-frames", 0),
    ("rc-lookahead", 0),
    ("gop-size", -1),
    ("repeat-sequence-header", True),
    ("aud", False),
)

_VA: Final = (
    ("rate-control", "cbr"),
    # Ends at 1,024; a key frame nobody asked for is complete, too.
    ("key-int-max", _NEVER),
    ("b-frames", 0),
    ("target-usage", 7),
    ("ref-frames", 1),
    ("aud", False),
)

_CONTROLS: Final = (
    "controls,video_bitrate=2500000,video_bitrate_mode=1,repeat_sequence_header=1,"
    f"h264_i_frame_period={_NEVER},video_gop_size={_NEVER},video_b_frames=0"
)

ENCODERS: Final[tuple[EncoderSpec, ...]] = (
    EncoderSpec(
        name="nvv4l2h264enc",
        source="NVIDIA's gst-v4l2 sources of JetPack 5; Accelerated GStreamer guide",
        bitrate_unit_bps=1,
        settings=(
            ("control-rate", "constant_bitrate"),
            ("preset-level", "UltraFastPreset"),
            ("profile", "Baseline"),
            ("iframeinterval", _NEVER),
            ("idrinterval", _NEVER),
            ("num-B-Frames", 0),
            ("insert-sps-pps", True),
            ("insert-vui", True),
            ("maxperf-enable", True),
            # 2: the order of output is the order of input, so decoders wait
            # for nothing.
            ("poc-type", 2),
        ),
        raw_formats=("I420",),
        in_front=("nvvidconv", "video/x-raw(memory:NVMM),format=NV12"),
        # The profile is a property here; in caps it is not always understood.
        caps="video/x-h264",
    ),
    EncoderSpec(
        name="nvh264enc",
        source="gstreamer.freedesktop.org/documentation/nvcodec/nvh264enc.html; gstnvbaseenc.c",
        settings=_NVENC,
    ),
    EncoderSpec(
        name="nvcudah264enc",
        source="gstreamer.freedesktop.org/documentation/nvcodec/nvcudah264enc.html",
        settings=_NVENC,
    ),
    EncoderSpec(
        name="vah264enc",
        source="gstreamer.freedesktop.org/documentation/va/vah264enc.html; gstvah264enc.c",
        settings=_VA,
        raw_formats=("NV12",),
    ),
    EncoderSpec(
        name="vah264lpenc",
        source="gstreamer.freedesktop.org/documentation/va/vah264lpenc.html",
        settings=_VA,
        raw_formats=("NV12",),
    ),
    EncoderSpec(
        name="vaapih264enc",
        source="gstreamer.freedesktop.org/documentation/vaapi/vaapih264enc.html",
        settings=(
            ("rate-control", "cbr"),
            ("keyframe-period", _NEVER),
            ("max-bframes", 0),
            ("quality-level", 7),
            ("refs", 1),
        ),
    ),
    EncoderSpec(
        name="qsvh264enc",
        source="gstreamer.freedesktop.org/documentation/qsv/qsvh264enc.html; gstqsvh264enc.cpp",
        settings=(
            ("rate-control", "cbr"),
            ("low-latency", True),
            ("target-usage", 7),
            ("gop-size", _NEVER),
            ("b-frames", 0),
            ("ref-frames", 1),
        ),
        raw_formats=("NV12",),
    ),
    EncoderSpec(
        name="v4l2h264enc",
        source="gstreamer.freedesktop.org/documentation/video4linux2/v4l2h264enc.html; names of "
        "the controls as `v4l2-ctl --list-ctrls` prints them for the Raspberry Pi's bcm2835-codec",
        # Bits a second of the whole stream; set with all others at start.
        bitrate="extra-controls.video_bitrate",
        bitrate_unit_bps=1,
        settings=(
            (
                "extra-controls",
                _CONTROLS,
            ),
        ),
        raw_formats=("I420", "NV12"),
        # The Raspberry Pi's driver starts at level 1 unless it is told one.
        caps=_BASELINE + ",level=(string)4",
        bitrate_while_playing=False,
    ),
    EncoderSpec(
        name="mpph264enc",
        source="gstmppenc.c and gstmpph264enc.c of gstreamer-rockchip",
        bitrate="bps",
        bitrate_unit_bps=1,
        settings=(
            ("rc-mode", "cbr"),
            ("header-mode", "each-idr"),
            ("profile", "baseline"),
            ("gop", _NEVER),
        ),
        caps="video/x-h264",
    ),
    EncoderSpec(
        name="vtenc_h264_hw",
        source="gstreamer.freedesktop.org/documentation/applemedia/vtenc_h264_hw.html",
        settings=(
            ("realtime", True),
            ("allow-frame-reordering", False),
            ("max-keyframe-interval", _NEVER),
            ("rate-control", "cbr"),
        ),
    ),
    EncoderSpec(
        name="x264enc",
        source="gst-inspect-1.0 of GStreamer 1.22; x264 --fullhelp",
        settings=(
            ("speed-preset", "ultrafast"),
            ("tune", "zerolatency"),
            ("pass", "cbr"),
            ("key-int-max", _NEVER),
            ("bframes", 0),
            ("byte-stream", True),
            ("aud", False),
            ("option-string", "scenecut=0"),
        ),
        threads="threads",
        buffer="vbv-buf-capacity",
        raw_formats=("I420", "NV12"),
        hardware=False,
        delay_pictures=0,
    ),
    EncoderSpec(
        name="openh264enc",
        source="gst-inspect-1.0 of GStreamer 1.22; openh264's codec_app_def.h",
        bitrate_unit_bps=1,
        settings=(
            ("usage-type", "camera"),
            ("complexity", "low"),
            ("rate-control", "bitrate"),
            ("gop-size", 0),
            ("scene-change-detection", False),
            ("enable-frame-skip", False),
            ("multi-thread", 1),
        ),
        # It has its own measure of the rate: told twice the bits for half the
        # nominal rate it spends twice too much.
        measures_rate=True,
        raw_formats=("I420",),
        hardware=False,
        delay_pictures=0,
    ),
)


def find_spec(name: str) -> EncoderSpec | None:
    """Return the row of the element ``name``, or None if the table has none."""
    return next((spec for spec in ENCODERS if spec.name == name), None)
