"""
Hand frames over through shared memory: the newest wins, nobody waits.

One writer (the application) and one reader (the streaming process) map the
same memory. No lock is shared. Each slot has a sequence number in the manner
of a seqlock: odd while the writer is in it. The writer announces a finished
slot by one aligned 8-byte store and then writes to a pipe; the system call
orders memory (CPython has no fence, and ARM reorders) and wakes the reader.
The reader takes only announced slots and looks at the sequence again when it
is through: has it changed, what was read is torn and thrown away.

::

    ┌ header, one page ──────────────────────────────┬ slot 0 ┬ slot 1 ┬ …
    │ the writer's words · the reader's words · one  │ pixels │ pixels │
    │ record a slot                                  │        │        │
    └────────────────────────────────────────────────┴────────┴────────┴ …
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backpack._ipc.settings import PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._ipc.stamp import Stamp

SLOTS = 3
"""One that was last announced, one that is being read, one to write."""

_MAGIC = 0x53_50_59_52_49_4E_47_31  # "SPYRING1"
_PAGE = 4096

# Words of eight bytes. The writer's, the reader's and each slot's record lie
# on cache lines of their own, so that neither side slows the other's stores.
_WORD_MAGIC = 0
_WORD_LATEST = 1  # number of the newest frame << 8 | its slot
_WORD_REDACTED = 2  # frames of which something was hidden, in this and earlier rings
_WORD_BLANKED = 3  # frames that were hidden as a whole
_WORD_WANTED = 16  # 1 while frames are wanted
_WORD_BUSY = 17  # 1 + the slot that is being read, 0 for none: a hint
_WORD_INTERVAL = 18  # fewest nanoseconds between frames that the reader wants
_WORD_SHOWN = 19  # number of the newest frame that was encoded: outlives its reader
_RECORDS = 32
_RECORD_WORDS = 16

_SEQUENCE, _NUMBER, _MONO, _WALL, _EPOCH, _WIDTH, _HEIGHT, _FORMAT = range(8)

_FORMATS = (PixelFormat.BGR, PixelFormat.BGRA, PixelFormat.GRAY)
_FORMAT_CODES = {pixel_format: code for code, pixel_format in enumerate(_FORMATS)}


class Ring:
    """
    Own the memory of a ring and the pipe that wakes its reader.

    Made by the application. Its two descriptors go to each streaming process
    that is started, so the last frame outlives any of them.

    Args:
        slot_bytes: Bytes that the largest frame takes.

    """

    def __init__(self, slot_bytes: int) -> None:
        self.slot_bytes = -(-slot_bytes // _PAGE) * _PAGE
        size = _PAGE + SLOTS * self.slot_bytes
        with contextlib.ExitStack() as undo:
            self.memory_fd = _shared_file(size)
            undo.callback(os.close, self.memory_fd)
            self.wake_read_fd, self.wake_write_fd = os.pipe()
            undo.callback(os.close, self.wake_read_fd)
            undo.callback(os.close, self.wake_write_fd)
            os.set_blocking(self.wake_write_fd, False)
            os.set_blocking(self.wake_read_fd, False)
            # Pages are made now, not under the first frames that are put.
            populate = getattr(mmap, "MAP_POPULATE", 0)
            self.memory = mmap.mmap(self.memory_fd, size, flags=mmap.MAP_SHARED | populate)
            undo.pop_all()
        self.words = memoryview(self.memory)[:_PAGE].cast("Q")
        self.words[_WORD_MAGIC] = _MAGIC

    def close(self) -> None:
        """Release memory and descriptors. Idempotent."""
        if self.memory_fd < 0:
            return
        self.words.release()
        # A view that somebody still holds keeps the mapping until it goes.
        with contextlib.suppress(BufferError):
            self.memory.close()
        for fd in (self.memory_fd, self.wake_read_fd, self.wake_write_fd):
            os.close(fd)
        self.memory_fd = -1


class RingWriter:
    """
    Write frames into a ring. Not thread-safe: one thread at a time.

    Args:
        ring: Whose memory to write. Closed by `close`.
        view: Makes an array over the ring's memory: shape, offset → array.
            It is passed in so that this file needs no numpy.
        copy: Copies a frame into such an array.
        first_number: The number of the frame to be written next.

    """

    def __init__(
        self,
        ring: Ring,
        view: Callable[[Any, tuple[int, ...], int], Any],
        copy: Callable[[Any, Any], None],
        first_number: int = 1,
    ) -> None:
        self.ring = ring
        self._words = ring.words
        self._view = view
        self._copy = copy
        self._views: dict[tuple[int, ...], list[Any]] = {}
        self._number = first_number
        self._slot = 0

    @property
    def next_number(self) -> int:
        """The number of the frame to be written next."""
        return self._number

    @property
    def wanted_word(self) -> memoryview:
        """The one word of `wanted`, for who has no time to ask; dead once closed."""
        return self._words[_WORD_WANTED : _WORD_WANTED + 1]

    @property
    def wanted(self) -> bool:
        """Whether the streaming process says that somebody watches."""
        return self._words[_WORD_WANTED] != 0

    @property
    def least_interval_ns(self) -> int:
        """How few frames the streaming process wants: nanoseconds between two."""
        return self._words[_WORD_INTERVAL]

    def expect_reader(self, wanted: bool, least_interval_ns: int = 0) -> None:  # noqa: FBT001
        """Begin with what the reader will say once it has attached: no frame waits for that."""
        self._words[_WORD_INTERVAL] = least_interval_ns
        self._words[_WORD_WANTED] = int(wanted)

    def forget_reader(self) -> None:
        """Take back what a streaming process said that has gone."""
        self._words[_WORD_WANTED] = self._words[_WORD_BUSY] = self._words[_WORD_INTERVAL] = 0

    def note_hidden(self, redacted: int, blanked: int) -> None:
        """Note, for the reader, how many frames were hidden in part, and as a whole, so far."""
        self._words[_WORD_REDACTED], self._words[_WORD_BLANKED] = redacted, blanked

    def write(
        self,
        pixels: Any,  # noqa: ANN401
        pixel_format: PixelFormat,
        stamp: Stamp,
        fill: Callable[[Any, Any], None] | None = None,
    ) -> int:
        """
        Copy a frame into a free slot and announce it; give its number.

        What copies it may hide something of it, and is passed as ``fill`` then. If that
        raises, the frame is not announced.

        The slot last announced is never written, and that being read only if
        the reader's hint came too late, which the sequence then tells it.
        """
        words = self._words
        slot = self._free_slot()
        record = _RECORDS + slot * _RECORD_WORDS
        shape = pixels.shape
        views = self._views.get(shape)
        if views is None:
            views = self._make_views(shape)
        # A writer that was interrupted in its copy has left the number odd.
        sequence = words[record + _SEQUENCE] | 1
        words[record + _SEQUENCE] = sequence
        (fill or self._copy)(views[slot], pixels)
        number = self._number
        self._number = number + 1
        words[record + _NUMBER] = number
        words[record + _MONO] = stamp.mono_ns
        words[record + _WALL] = stamp.wall_ns
        words[record + _EPOCH] = stamp.epoch
        words[record + _WIDTH] = shape[1]
        words[record + _HEIGHT] = shape[0]
        words[record + _FORMAT] = _FORMAT_CODES[pixel_format]
        words[record + _SEQUENCE] = sequence + 1
        words[_WORD_LATEST] = number << 8 | slot
        self._slot = slot
        # Full: the reader has enough reasons to wake up already.
        with contextlib.suppress(BlockingIOError):
            os.write(self.ring.wake_write_fd, b"\1")
        return number

    def close(self) -> None:
        """Release the ring."""
        self._views.clear()
        self.ring.close()

    def _free_slot(self) -> int:
        slot = (self._slot + 1) % SLOTS
        if self._words[_WORD_BUSY] == slot + 1:
            slot = (slot + 1) % SLOTS
        return slot

    def _make_views(self, shape: tuple[int, ...]) -> list[Any]:
        # One entry is enough: an application that alternates between sizes
        # pays a microsecond, not memory.
        self._views.clear()
        views = [
            self._view(self.ring.memory, shape, _PAGE + slot * self.ring.slot_bytes)
            for slot in range(SLOTS)
        ]
        self._views[shape] = views
        return views


@dataclass(frozen=True)
class RingFrame:
    """
    One frame in the ring, as the reader found it.

    Attributes:
        number: Counted by the writer, without gaps.
        mono_ns: Capture time, monotonic clock.
        wall_ns: Capture time since the epoch.
        epoch: Grows when the wall clock stepped.
        width: Pixels in a row.
        height: Rows.
        pixel_format: How the bytes of one pixel lie.
        address: Where the pixels are in this process.

    """

    number: int
    mono_ns: int
    wall_ns: int
    epoch: int
    width: int
    height: int
    pixel_format: PixelFormat
    address: int
    slot: int
    sequence: int

    @property
    def stride(self) -> int:
        """The bytes from one row to the next."""
        return self.width * self.pixel_format.bytes_per_pixel


class RingReader:
    """
    Read frames out of a ring, in the streaming process. One thread only.

    Args:
        memory_fd: Descriptor of the memory; owned from now on.
        wake_fd: Descriptor of the pipe's reading end; owned from now on.

    Raises:
        ValueError: The memory holds no ring of this version.

    """

    def __init__(self, memory_fd: int, wake_fd: int) -> None:
        self.wake_fd = wake_fd
        self._memory_fd = memory_fd
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, memory_fd)
            undo.callback(os.close, wake_fd)
            size = os.fstat(memory_fd).st_size
            self._memory = mmap.mmap(memory_fd, size)
            undo.callback(self._memory.close)
            words = memoryview(self._memory)[:_PAGE].cast("Q")
            undo.callback(words.release)
            if words[_WORD_MAGIC] != _MAGIC:
                raise ValueError("The shared memory holds no ring of this version.")
            undo.pop_all()
        self._words = words
        self._slot_bytes = (size - _PAGE) // SLOTS
        anchor = ctypes.c_char.from_buffer(self._memory)
        self._address = ctypes.addressof(anchor)
        del anchor

    def drain_wake(self) -> None:
        """Empty the pipe: every frame announced until now is about to be looked at."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.wake_fd, 65536)) == 65536:  # noqa: PLR2004
                pass

    def latest_number(self) -> int:
        """The number of the newest frame, 0 if there was none."""
        return self._words[_WORD_LATEST] >> 8

    def hidden(self) -> dict[str, int]:
        """Return how many frames were hidden, in part and as a whole, under names of `Stats`."""
        return {"redacted": self._words[_WORD_REDACTED], "blanked": self._words[_WORD_BLANKED]}

    def take(self) -> RingFrame | None:
        """
        Take the newest frame, or None if there is none or it is being rewritten.

        The frame stays readable until `release`, as far as `still_valid` says.
        """
        words = self._words
        for _ in range(SLOTS):
            latest = words[_WORD_LATEST]
            if not latest:
                return None
            slot = latest & 0xFF
            words[_WORD_BUSY] = slot + 1
            record = _RECORDS + slot * _RECORD_WORDS
            sequence = words[record + _SEQUENCE]
            frame = RingFrame(
                words[record + _NUMBER],
                words[record + _MONO],
                words[record + _WALL],
                words[record + _EPOCH],
                words[record + _WIDTH],
                words[record + _HEIGHT],
                _FORMATS[words[record + _FORMAT] % len(_FORMATS)],
                self._address + _PAGE + slot * self._slot_bytes,
                slot,
                sequence,
            )
            # The writer may have come back to this slot since: then the
            # record mixes two frames, and a newer one has been announced.
            if not sequence & 1 and frame.number == latest >> 8 and self._fits(frame):
                return frame
        self.release()
        return None

    def still_valid(self, frame: RingFrame) -> bool:
        """Return whether the writer has left the frame alone since it was taken."""
        record = _RECORDS + frame.slot * _RECORD_WORDS
        return self._words[record + _SEQUENCE] == frame.sequence

    @property
    def shown_number(self) -> int:
        """The number of the newest frame that this or an earlier reader has shown."""
        return self._words[_WORD_SHOWN]

    def note_shown(self, number: int) -> None:
        """
        Note that a frame was encoded: who comes after a crash must not show it anew.

        Any thread; does nothing once it is closed.
        """
        with contextlib.suppress(ValueError):
            self._words[_WORD_SHOWN] = number

    def release(self) -> None:
        """Say that no slot is being read."""
        self._words[_WORD_BUSY] = 0

    def set_wanted(self, wanted: bool, least_interval_ns: int = 0) -> None:  # noqa: FBT001
        """Set, for the writer, whether frames are wanted, and how far apart."""
        self._words[_WORD_INTERVAL] = least_interval_ns
        self._words[_WORD_WANTED] = int(wanted)

    def close(self) -> None:
        """Release memory and descriptors. Idempotent."""
        if self._memory_fd < 0:
            return
        self.set_wanted(False)
        self.release()
        self._words.release()
        self._memory.close()
        os.close(self._memory_fd)
        os.close(self.wake_fd)
        self._memory_fd = -1

    def _fits(self, frame: RingFrame) -> bool:
        """Return whether the frame lies within its slot, whatever the record says."""
        return 0 < frame.stride * frame.height <= self._slot_bytes


def _shared_file(size: int) -> int:
    """
    Make a file in memory that has no name, and that nobody can make smaller.

    `/dev/shm` and its limit are not involved. The streaming process holds a descriptor of it,
    and a store behind the end of a file that was cut off ends the writer with SIGBUS: so it is
    sealed. A Python without memfd_create has a temporary file, which cannot be.
    """
    seals = 0
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("spyglass-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    else:
        with tempfile.TemporaryFile(prefix="spyglass-ring") as file:
            fd = os.dup(file.fileno())
    try:
        os.truncate(fd, size)
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(fd)
        raise
    return fd
