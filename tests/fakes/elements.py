"""
Stand in for encoders of hardware that is not here.

Each is a real GStreamer element around a software encoder, with the property
names, types, ranges and units of the real one (from the sources that the
encoder table names), and refuses what that one would refuse. `register` puts
them into the registry of this process; `tests/fakes/run.py` does so in a
trial's. Their ways to fail: `Hanging`, `Crashing`, `Dying`, `Silent`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import gi

from backpack._gst.gi import GLib, Gst

gi.require_version("GstBase", "1.0")
from gi.repository import GObject, GstBase  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READ_WRITE = GObject.ParamFlags.READWRITE
MAX_UINT = 2**32 - 1
MAX_INT = 2**31 - 1

BASELINE = "video/x-h264,stream-format=byte-stream,alignment=au,profile=constrained-baseline"

# Set when a test is over, so that what hangs on purpose can end.
release = threading.Event()

_gobject = ctypes.CDLL("libgobject-2.0.so.0")
_kept: list[Any] = []


class _EnumValue(ctypes.Structure):
    _fields_: ClassVar = [
        ("value", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("nick", ctypes.c_char_p),
    ]


def enum_type(name: str, *nicks: str) -> GObject.GType:
    """Make an enum of GObject, as PyGObject 3.42 has no way to."""
    values = [_EnumValue(number, nick.encode(), nick.encode()) for number, nick in enumerate(nicks)]
    array = (_EnumValue * (len(values) + 1))(*values, _EnumValue(0, None, None))
    _kept.append(array)
    _gobject.g_enum_register_static.restype = ctypes.c_size_t
    _gobject.g_enum_register_static.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    _gobject.g_enum_register_static(name.encode(), array)
    return GObject.GType.from_name(name)


def uint(low: int, high: int, default: int) -> tuple[Any, ...]:
    """Describe a property that is an unsigned number."""
    return (GObject.TYPE_UINT, "", "", low, high, default, READ_WRITE)


def boolean(*, default: bool) -> tuple[Any, ...]:
    """Describe a property that is true or false."""
    return (GObject.TYPE_BOOLEAN, "", "", default, READ_WRITE)


def choice(kind: GObject.GType, default: int) -> tuple[Any, ...]:
    """Describe a property that is one of some words."""
    return (kind, "", "", default, READ_WRITE)


def show_pads(outer: Gst.Bin, first: Gst.Element, last: Gst.Element) -> None:
    """Give a bin the pads of its first and last element, with its own templates."""
    # While GObject makes an instance, the instance does not know them yet.
    sink, source = type(outer).__gsttemplates__
    for template, pad in (
        (sink, first.get_static_pad("sink")),
        (source, last.get_static_pad("src")),
    ):
        name = template.name_template
        outer.add_pad(Gst.GhostPad.new_from_template(name, pad, template))


class StandIn(Gst.Bin):
    """A bin around x264enc that looks like another encoder."""

    sink_caps: ClassVar[str]
    raw_format: ClassVar[str] = "NV12"
    bitrate_property: ClassVar[str] = "bitrate"
    bits_per_unit: ClassVar[int] = 1000

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self.convert = Gst.ElementFactory.make("videoconvert")
        self.inner = Gst.ElementFactory.make("x264enc")
        for name, value in (("speed-preset", 1), ("tune", 4), ("threads", 1), ("bframes", 0)):
            self.inner.set_property(name, value)
        self.inner.set_property("key-int-max", MAX_INT)
        self.filter = Gst.ElementFactory.make("capsfilter")
        self.filter.set_property("caps", Gst.Caps.from_string(BASELINE))
        for element in (self.convert, self.inner, self.filter):
            self.add(element)
        self.convert.link(self.inner)
        self.inner.link(self.filter)
        show_pads(self, self.entrance(), self.filter)
        self.inner.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.on_picture)
        self.taken = 0

    def entrance(self) -> Gst.Element:
        """Give the element whose sink is the bin's."""
        return self.convert

    def do_get_property(self, spec: GObject.ParamSpec) -> Any:
        """Give back what was set."""
        return self.values.get(spec.name, spec.default_value)

    def do_set_property(self, spec: GObject.ParamSpec, value: Any) -> None:
        """Take a property, the bit rate in this encoder's own unit."""
        self.values[spec.name] = value
        if spec.name == self.bitrate_property:
            kbps = max(1, round(value * self.bits_per_unit / 1000))
            self.inner.set_property("bitrate", kbps)

    def on_picture(self, _pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        """Do what this stand-in does with a picture. On the streaming thread."""
        self.taken += 1
        return Gst.PadProbeReturn.OK


def templates(sink_caps: str) -> tuple[Gst.PadTemplate, ...]:
    """Make the pad templates of an encoder."""
    return (
        Gst.PadTemplate.new(
            "sink",
            Gst.PadDirection.SINK,
            Gst.PadPresence.ALWAYS,
            Gst.Caps.from_string(sink_caps),
        ),
        Gst.PadTemplate.new(
            "src",
            Gst.PadDirection.SRC,
            Gst.PadPresence.ALWAYS,
            Gst.Caps.from_string("video/x-h264,stream-format=byte-stream,alignment=au"),
        ),
    )


def metadata(name: str) -> tuple[str, str, str, str]:
    """Make what GStreamer shows of an element."""
    return (f"Stand-in of {name}", "Codec/Encoder/Video/Hardware", "For tests", "SpyGlass")


class NvmmBridge(GstBase.BaseTransform):
    """Rename the memory of pictures to or from NVMM; the bytes stay where they are."""

    __gstmetadata__ = metadata("memory bridge")
    __gsttemplates__ = (
        Gst.PadTemplate.new(
            "sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()
        ),
        Gst.PadTemplate.new(
            "src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, Gst.Caps.new_any()
        ),
    )
    to_nvmm = True

    def __init__(self) -> None:
        super().__init__()
        self.set_passthrough(True)

    def do_transform_caps(
        self, direction: Gst.PadDirection, caps: Gst.Caps, wanted: Gst.Caps | None
    ) -> Gst.Caps:
        """Say what comes out for what goes in."""
        add = (direction == Gst.PadDirection.SINK) == self.to_nvmm
        result = caps.copy()
        for index in range(result.get_size()):
            features = Gst.CapsFeatures.from_string("memory:NVMM" if add else "memory:SystemMemory")
            result.set_features(index, features)
        return result if wanted is None else result.intersect(wanted)


class FromNvmm(NvmmBridge):
    """The way back."""

    to_nvmm = False


class NvVidConv(Gst.Bin):
    """Stand in for Jetson's nvvidconv: system memory in, NVMM out."""

    __gstmetadata__ = metadata("nvvidconv")
    __gsttemplates__ = (
        Gst.PadTemplate.new(
            "sink",
            Gst.PadDirection.SINK,
            Gst.PadPresence.ALWAYS,
            Gst.Caps.from_string("video/x-raw,format={I420,NV12,GRAY8,BGRx,RGBA}"),
        ),
        Gst.PadTemplate.new(
            "src",
            Gst.PadDirection.SRC,
            Gst.PadPresence.ALWAYS,
            Gst.Caps.from_string("video/x-raw(memory:NVMM),format={I420,NV12,RGBA}"),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        convert = Gst.ElementFactory.make("videoconvert")
        bridge = NvmmBridge()
        self.add(convert)
        self.add(bridge)
        convert.link(bridge)
        show_pads(self, convert, bridge)


class Jetson(StandIn):
    """
    Stand in for nvv4l2h264enc of JetPack 5, healthy.

    Its rate is in bits a second, its words are spelled as in NVIDIA's
    gst-v4l2, and it takes pictures in NVMM memory alone.
    """

    bits_per_unit = 1
    __gstmetadata__ = metadata("nvv4l2h264enc")
    __gsttemplates__ = templates("video/x-raw(memory:NVMM),format={I420,NV12}")
    __gproperties__: ClassVar = {
        "control-rate": choice(
            enum_type("GstV4l2VideoEncRateControlType", "variable_bitrate", "constant_bitrate"), 0
        ),
        "bitrate": uint(0, MAX_UINT, 4_000_000),
        "iframeinterval": uint(0, MAX_UINT, 30),
        "idrinterval": uint(0, MAX_UINT, 256),
        "preset-level": choice(
            enum_type(
                "GstV4L2VideoEncHwPreset",
                "DisablePreset",
                "UltraFastPreset",
                "FastPreset",
                "MediumPreset",
                "SlowPreset",
            ),
            1,
        ),
        "profile": choice(
            enum_type("GstV4l2VideoEncProfileType", "Baseline", "Constrained-Baseline", "Main"), 0
        ),
        "num-B-Frames": uint(0, 2, 0),
        "insert-sps-pps": boolean(default=False),
        "insert-vui": boolean(default=False),
        "maxperf-enable": boolean(default=False),
        "poc-type": uint(0, 2, 0),
    }

    def entrance(self) -> Gst.Element:
        """Let NVMM in and nothing else."""
        # NVIDIA's libraries do so.
        os.write(1, b"NvMMLiteOpen : Block : BlockType = 4\n")
        bridge = FromNvmm()
        self.add(bridge)
        bridge.link(self.convert)
        return bridge


class CountingVa(StandIn):
    """Stand in for vah264enc of GStreamer 1.22, which counts times up by the nominal rate."""

    __gstmetadata__ = metadata("vah264enc")
    __gsttemplates__ = templates("video/x-raw,format=NV12")
    __gproperties__: ClassVar = {
        "bitrate": uint(0, 2000 * 1024, 0),
        "rate-control": choice(enum_type("GstVaStandInRateControl", "cbr", "vbr", "cqp"), 0),
        "key-int-max": uint(0, 1024, 0),
        "b-frames": uint(0, 31, 0),
        "ref-frames": uint(1, 16, 3),
        "target-usage": uint(1, 7, 4),
        "aud": boolean(default=False),
    }

    def __init__(self) -> None:
        super().__init__()
        self.first_ns: int | None = None
        self.put_out = 0
        self.is_pushing = False
        self.filter.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self.on_unit)

    def on_unit(self, pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        """Replace the time, in a copy: the pad holds the one that came, so that it is read-only."""
        if self.is_pushing:
            return Gst.PadProbeReturn.OK
        buffer = info.get_buffer().copy_deep()
        self.first_ns = buffer.pts if self.first_ns is None else self.first_ns
        buffer.pts = self.first_ns + self.put_out * Gst.SECOND // 30
        self.put_out += 1
        self.is_pushing = True
        pad.push(buffer)
        self.is_pushing = False
        return Gst.PadProbeReturn.DROP


class StrictV4l2(StandIn):
    """Stand in for v4l2h264enc: controls in a structure that is read at start alone."""

    __gstmetadata__ = metadata("v4l2h264enc")
    __gsttemplates__ = templates("video/x-raw,format={I420,NV12}")
    __gproperties__: ClassVar = {
        "extra-controls": (Gst.Structure, "", "", READ_WRITE),
    }

    def do_get_property(self, spec: GObject.ParamSpec) -> Any:
        """Give back what was set."""
        return self.values.get(spec.name)

    def do_set_property(self, spec: GObject.ParamSpec, value: Any) -> None:
        """Take the controls; the bit rate is in bits a second."""
        self.values[spec.name] = value
        known, bits = value.get_int("video_bitrate")
        _, state, _ = self.get_state(0)
        if known and state <= Gst.State.READY:
            self.inner.set_property("bitrate", max(1, bits // 1000))


_NVENC: dict[str, Any] = {
    "bitrate": uint(0, 2000 * 1024, 0),
    "preset": choice(enum_type("GstNvPresetStandIn", "default", "hp", "low-latency-hp"), 0),
    "rc-mode": choice(enum_type("GstNvRCModeStandIn", "default", "constqp", "cbr", "vbr"), 0),
    "gop-size": (GObject.TYPE_INT, "", "", -1, MAX_INT, 75, READ_WRITE),
    "bframes": uint(0, 4, 0),
    "zerolatency": boolean(default=False),
}


class Hanging(StandIn):
    """Stand in for nvh264enc: its driver never answers."""

    __gstmetadata__ = metadata("nvh264enc")
    __gsttemplates__ = templates("video/x-raw,format={NV12,I420}")
    __gproperties__ = _NVENC

    def on_picture(self, _pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        """Wait for ever, that is until the test lets go."""
        release.wait()
        return Gst.PadProbeReturn.OK


class Silent(StandIn):
    """Stand in for nvcudah264enc: it takes pictures and gives nothing."""

    __gstmetadata__ = metadata("nvcudah264enc")
    __gsttemplates__ = templates("video/x-raw,format={NV12,I420}")
    __gproperties__: ClassVar = dict(_NVENC)

    def on_picture(self, _pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        """Lose the picture."""
        return Gst.PadProbeReturn.DROP


_QSV: dict[str, Any] = {
    "bitrate": uint(0, MAX_INT, 2000),
    "rate-control": choice(enum_type("GstQsvStandInRateControl", "cbr", "vbr", "cqp"), 1),
    "low-latency": boolean(default=False),
    "target-usage": uint(1, 7, 4),
    "gop-size": uint(0, MAX_INT, 30),
    "b-frames": uint(0, 65535, 0),
    "ref-frames": uint(0, 16, 1),
}


class Crashing(StandIn):
    """Stand in for qsvh264enc: it takes its process down."""

    __gstmetadata__ = metadata("qsvh264enc")
    __gsttemplates__ = templates("video/x-raw,format=NV12")
    __gproperties__ = _QSV

    def on_picture(self, _pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        """End as a broken driver ends."""
        os.kill(os.getpid(), signal.SIGSEGV)
        return Gst.PadProbeReturn.OK


class Dying(StandIn):
    """Stand in for mpph264enc: it passes its trial and fails after some more pictures."""

    LIFETIME = 20
    bitrate_property = "bps"
    bits_per_unit = 1
    __gstmetadata__ = metadata("mpph264enc")
    __gsttemplates__ = templates("video/x-raw,format={NV12,I420}")
    __gproperties__: ClassVar = {
        "bps": uint(0, MAX_UINT, 0),
        "rc-mode": choice(enum_type("MppEncRcModeStandIn", "vbr", "cbr", "fixqp"), 1),
        "header-mode": choice(enum_type("MppEncHeaderModeStandIn", "first-frame", "each-idr"), 0),
        "profile": choice(enum_type("GstMppH264ProfileStandIn", "baseline", "main", "high"), 2),
        "gop": (GObject.TYPE_INT, "", "", -1, MAX_INT, -1, READ_WRITE),
    }

    def on_picture(self, _pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        """Work for a while, then say that the hardware is gone."""
        self.taken += 1
        if self.taken > self.LIFETIME:
            error = GLib.Error.new_literal(
                Gst.stream_error_quark(), "the hardware is gone", Gst.StreamError.ENCODE
            )
            self.post_message(Gst.Message.new_error(self, error, "stand-in"))
            return Gst.PadProbeReturn.DROP
        return Gst.PadProbeReturn.OK


STAND_INS: dict[str, type[Gst.Element]] = {
    "nvv4l2h264enc": Jetson,
    "nvvidconv": NvVidConv,
    "nvh264enc": Hanging,
    "nvcudah264enc": Silent,
    "vah264enc": CountingVa,
    "qsvh264enc": Crashing,
    "v4l2h264enc": StrictV4l2,
    "mpph264enc": Dying,
}


@contextlib.contextmanager
def registered(names: Sequence[str] = tuple(STAND_INS)) -> Iterator[None]:
    """Have stand-ins in this process's registry for a while."""
    registry = Gst.Registry.get()
    for name in names:
        Gst.Element.register(None, name, Gst.Rank.NONE, STAND_INS[name])
    try:
        yield
    finally:
        for name in names:
            feature = registry.lookup_feature(name)
            if feature is not None:
                registry.remove_feature(feature)
