"""
Be a small application: import, put frames into a ring, stream, and look.

For script/pythons, under any Python that has numpy and SpyGlass. Prints one
line; raises where something is not as it should be.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import backpack
from backpack._app.frame import ring_view
from backpack._ipc.ring import Ring, RingReader, RingWriter
from backpack._ipc.settings import PixelFormat
from backpack._ipc.stamp import Stamp
from backpack.errors import MissingDependencyError
from backpack.spyglass import SpyGlass

SHAPE = (120, 160, 3)
SECONDS = 60.0
NOT_YET = 503
JPEG = b"\xff\xd8\xff"


def through_a_ring() -> None:
    """Put frames of each layout into shared memory, and read the same pixels there."""
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint32).astype(np.uint8).reshape(SHAPE)
    ring = Ring(pixels.nbytes)
    writer = RingWriter(ring, ring_view, np.copyto)
    reader = RingReader(os.dup(ring.memory_fd), os.dup(ring.wake_read_fd))
    for frame in (pixels, pixels[::-1], pixels[:, ::2]):
        writer.write(frame, PixelFormat.BGR, Stamp(1, 2, 3))
        taken = reader.take()
        if taken is None:
            raise AssertionError("The ring has no frame.")
        found = ctypes.string_at(taken.address, taken.stride * taken.height)
        if found != frame.tobytes() or not reader.still_valid(taken):
            raise AssertionError("The ring has not given back what was put into it.")
        reader.release()
    reader.close()
    writer.close()


def to_a_page() -> str:
    """Stream, fetch a picture from the page, and say so; or that nothing here can stream."""
    frame = np.zeros(SHAPE, np.uint8)
    try:
        with SpyGlass("http://127.0.0.1:0/try", required=True) as spyglass:
            # Answered when there is a picture, which needs one more after the question.
            with ThreadPoolExecutor(1) as asker:
                answer = asker.submit(snapshot, spyglass.urls()[0])
                while not answer.done():
                    spyglass.put(frame)
                    time.sleep(0.05)
            picture = answer.result()
    except MissingDependencyError:
        return "this system has nothing that streams"
    if not picture.startswith(JPEG):
        raise AssertionError("The page gives no picture.")
    return f"a picture of {len(picture)} bytes"


def snapshot(page: str) -> bytes:
    """Give the newest picture of a page, whose address carries a token, once there is one."""
    path, _, query = page.partition("?")
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{path}/snapshot.jpg?{query}", timeout=SECONDS) as answer:
                picture: bytes = answer.read()
        except urllib.error.HTTPError as refused:  # noqa: PERF203 - few rounds
            refused.close()
            # Before the first frame there is none.
            if refused.code != NOT_YET or time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return picture


def main() -> None:
    """Do all of it, and say under what."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    through_a_ring()
    seen = to_a_page()
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, "
        f"SpyGlass {backpack.__version__}: {seen}"
    )


if __name__ == "__main__":
    main()
