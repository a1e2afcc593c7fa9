"""Know what this machine's ffmpeg calls its options."""

from __future__ import annotations

import functools
import re
import subprocess

__all__ = ["passthrough"]


@functools.cache
def passthrough() -> tuple[str, str]:
    """Give the option that lets each picture out once; ffmpeg 5.1 renamed it."""
    said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"ffmpeg version n?(\d+)\.(\d+)", said)
    is_old = found is not None and tuple(map(int, found.groups())) < (5, 1)
    return ("-vsync" if is_old else "-fps_mode", "passthrough")
