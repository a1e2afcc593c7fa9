"""Build the encoder's pipeline: one picture in, one access unit out, no queue."""

from __future__ import annotations

import functools
import logging
import os
import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

from backpack._gst import factory
from backpack._gst.gi import Gst, GstApp, GstVideo
from backpack._lib.packages import install_hint
from backpack._worker.encoding.colour import COLORIMETRY, Converter, LibyuvConverter, load_libyuv
from backpack._worker.encoding.raw import RawConverter
from backpack.errors import EncoderError, MissingDependencyError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._worker.encoding.encoders import EncoderSpec

logger = logging.getLogger(__name__)

_DEFAULT_FPS: Final = 30

_PIXELS_FOR_ONE_THREAD: Final = 1920 * 1088

_BUFFER_SECONDS: Final = 1.0
"""How long the rate control may borrow from: a key frame costs as much as many others."""

_STATE_SECONDS: Final = 5.0


def nominal_rate(fps: float | None) -> Fraction:
    """
    Choose the rate that the caps name; pictures carry their true times anyway.

    Never 0/1: x264enc then holds every picture back until the next one comes.
    """
    if fps is None:
        return Fraction(_DEFAULT_FPS)
    # 29.97 is 30000/1001.
    return max(Fraction(fps).limit_denominator(1001), Fraction(1))


@dataclass(frozen=True)
class Size:
    """Width and height of a stream, both even."""

    width: int
    height: int


@functools.cache
def _tell_missing_libyuv() -> None:
    """Log, once, what the application pays where libyuv is not installed."""
    logger.warning(
        "libyuv is missing, so converting colours takes several times the CPU. %s",
        install_hint("libyuv0"),
    )


class EncoderPipeline:
    """
    Hold the elements of one encoder, from appsrc to appsink.

    It knows how this encoder is told things and decides nothing.

    Args:
        spec: The encoder's row in the table.
        size: Of the video.
        rate: Nominal pictures a second.
        libyuv: Whether to convert with libyuv, if it is installed.

    Raises:
        EncoderError: The element is missing or cannot be set up.

    """

    def __init__(self, spec: EncoderSpec, size: Size, rate: Fraction, *, libyuv: bool) -> None:
        self._spec = spec
        self._rate = rate
        framerate = f"{rate.numerator}/{rate.denominator}"
        try:
            self.encoder = factory.make(spec.name)
            raw_format, convert = self._choose_format()
            self.converter: Converter
            if libyuv and load_libyuv() is not None:
                self.converter = LibyuvConverter(size.width, size.height, raw_format, framerate)
            else:
                if libyuv:
                    _tell_missing_libyuv()
                self.converter = RawConverter(size.width, size.height, framerate)
                convert = True
            self._configure(size)
            self.pipeline = Gst.Pipeline.new(None)
            self.source = cast("GstApp.AppSrc", factory.make("appsrc", format="time", max_bytes=0))
            self.sink = cast(
                "GstApp.AppSink",
                factory.make(
                    "appsink",
                    emit_signals=True,
                    sync=False,
                    async_=False,
                    qos=False,
                    enable_last_sample=False,
                ),
            )
            row = [
                self.source,
                *(self._converting(raw_format, size, framerate) if convert else ()),
                *(self._step(text) for text in spec.in_front),
                self.encoder,
                self._step(spec.caps),
                # -1: parameter sets before every key frame.
                factory.make("h264parse", config_interval=-1),
                self._step("video/x-h264,stream-format=byte-stream,alignment=au"),
                self.sink,
            ]
            for element in row:
                self.pipeline.add(element)
            factory.link(row)
        except (MissingDependencyError, PipelineError) as error:
            raise EncoderError(f"{spec.name} cannot be set up: {error}") from error

    def _choose_format(self) -> tuple[str, bool]:
        """Choose what to hand in, and tell whether GStreamer has to convert it on the way."""
        formats = self._spec.raw_formats
        pad = self.encoder.get_static_pad("sink")
        if self._spec.in_front or pad is None:
            return formats[0], False
        taken = pad.query_caps(None)  # type: ignore[no-untyped-call]
        for raw_format in formats:
            wanted = Gst.Caps.from_string(f"video/x-raw,format={raw_format}")
            if wanted is not None and taken.can_intersect(wanted):
                return raw_format, False
        return formats[0], True

    def _configure(self, size: Size) -> None:
        spec = self._spec
        for name, value in spec.settings:
            factory.set_property(self.encoder, name, value)
        if spec.threads is not None:
            large = size.width * size.height > _PIXELS_FOR_ONE_THREAD
            # A second thread costs latency and bits where one is quick enough.
            threads = min(2, os.cpu_count() or 1) if large else 1
            factory.set_property(self.encoder, spec.threads, threads)

    def _converting(self, raw_format: str, size: Size, framerate: str) -> list[Gst.Element]:
        return [
            # Without these three videoconvert takes more than twice as long.
            factory.make("videoconvert", dither="none", chroma_mode="none"),
            factory.make("videoscale", add_borders=True),
            self._step(
                f"video/x-raw,format={raw_format},width={size.width},height={size.height},"
                f"framerate={framerate},pixel-aspect-ratio=1/1,colorimetry={COLORIMETRY}"
            ),
        ]

    @staticmethod
    def _step(text: str) -> Gst.Element:
        """Make an element from its name, or a filter from caps."""
        if "/" not in text:
            return factory.make(text)
        caps = Gst.Caps.from_string(text)
        if caps is None:
            raise PipelineError(f"{text!r} are no caps.")
        return factory.make("capsfilter", caps=caps)

    def listen(
        self,
        *,
        on_message: Callable[[Gst.Bus, Gst.Message, None], Gst.BusSyncReply],
        on_sample: Callable[[GstApp.AppSink], Gst.FlowReturn],
    ) -> None:
        """Have these called on whatever thread elements speak, and access units come out."""
        self.pipeline.get_bus().set_sync_handler(on_message, None)
        self._handler = self.sink.connect("new-sample", on_sample)

    def release(self) -> None:
        """Let go of what `listen` was given."""
        # What holds the pipeline and is held by it would never be freed, and
        # a pipeline has four descriptors of its own.
        self.pipeline.get_bus().set_sync_handler(None, None)
        self.sink.disconnect(self._handler)

    def ask_for_key(self, pts_ns: int) -> None:
        """Have the picture of this time, which comes next, made a key frame."""
        # Downstream, and so in line with the pictures: a request that overtook
        # the first one would be answered by it.
        event = GstVideo.video_event_new_downstream_force_key_unit(
            Gst.CLOCK_TIME_NONE,
            Gst.CLOCK_TIME_NONE,
            pts_ns,
            True,  # noqa: FBT003 - all headers
            0,
        )
        self.source.send_event(event)

    def set_state(self, state: Gst.State) -> bool:
        """Change the pipeline's state. False: it takes too long, and goes on taking it."""
        # On a thread of its own: an encoder that hangs also hangs whoever
        # stops it.
        thread = threading.Thread(
            target=self.pipeline.set_state, args=(state,), name="encoder-state", daemon=True
        )
        thread.start()
        thread.join(_STATE_SECONDS)
        if thread.is_alive():
            logger.error("%s hangs and cannot be stopped; a thread is left behind", self._spec.name)
        return not thread.is_alive()

    def tell_rate(self, bitrate_kbps: float, true_fps: float) -> None:
        """
        Set how many bits the encoder may spend, while it plays, too.

        It allots bits by the nominal rate. At a third of that rate three
        times as many make the same stream.

        Raises:
            EncoderError: The encoder has no such property.

        """
        spec = self._spec
        stretch = 1.0 if spec.measures_rate else float(self._rate) / true_fps
        told_bps = bitrate_kbps * 1000 * stretch
        value = max(1, round(told_bps / spec.bitrate_unit_bps))
        if not self._set_bitrate(value):
            raise EncoderError(f"{spec.name} takes no {spec.bitrate}={value}.")
        if spec.buffer is not None:
            # As many bits as before: in the encoder's own time that is
            # shorter by as much as its rate is higher.
            seconds = {"ms": 1000 / stretch, "kbit": bitrate_kbps, "bit": bitrate_kbps * 1000}
            size = max(1, round(seconds[spec.buffer_unit] * _BUFFER_SECONDS))
            factory.set_property(self.encoder, spec.buffer, size)

    def _set_bitrate(self, value: int) -> bool:
        name, _, field = self._spec.bitrate.partition(".")
        if not field:
            return factory.set_property(self.encoder, name, value)
        structure = Gst.Structure.new_from_string(str(dict(self._spec.settings)[name]))
        if structure is None:
            return False
        structure.set_value(field, value)
        return factory.set_property(self.encoder, name, structure)
