"""Make numbered H.264 for tests, once for all of them."""

from __future__ import annotations

import functools
import subprocess

from backpack._media.access_unit import AccessUnit
from tests import numbered

FPS = 10
KEY_EVERY = 10

START_WALL_NS = 1_795_341_036_923_000_000
START_PTS_NS = 5_000_000_000_000

SECOND_NS = 1_000_000_000

_AUD = b"\0\0\0\1\x09"


@functools.lru_cache
def pictures(count: int = 100) -> tuple[bytes, ...]:
    """Encode frames that carry their numbers; every tenth is a key frame."""
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-framerate", "10"]
    command += ["-video_size", f"{numbered.WIDTH}x{numbered.HEIGHT}", "-i", "-"]
    command += ["-pix_fmt", "yuv420p"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]
    command += f"-x264-params aud=1:keyint={KEY_EVERY}:scenecut=0 -f h264 -".split()
    frames = b"".join(numbered.numbered(number).tobytes() for number in range(1, count + 1))
    done = subprocess.run(command, input=frames, capture_output=True, check=True, timeout=120)
    units = [_AUD + unit for unit in done.stdout.split(_AUD)[1:]]
    assert len(units) == count
    return tuple(units)


def unit(
    number: int,
    *,
    seconds: float | None = None,
    wall_ns: int = START_WALL_NS,
    epoch: int = 0,
    key: bool | None = None,
    repeat: bool = False,
) -> AccessUnit:
    """
    Give the access unit with this number, from 1 on.

    Args:
        number: Its number; numbers go round.
        seconds: Its time since the first one. None: by the frame rate.
        wall_ns: The date of the first one.
        epoch: See `AccessUnit`.
        key: What it says of itself. None: what is true.
        repeat: See `AccessUnit`.

    """
    made = pictures()
    place_ns = round((seconds if seconds is not None else (number - 1) / FPS) * SECOND_NS)
    return AccessUnit(
        data=made[(number - 1) % len(made)],
        key=(number - 1) % KEY_EVERY == 0 if key is None else key,
        pts_ns=START_PTS_NS + place_ns,
        wall_ns=wall_ns + place_ns,
        number=number,
        repeat=repeat,
        epoch=epoch,
    )
