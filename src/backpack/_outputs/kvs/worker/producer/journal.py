"""
Keep video that waits on disk as well, so that it outlives the process.

Every frame is appended to a file as it joins its fragment, and the file is
deleted when the fragment is persisted, dropped or given up. So a process that
is killed loses nothing of what it took: the next one finds it. There is no
fsync: what was written is the kernel's and outlives the process, but not a
power cut, which may take the last half minute with it. In return, files that
are deleted after seconds hardly ever reach the disk.

What is kept here is video at rest, and it is NOT ENCRYPTED: whoever can read
the directory (its owner and root), or has the disk, can watch it.

::

    <buffer_path>/<region>/<stream name>.video/       0700
        00000003.lock                                 0600, see below
        00000003-00000017.fragment                    0600, see records.py

The first number names a set of files, which belongs to one process: to who
holds the exclusive `flock` on its lock file. A process makes a set of its own,
numbered above all others, and takes over those that nobody holds. So two
processes never share a file, and none waits for another: one that was killed
has let go of its lock; one that still flushes while its successor runs already
keeps its set, and what it leaves is taken over when it has ended.

What earlier processes have left is loaded into memory when it is taken over.
It counts against the same bounds as what comes, so memory and disk hold the
same video, and neither of them more than ``buffer_bytes``.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backpack._outputs.kvs.shared.names import check_region, check_stream_name
from backpack._outputs.kvs.worker.producer.filesets import FileSets, private_directory
from backpack._outputs.kvs.worker.producer.records import (
    MAGIC,
    NotOursError,
    frame_record,
    head_record,
    read_fragment,
)
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from backpack._outputs.kvs.worker.producer.fragments import Fragment
    from backpack._outputs.kvs.worker.producer.records import Found

logger = logging.getLogger(__name__)

PROBE_BYTES: Final = 64 * 1024
"""Written at the beginning to see whether there is room at all."""

LARGEST_FILE_BYTES: Final = 64 * 1024 * 1024
"""Of ours: KVS takes no fragment above 50 MB."""

LONGEST_NAME: Final = 200
"""Of a directory; a stream's name may be longer than a file's."""


@dataclass(frozen=True)
class JournalNumbers:
    """
    What a journal can say of itself.

    Attributes:
        frames_stored: Frames that wait and are on disk.
        failures: Times that the disk has refused something.
        files_cut: Files that ended, or were broken, in the middle of a frame.
        files_ignored: Files that are not ours. They were left alone.
        trouble: Why video waits in memory only. Empty: it does not.

    """

    frames_stored: int = 0
    failures: int = 0
    files_cut: int = 0
    files_ignored: int = 0
    trouble: str = ""


@dataclass
class _File:
    """One fragment's file; ``descriptor`` is None once nothing is appended any more."""

    path: Path
    descriptor: int | None = None
    # Up to where it is whole, and the frames in there.
    size: int = 0
    frames: int = 0


class Journal:
    """
    Write what a `FragmentQueue` holds to disk, and give back what was left there.

    A disk that refuses something is counted and told, never raised: from then
    on the fragment waits in memory only, and the next one is tried again.

    Not thread-safe: from `recover` on it belongs to the thread that drives the
    producer. Opening it reads no video, and so may be done elsewhere.

    Args:
        buffer_path: Directory for all streams. Made if it is missing.
        region: Of the stream.
        stream_name: The stream.

    Raises:
        SettingsError: Nothing can be written there.

    """

    def __init__(self, buffer_path: str | Path, region: str, stream_name: str) -> None:
        name = _directory_name(check_stream_name(stream_name))
        directory = Path(buffer_path) / check_region(region) / name
        self._files: dict[Fragment, _File] = {}
        self._failures = 0
        self._files_cut = 0
        self._files_ignored = 0
        self._trouble = ""
        # Of the fragments that were left: below those of the cutter.
        self._timeline = 0
        try:
            Path(buffer_path).mkdir(mode=0o700, parents=True, exist_ok=True)
            private_directory(directory.parent)
            private_directory(directory)
            self._sets = FileSets(directory)
        except OSError as error:
            raise _unusable(buffer_path, error) from error
        try:
            self._probe()
            for stranger in self._sets.strangers():
                self._ignore(stranger)
        except OSError as error:
            self._sets.close()
            raise _unusable(buffer_path, error) from error

    def _probe(self) -> None:
        try:
            if os.pwrite(self._sets.own_lock, bytes(PROBE_BYTES), 0) != PROBE_BYTES:
                raise _no_room()
        except OSError as error:
            # What fills the disk may be ours: then sending it makes room.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._sets.others:
                raise
            self._failed(error)
        os.ftruncate(self._sets.own_lock, 0)

    # What the queue tells. None of this raises an error.

    def begin(self, fragment: Fragment) -> None:
        """Open a file for a new fragment."""
        file = _File(self._sets.next_path())
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file.descriptor = os.open(file.path, flags, 0o600)
        except OSError as error:
            self._failed(error)
            return
        self._files[fragment] = file
        if not self._append(file, [MAGIC, *head_record(fragment)]):
            self.remove(fragment)

    def extend(self, fragment: Fragment, block: bytes, pts_ns: int) -> None:
        """Append a frame."""
        file = self._files.get(fragment)
        # After a frame that is missing nothing could be decoded.
        if file is None or file.descriptor is None:
            return
        if self._append(file, frame_record(block, pts_ns - fragment.begin_ns)):
            file.frames += 1

    def complete(self, fragment: Fragment) -> None:
        """Close a fragment's file: nothing joins it any more."""
        file = self._files.get(fragment)
        if file is None or file.descriptor is None:
            return
        self._close(file)
        # It is all there, so the disk is well again.
        self._trouble = ""

    def amend(self, fragment: Fragment) -> None:
        """Write anew what a fragment is: its time, its timeline or its tags have changed."""
        file = self._files.get(fragment)
        if file is None:
            return
        is_open = file.descriptor is not None
        try:
            if file.descriptor is None:
                file.descriptor = os.open(file.path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            self._failed(error)
            return
        self._append(file, head_record(fragment))
        if not is_open:
            self._close(file)

    def remove(self, fragment: Fragment) -> None:
        """Delete a fragment's file."""
        file = self._files.pop(fragment, None)
        if file is None:
            return
        self._close(file)
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            self._failed(error)

    def _append(self, file: _File, parts: list[bytes]) -> bool:
        """Write behind what is whole. False: it could not be written; the file is closed."""
        assert file.descriptor is not None  # noqa: S101 - the callers have just looked
        size = sum(map(len, parts))
        try:
            if os.pwritev(file.descriptor, parts, file.size) != size:
                raise _no_room()
        except OSError as error:
            self._close(file)
            self._failed(error)
            return False
        file.size += size
        return True

    def _close(self, file: _File) -> None:
        descriptor, file.descriptor = file.descriptor, None
        if descriptor is None:
            return
        try:
            os.close(descriptor)
        except OSError as error:
            # Over a network, what was written is refused as late as here.
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._failures += 1
        if not self._trouble:
            logger.warning("Video cannot be kept in buffer_path: %s.", error)
        self._trouble = (
            f"Video waits in memory only, since buffer_path cannot be used ({error}). "
            "Look at the disk."
        )

    # What was left.

    def recover(self) -> Iterator[Fragment]:
        """
        Load what processes that are gone have left, oldest first.

        Called again it gives what those have left that were not gone then;
        usually nothing, which costs nothing. Their timelines are numbered from
        -1 downward.
        """
        try:
            claimed = [(number, self._sets.files(number)) for number in self._sets.claim()]
        except OSError as error:
            self._failed(error)
            return
        for number, paths in claimed:
            if paths:
                logger.info("%d fragments of file set %d were left.", len(paths), number)
            yield from self._load(paths)

    def _load(self, paths: list[Path]) -> Iterator[Fragment]:
        timeline, last_ms = None, 0
        for path in paths:
            fragment = self._load_file(path)
            if fragment is None:
                continue
            # The process may have ended while it was moving times.
            if fragment.timeline != timeline or fragment.timecode_ms <= last_ms:
                self._timeline -= 1
            timeline, last_ms = fragment.timeline, fragment.timecode_ms
            fragment.timeline = self._timeline
            yield fragment

    def _load_file(self, path: Path) -> Fragment | None:
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE_BYTES:
                raise NotOursError  # noqa: TRY301 - a pipe would never end
            found = read_fragment(path.read_bytes())
            whole_bytes = self._cut(path, found, status.st_size)
        except NotOursError:
            self._ignore(path)
            return None
        except OSError as error:
            self._failed(error)
            return None
        if found is None or not whole_bytes:
            return None
        fragment = found.fragment
        self._files[fragment] = _File(path, size=whole_bytes, frames=len(fragment.blocks))
        return fragment

    def _cut(self, path: Path, found: Found | None, size: int) -> int:
        """Cut off what is not whole, and give what is left; delete it if that is nothing."""
        whole_bytes = found.whole_bytes if found is not None and found.fragment.blocks else 0
        if whole_bytes != size:
            self._files_cut += 1
            logger.info("The end of %s was being written when its process ended.", path)
        if not whole_bytes:
            path.unlink(missing_ok=True)
        elif whole_bytes != size:
            os.truncate(path, whole_bytes)
        return whole_bytes

    def _ignore(self, path: Path) -> None:
        self._files_ignored += 1
        logger.warning("%s is no video that was kept here; it is left alone.", path)

    # For its owner.

    def numbers(self) -> JournalNumbers:
        """Return how it stands."""
        return JournalNumbers(
            frames_stored=sum(file.frames for file in self._files.values()),
            failures=self._failures,
            files_cut=self._files_cut,
            files_ignored=self._files_ignored,
            trouble=self._trouble,
        )

    def close(self) -> None:
        """Let go of everything; what was not removed stays for the next process. Idempotent."""
        for file in self._files.values():
            self._close(file)
        self._sets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _directory_name(stream_name: str) -> str:
    if len(stream_name) > LONGEST_NAME:
        digest = hashlib.sha256(stream_name.encode()).hexdigest()[:16]
        stream_name = f"{stream_name[:LONGEST_NAME]}-{digest}"
    # With an ending of ours "." and ".." are names like any other.
    return f"{stream_name}.video"


def _unusable(buffer_path: str | Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"buffer_path={str(buffer_path)!r}: video cannot be kept there ({error}). "
        "Give a directory that can be written, on a disk with room for buffer_bytes."
    )


def _no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
