"""Decide what a SOURCE on the command line is, before anything is opened."""

from __future__ import annotations

import enum
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from backpack._app.output import mask
from backpack._cli.failure import CANNOT, USAGE, Failure


class Kind(enum.Enum):
    """What kind of source it is."""

    SCENE = "testsrc"
    FILE = "file"
    CAMERA = "camera"
    RTSP = "rtsp"


@dataclass(frozen=True)
class Origin:
    """
    Where frames are to come from.

    Attributes:
        kind: What kind of source it is.
        place: Path or URL, as it was given.

    """

    kind: Kind
    place: str

    @property
    def shown(self) -> str:
        """Return it as it may be shown, without a password."""
        return mask(self.place)

    @property
    def name(self) -> str:
        """A name for it that fits into a URL's path."""
        if self.kind is Kind.RTSP:
            parts = urlsplit(self.place)
            name = unquote(parts.path).strip("/").rpartition("/")[2] or parts.hostname or ""
        elif self.kind is Kind.FILE:
            name = Path(self.place).stem
        else:
            name = Path(self.place).name
        return re.sub(r"[^A-Za-z0-9_~-]+", "_", name).strip("_")[:80] or "video"


def find_origin(source: str) -> Origin:
    """
    Return what a source is.

    Raises:
        Failure: It is nothing, or not to be read.

    """
    if source == "testsrc":
        return Origin(Kind.SCENE, source)
    scheme, separator, _ = source.partition("://")
    if separator and scheme.lower() in ("rtsp", "rtsps"):
        return _find_rtsp(source)
    if separator and scheme.lower() != "file":
        raise Failure(
            f"{mask(source)}: SOURCE is a file, a camera such as /dev/video0, an rtsp:// URL, or "
            "testsrc.",
            USAGE,
        )
    return _find_path(unquote(urlsplit(source).path) if separator else source)


def _find_rtsp(url: str) -> Origin:
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        raise Failure(f"{mask(url)}: give rtsp://host[:port]/path.", USAGE)
    return Origin(Kind.RTSP, url)


def _find_path(path: str) -> Origin:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - may hold what Path refuses
    except (OSError, ValueError):
        raise Failure(_missing(path), CANNOT) from None
    is_device = stat.S_ISCHR(mode)
    if stat.S_ISDIR(mode):
        raise Failure(f"{path} is a folder. Give a video file in it.", CANNOT)
    if not os.access(path, os.R_OK):
        hint = " The group 'video' may: sudo usermod -aG video $USER" if is_device else ""
        raise Failure(f"{path} may not be read by this user.{hint}", CANNOT)
    return Origin(Kind.CAMERA if is_device else Kind.FILE, path)


def _missing(path: str) -> str:
    if not path.startswith("/dev/"):
        return f"There is no file {path}."
    cameras = sorted(str(found) for found in Path("/dev").glob("video*"))
    there = f"There is {', '.join(cameras)}." if cameras else "No camera is connected."
    return f"There is no camera {path}. {there}"
