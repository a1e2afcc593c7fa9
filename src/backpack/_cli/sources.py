"""Read files and cameras: what each does when its frames end or fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backpack._cli.failure import Failure
from backpack._cli.player import Player, PlayerError, Trouble
from backpack._cli.run import EndOfSource
from backpack._gst.factory import make
from backpack._gst.gi import Gst
from backpack._lib.packages import install_hint

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_PICTURE_SECONDS: Final = 20.0
DECODERS: Final = install_hint(
    "gstreamer1.0-libav", "gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-good"
)
"""What to install where there is no decoder."""

_CAMERA_CAPS: Final[Any] = Gst.Caps.from_string(
    # Left alone, a camera gives its largest picture, often at a few a second.
    "video/x-raw,width=[1,1920],height=[1,1080],framerate=[15/1,60/1];"
    "image/jpeg,width=[1,1920],height=[1,1080];video/x-raw;image/jpeg"
)


class FileSource:
    """
    Play a file at its own pace.

    Args:
        path: The file.
        loop: Whether to begin again at its end.

    """

    def __init__(self, path: str, *, loop: bool) -> None:
        self._path = path
        self._loop = loop
        self._gave_one = False
        self._give_up_at = time.monotonic() + _FIRST_PICTURE_SECONDS
        self._player = self._play()

    def _play(self) -> Player:
        decoder = make("uridecodebin")
        decoder.set_property("uri", Path(self._path).absolute().as_uri())
        return Player([decoder], is_live=False)

    def read(self, use: Callable[[Any], object], wait_seconds: float) -> None:
        """Pass the next frame on when it is due."""
        try:
            got = self._player.read(use, wait_seconds)
        except PlayerError as error:
            hint = f" {DECODERS}" if error.trouble is Trouble.NO_DECODER else ""
            raise Failure(f"{self._path} cannot be played: {error}.{hint}") from error
        if got:
            self._gave_one = True
        elif not self._gave_one and (got is None or time.monotonic() > self._give_up_at):
            raise Failure(f"{self._path} cannot be played: there is no picture in it.")
        elif got is None:
            self._begin_again()

    def _begin_again(self) -> None:
        self._player.close()
        if not self._loop:
            raise EndOfSource
        self._player = self._play()

    def close(self) -> None:
        """Stop playing."""
        self._player.close()


class CameraSource:
    """
    Read a camera of this machine; of frames that pile up the newest counts.

    Args:
        device: Its path, such as ``/dev/video0``.

    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._gave_one = False
        self._give_up_at = time.monotonic() + _FIRST_PICTURE_SECONDS
        source = make("v4l2src")
        source.set_property("device", device)
        caps = make("capsfilter", caps=_CAMERA_CAPS)
        self._player = Player([source, caps, make("decodebin")], is_live=True)

    def read(self, use: Callable[[Any], object], wait_seconds: float) -> None:
        """Pass the newest frame on."""
        try:
            got = self._player.read(use, wait_seconds)
        except PlayerError as error:
            raise Failure(f"The camera {self._device} cannot be read: {error}.") from error
        self._gave_one = self._gave_one or bool(got)
        if got is None:
            raise Failure(f"The camera {self._device} has gone.")
        if not self._gave_one and time.monotonic() > self._give_up_at:
            raise Failure(f"The camera {self._device} gives no picture.")

    def close(self) -> None:
        """Release the camera."""
        self._player.close()
