"""Make pictures for tests, and decode what was encoded with a decoder that we did not write."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._gst.gi import Gst
from backpack._ipc.settings import PixelFormat
from backpack._media.picture import Picture
from backpack._worker.encoding.encoder import EncodedPicture, Encoder
from tests.caps import field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backpack._worker.encoding.encoders import EncoderSpec
    from backpack.errors import EncoderError

START_NS = 5_000_000_000_000

FORMATS = {3: PixelFormat.BGR, 4: PixelFormat.BGRA, 1: PixelFormat.GRAY}

COLOURS = (
    (0, 0, 0),
    (255, 255, 255),
    (0, 0, 255),
    (0, 255, 0),
    (255, 0, 0),
    (128, 128, 128),
    (40, 160, 220),
    (200, 80, 30),
)
"""Blue, green, red."""


def picture_of(frame: Any) -> Picture:
    """Describe an array's pixels; the array must be kept alive."""
    channels = 1 if frame.ndim == 2 else frame.shape[2]
    return Picture(
        address=frame.ctypes.data,
        stride=frame.strides[0],
        width=frame.shape[1],
        height=frame.shape[0],
        pixel_format=FORMATS[channels],
    )


def patches(width: int, height: int) -> Any:
    """Make a picture of eight solid patches, four in a row."""
    frame = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        frame[patch(number, width, height)] = colour
    return frame


def patch(number: int, width: int, height: int, *, inner: bool = False) -> tuple[slice, slice]:
    """Say where a patch is; its inner part has no blurred edges."""
    row, column = divmod(number, 4)
    top, left = row * height // 2, column * width // 4
    tall, wide = height // 2, width // 4
    margin = (tall // 4, wide // 4) if inner else (0, 0)
    return (
        slice(top + margin[0], top + tall - margin[0]),
        slice(left + margin[1], left + wide - margin[1]),
    )


class Recorder:
    """Run an encoder and keep what it says."""

    def __init__(self, spec: EncoderSpec, width: int, height: int, **options: Any) -> None:
        self.pictures: list[EncodedPicture] = []
        self.failures: list[EncoderError] = []
        self.failed = threading.Event()
        settings = {"fps": 30.0, "bitrate_kbps": None} | options
        self.encoder = Encoder(
            spec,
            width=width,
            height=height,
            on_picture=self.pictures.append,
            on_failed=self._note,
            **settings,
        )

    def _note(self, error: EncoderError) -> None:
        self.failures.append(error)
        self.failed.set()

    def put(
        self,
        frame: Any,
        number: int,
        *,
        key: bool = False,
        fps: float = 30.0,
        still_valid: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Encode one frame with the time that its number has at that rate."""
        pts_ns = START_NS + round(number * 1_000_000 / fps) * 1000
        return self.encoder.encode(picture_of(frame), pts_ns, key=key, still_valid=still_valid)

    def finish(self) -> list[EncodedPicture]:
        """Close the encoder and give all that came out."""
        self.encoder.close(drain_seconds=20)
        return self.pictures


def decode(units: Iterable[EncodedPicture], decoder: str = "avdec_h264") -> list[tuple[int, Any]]:
    """Decode access units to times and BGR frames, as a player does: by what the stream says."""
    pipeline = Gst.parse_launch(
        "appsrc name=source format=time caps=video/x-h264,stream-format=byte-stream,alignment=au "
        f"! h264parse ! {decoder} ! video/x-raw,format=I420 ! appsink name=sink sync=false"
    )
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    try:
        for unit in units:
            buffer = Gst.Buffer.new_wrapped(unit.data)
            buffer.pts = unit.pts_ns
            source.push_buffer(buffer)
        source.end_of_stream()
        frames = []
        while (sample := sink.try_pull_sample(20 * Gst.SECOND)) is not None:
            frames.append((sample.get_buffer().pts, _array(sample)))
        return frames
    finally:
        pipeline.set_state(Gst.State.NULL)


# Red and blue weight of luma, by what GStreamer calls a colorimetry.
_WEIGHTS = {"2:4:5:1": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def _array(sample: Gst.Sample) -> Any:
    """Convert a decoded picture to BGR as its own description says, and exactly.

    GStreamer's videoconvert is three levels off for some colours.
    """
    caps = sample.get_caps()
    width, height = int(field(caps, "width")), int(field(caps, "height"))
    data = sample.get_buffer().extract_dup(0, sample.get_buffer().get_size())
    bytes_of = np.frombuffer(data, np.uint8)
    y_stride, u_stride = (width + 3) // 4 * 4, (width // 2 + 3) // 4 * 4
    u_begin, u_size = y_stride * height, u_stride * height // 2
    luma = bytes_of[:u_begin].reshape(height, y_stride)[:, :width].astype(float)
    chroma = [
        bytes_of[begin : begin + u_size].reshape(height // 2, u_stride)[:, : width // 2]
        for begin in (u_begin, u_begin + u_size)
    ]
    # Frames without a description are taken for BT.709, as players take large ones.
    colorimetry = field(caps, "colorimetry") or "bt709"
    red, blue = _WEIGHTS[colorimetry]
    y = (luma - 16) / 219
    u, v = ((plane.repeat(2, 0).repeat(2, 1).astype(float) - 128) / 224 for plane in chroma)
    b, r = y + 2 * (1 - blue) * u, y + 2 * (1 - red) * v
    g = (y - blue * b - red * r) / (1 - blue - red)
    return np.clip(np.dstack([b, g, r]) * 255, 0, 255).round().astype(np.uint8)


def noise(width: int, height: int, count: int, seed: int = 1) -> list[Any]:
    """Make pictures that no encoder can make small: a moving gradient under noise."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, width, dtype=np.int16)[None, :, None]
    frames = []
    for number in range(count):
        grain = random.integers(0, 60, (height, width, 3), np.int16)
        frames.append((np.roll(ramp, number * 4, axis=1) + grain + 40).astype(np.uint8))
    return frames
