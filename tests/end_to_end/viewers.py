"""Watch with ffmpeg, and read colours by what the stream says of itself."""

from __future__ import annotations

import subprocess
import threading
from typing import Any

import numpy as np

from tests.ffmpeg import passthrough
from tests.numbered import read
from tests.waiting import PATIENCE, wait_for

_RED_AND_BLUE = {
    # ffmpeg's names of matrices; H.264's matrix_coefficients 5 and 6, and 1.
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
}


class Ffmpeg:
    """
    Watch with ffmpeg and keep every picture.

    Args:
        url: Where to.
        protocol: ``tcp`` or ``udp``.
        options: More options before the input.

    """

    def __init__(self, url: str, protocol: str = "tcp", *options: str) -> None:
        # Without this option ffmpeg collects 20 pictures to guess a frame rate from.
        self._process = subprocess.Popen(
            [
                *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"),
                *("-fpsprobesize", "0", "-rtsp_transport", protocol, *options, "-i", url),
                *(*passthrough(), "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "-"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.width = self.height = 0
        # Luma, blue and red difference of each picture.
        self.pictures: list[tuple[Any, Any, Any]] = []
        self._thread = threading.Thread(target=self._read, name="ffmpeg's pictures")
        self._thread.start()

    def wait(self, count: int, seconds: float = PATIENCE) -> list[tuple[Any, Any, Any]]:
        """Wait for so many pictures."""
        wait_for(
            lambda: len(self.pictures) >= count or not self._thread.is_alive(),
            seconds,
            what=f"{count} pictures in ffmpeg",
        )
        if len(self.pictures) < count:
            raise AssertionError(f"ffmpeg ended: {self._errors()}")
        return self.pictures

    def wait_end(self, seconds: float = PATIENCE) -> int:
        """Wait until it ends by itself, and give its status."""
        return self._process.wait(seconds)

    @property
    def runs(self) -> bool:
        """Tell whether it still watches."""
        return self._process.poll() is None

    def numbers(self) -> list[int | None]:
        """Read the numbers of all pictures."""
        return [read(luma) for luma, _, _ in self.pictures]

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Ffmpeg:  # noqa: PYI034 - no subclass
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        stream: Any = self._process.stdout
        header = stream.readline().split()
        if not header:
            return
        self.width = width = int(header[1][1:])
        self.height = height = int(header[2][1:])
        chroma = (height + 1) // 2, (width + 1) // 2
        sizes = (height * width, chroma[0] * chroma[1], chroma[0] * chroma[1])
        while stream.readline():
            planes = [np.frombuffer(stream.read(size), np.uint8) for size in sizes]
            if planes[-1].size < sizes[-1]:
                return
            self.pictures.append(
                (
                    planes[0].reshape(height, width),
                    planes[1].reshape(chroma),
                    planes[2].reshape(chroma),
                )
            )

    def _errors(self) -> str:
        self._process.wait(PATIENCE)
        return self._process.stderr.read().decode() if self._process.stderr else ""


def to_bgr(picture: tuple[Any, Any, Any], matrix: str) -> Any:
    """Give the colours of a limited range picture, by the matrix that the stream names."""
    luma, blue_difference, red_difference = (plane.astype(float) for plane in picture)
    red_weight, blue_weight = _RED_AND_BLUE[matrix]
    height, width = luma.shape
    u, v = (
        ((plane - 128) / 224).repeat(2, 0).repeat(2, 1)[:height, :width]
        for plane in (blue_difference, red_difference)
    )
    y = (luma - 16) / 219
    blue, red = y + 2 * (1 - blue_weight) * u, y + 2 * (1 - red_weight) * v
    green = (y - blue_weight * blue - red_weight * red) / (1 - blue_weight - red_weight)
    return np.clip(np.dstack([blue, green, red]) * 255, 0, 255)
