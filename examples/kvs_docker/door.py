"""Send a picture that moves to Kinesis Video Streams, and say how it goes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from backpack.kvs import KVSSpyGlass

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT, FPS = 1280, 720, 15

logger = logging.getLogger("door")


def picture(moment: float) -> NDArray[np.uint8]:
    """Draw a bar that crosses a gray picture once in four seconds."""
    frame = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    left = int((moment % 4) / 4 * (WIDTH - 80))
    frame[:, left : left + 80] = (60, 180, 250)
    return frame


def main() -> None:
    """Stream until the container is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    # `docker stop` sends SIGTERM: what waits is delivered before the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    region = os.environ.get("AWS_REGION", "us-east-1")
    name = os.environ.get("STREAM_NAME", "front-door")
    told_at = 0.0
    with KVSSpyGlass(region, name, create_stream=True, fps=FPS) as spyglass:
        while True:
            spyglass.put(picture(time.monotonic()))
            if time.monotonic() - told_at > 10:  # noqa: PLR2004 - seconds
                told_at = time.monotonic()
                stats = spyglass.kvs_stats()
                logger.info(
                    "%s, %d fragments persisted, %.1f s wait %s",
                    stats.state,
                    stats.fragments_persisted,
                    stats.buffered_seconds,
                    stats.trouble,
                )
            time.sleep(1 / FPS)


if __name__ == "__main__":
    main()
