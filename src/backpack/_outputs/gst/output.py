"""Describe an output that is a GStreamer pipeline of the application's own."""

from __future__ import annotations

from typing import Any

from backpack.errors import SettingsError


class GstSink:
    """
    An output into a GStreamer pipeline, for whatever GStreamer has a sink for.

    ::

        SpyGlass("rtsp://127.0.0.1:8554/door",
                 GstSink("h264parse ! mpegtsmux alignment=7 ! srtsink uri=srt://192.0.2.7:9000"))

    With ``alignment=7`` a packet of SRT or UDP has seven whole packets of
    MPEG-TS. Without it GStreamer 1.22 delivers no parameter sets over SRT.

    The pipeline gets what is encoded for all outputs: H.264 in Annex B form,
    one access unit a buffer, with the capture times. It counts as a viewer: the
    stream is encoded for as long as the pipeline runs. A pipeline that fails,
    cannot connect or has taken no picture for ten seconds is started again every
    few seconds. The reason is shown by `SpyGlass.state_reason` and
    ``stats().outputs``, and logged once. A text that is no pipeline, or a missing
    element, makes `SpyGlass.start_streaming` raise. None of this blocks the
    application or other outputs.

    Args:
        pipeline: Elements as `gst-launch-1.0` takes them; the first one takes
            ``video/x-h264``. It must not contain passwords: GStreamer's debug
            output shows the whole pipeline.
        repeats: Whether it gets the pictures that are repeated for viewers
            while the application puts no frames. False for a recording.

    Raises:
        SettingsError: The pipeline is empty.

    """

    def __init__(self, pipeline: str, *, repeats: bool = True) -> None:
        if not isinstance(pipeline, str) or not pipeline.strip(" !\n"):
            raise SettingsError("GstSink needs a pipeline, for example 'h264parse ! fakesink'.")
        self.pipeline = pipeline.strip().removeprefix("!").strip()
        self.repeats = repeats

    def describe(self) -> dict[str, Any]:
        """Return what the streaming process needs."""
        return {"kind": "gstreamer", "pipeline": self.pipeline, "repeats": self.repeats}

    def acquire(self) -> None:
        """Do nothing: it stands on nothing of ours."""

    def release(self) -> None:
        """Do nothing."""

    def urls(self) -> list[str]:
        """Return none: only the pipeline knows where it sends."""
        return []

    def __repr__(self) -> str:
        """Show what it does, not where: the pipeline may name a login."""
        return f"<{type(self).__name__} {self.pipeline.split()[0]} …>"
