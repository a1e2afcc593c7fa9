"""Write row-stamped frames into a ring as fast as they go, until standard input ends."""

from __future__ import annotations

import mmap
import os
import sys
import threading

import numpy as np

from backpack._app.frame import ring_view
from backpack._app.timeline import Stamp
from backpack._ipc.ring import Ring, RingWriter
from backpack._ipc.settings import PixelFormat


class BorrowedRing(Ring):
    """The ring of another process."""

    def __init__(self, memory_fd: int, wake_fd: int, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self.memory_fd, self.wake_write_fd = memory_fd, wake_fd
        self.wake_read_fd = os.dup(wake_fd)
        self.memory = mmap.mmap(memory_fd, os.fstat(memory_fd).st_size)
        self.words = memoryview(self.memory)[:4096].cast("Q")


def stamped(number: int, shape: tuple[int, int]) -> np.ndarray:
    """Give a frame whose rows all carry its number."""
    frame = np.empty((*shape, 3), np.uint8)
    frame.reshape(-1).view(np.uint32)[:] = number
    return frame


def main() -> None:
    """Write until told to stop."""
    memory_fd, wake_fd, slot_bytes = map(int, sys.argv[1:])
    writer = RingWriter(BorrowedRing(memory_fd, wake_fd, slot_bytes), ring_view, np.copyto)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    number = 0
    while not ended.is_set():
        number += 1
        shape = (240, 320) if number // 64 % 2 else (200, 400)
        frame = stamped(number, shape)
        told = writer.write(frame, PixelFormat.BGR, Stamp(number * 1000, number * 2000, 0))
        assert told == number


if __name__ == "__main__":
    main()
