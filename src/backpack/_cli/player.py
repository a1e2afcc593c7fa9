"""Play one video source once with GStreamer, and give its frames as arrays."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from backpack._gst.factory import link, make, set_property
from backpack._gst.gi import GLib, Gst, GstApp, GstVideo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_ENDINGS: Final = Gst.MessageType.ERROR | Gst.MessageType.EOS

_PICTURES: Final[Any] = Gst.Caps.from_string("video/x-raw,format=BGR")

_LATE_NS: Final = 200_000_000
"""How late a picture of a file may be before decoders leave some out."""


class Trouble(enum.Enum):
    """What went wrong, where that makes a difference."""

    LOGIN = enum.auto()
    NOT_THERE = enum.auto()
    NO_VIDEO = enum.auto()
    NO_DECODER = enum.auto()
    OTHER = enum.auto()


class PlayerError(Exception):
    """
    Say why a source cannot be played.

    Args:
        reason: In words, for the middle of a sentence.
        trouble: What of it makes a difference.

    """

    def __init__(self, reason: str, trouble: Trouble) -> None:
        super().__init__(reason)
        self.trouble = trouble


class Player:
    """
    Decode the first video stream of a source into BGR pictures.

    Used by one thread; GStreamer's own threads do the work.

    Args:
        head: Elements in front, the last of them a decodebin or uridecodebin.
        is_live: Whether pictures come when they come, and only the newest
            counts. Otherwise they are paced by their timestamps.

    """

    def __init__(self, head: Sequence[Gst.Element], *, is_live: bool) -> None:
        decoder = head[-1]
        # Hardware decoders give pictures in memory of their own, and fail in
        # containers in ways of their own. This is a tool to look with.
        set_property(decoder, "force-sw-decoders", value=True)
        self._has_video = False
        self._pipeline = Gst.Pipeline.new(None)
        self._sink, tail = _make_tail(is_live=is_live)
        for element in (*head, *tail):
            self._pipeline.add(element)
        link(head)
        link(tail)
        self._entry: Any = tail[0].get_static_pad("sink")
        self._handlers = [
            (decoder, decoder.connect("autoplug-continue", _is_worth_decoding)),
            (decoder, decoder.connect("pad-added", self._on_pad)),
            (decoder, decoder.connect("no-more-pads", self._on_no_more_pads)),
        ]
        self._bus = self._pipeline.get_bus()
        self._pipeline.set_state(Gst.State.PLAYING)

    def read(self, use: Callable[[NDArray[np.uint8]], object], wait_seconds: float) -> bool | None:
        """
        Return the next picture to ``use``; it is valid while ``use`` runs.

        Returns:
            Whether there was one within so long; None at the end.

        Raises:
            PlayerError: The source cannot be played.

        """
        sample = self._sink.try_pull_sample(int(wait_seconds * Gst.SECOND))
        if sample is not None:
            _show(sample, use)
            return True
        message = self._bus.pop_filtered(_ENDINGS)
        if message is None:
            # The end that a message told of before may have had pictures left.
            return None if self._sink.is_eos() else False
        if message.type == Gst.MessageType.EOS:
            return None
        raise _error_of(message)

    def close(self) -> None:
        """Stop playing. Idempotent."""
        self._pipeline.set_state(Gst.State.NULL)
        for element, handler in self._handlers:
            element.disconnect(handler)
        self._handlers.clear()

    # --- on GStreamer's threads ------------------------------------------------

    def _on_pad(self, _decoder: Gst.Element, pad: Gst.Pad) -> None:
        caps: Gst.Caps = pad.get_current_caps() or pad.query_caps(None)  # type: ignore[no-untyped-call]
        is_video = _media_type(caps) == "video/x-raw"
        if is_video and not self._entry.is_linked():
            self._has_video = pad.link(self._entry) == Gst.PadLinkReturn.OK

    def _on_no_more_pads(self, decoder: Gst.Element) -> None:
        if not self._has_video:
            error: GLib.Error = GLib.Error.new_literal(
                Gst.StreamError.quark(), "It has no video.", Gst.StreamError.WRONG_TYPE
            )
            self._bus.post(Gst.Message.new_error(decoder, error, "no-video"))


def _make_tail(*, is_live: bool) -> tuple[GstApp.AppSink, Sequence[Gst.Element]]:
    """Make what stands behind the decoder: conversion, and a sink where the newest wins."""
    queue = make("queue", max_size_buffers=2, max_size_bytes=0, max_size_time=0)
    if is_live:
        queue.set_property("leaky", 2)  # 2: downstream, throws old ones away
    convert = make("videoconvert", n_threads=2)
    caps = make("capsfilter", caps=_PICTURES)
    sink = make("appsink", sync=not is_live, max_buffers=2, drop=True)
    if not is_live:
        set_property(sink, "qos", value=True)
        sink.set_property("max-lateness", _LATE_NS)
    assert isinstance(sink, GstApp.AppSink)  # noqa: S101 - asked for above
    return sink, (queue, convert, caps, sink)


def _is_worth_decoding(_decoder: Gst.Element, _pad: Gst.Pad, caps: Gst.Caps) -> bool:
    """Return whether to go on with a stream; sound and subtitles stay as they are."""
    return _media_type(caps).partition("/")[0] not in ("audio", "text", "subpicture")


def _media_type(caps: Gst.Caps) -> str:
    """
    Return the media type of the first structure of caps, empty where there is none.

    Read from the text: since GStreamer 1.26 Python gets a wrapper for a structure
    that has none of its methods, and before there was no such wrapper.
    """
    return re.split(r"[,;(]", caps.to_string(), maxsplit=1)[0].strip()


def _show(sample: Gst.Sample, use: Callable[[NDArray[np.uint8]], object]) -> None:
    layout: Any = GstVideo.VideoInfo.new_from_caps(sample.get_caps())  # type: ignore[arg-type]
    width, height, stride = layout.width, layout.height, layout.stride[0]
    buffer: Any = sample.get_buffer()
    with buffer.map(Gst.MapFlags.READ) as info:
        use(np.ndarray((height, width, 3), np.uint8, info.data, 0, (stride, 3, 1)))


def _error_of(message: Gst.Message) -> PlayerError:
    error, debug = message.parse_error()
    detail = (debug or "").strip().splitlines()[-1:]
    if debug == "no-video":
        return PlayerError("it has no video", Trouble.NO_VIDEO)
    if error.matches(Gst.CoreError.quark(), Gst.CoreError.MISSING_PLUGIN) or error.matches(
        Gst.StreamError.quark(), Gst.StreamError.CODEC_NOT_FOUND
    ):
        return PlayerError(_missing_decoders(debug or ""), Trouble.NO_DECODER)
    if error.matches(Gst.StreamError.quark(), Gst.StreamError.TYPE_NOT_FOUND) or error.matches(
        Gst.StreamError.quark(), Gst.StreamError.WRONG_TYPE
    ):
        return PlayerError("it is no video that GStreamer knows", Trouble.NO_VIDEO)
    trouble = Trouble.OTHER
    if error.matches(Gst.ResourceError.quark(), Gst.ResourceError.NOT_AUTHORIZED):
        trouble = Trouble.LOGIN
    elif error.matches(Gst.ResourceError.quark(), Gst.ResourceError.NOT_FOUND):
        trouble = Trouble.NOT_THERE
    said = f"{error.message.rstrip('.')} ({'; '.join(detail)})" if detail else error.message
    return PlayerError(said, trouble)


def _missing_decoders(debug: str) -> str:
    kinds = [
        line.removeprefix("Missing decoder: ").partition(" (")[0]
        for line in debug.splitlines()
        if line.startswith("Missing decoder: ")
    ]
    return f"there is no decoder for {' and '.join(kinds) or 'what is in it'}"
