"""Own files on disk that several processes of one stream put into one directory."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(r"([0-9]{8})(?:\.lock|-([0-9]{8})\.fragment)")


class _Name(NamedTuple):
    """What a file's name says."""

    number: int
    # 0: it is the lock. Fragments are counted from 1.
    place: int
    text: str


def private_directory(path: Path) -> None:
    """
    Make a directory that is nobody else's business.

    Raises:
        OSError: It cannot be made, or belongs to another user.

    """
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    path.chmod(0o700)


class FileSets:
    """
    Hold a set of this process's own, and take over those that nobody holds.

    A set is a number that the names of its files begin with. It is held by an
    exclusive `flock`, which the kernel takes off a process that ends, however
    it ends. Not thread-safe.

    Args:
        directory: Where the files are.

    Raises:
        OSError: They cannot be listed or locked.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # The locks that are held here, by set.
        self._locks: dict[int, int] = {}
        # Sets that another process may hold, oldest first.
        self.others = sorted(self._numbers())
        # This process's own set. Its number is larger than all others.
        self.own = self.others[-1] + 1 if self.others else 1
        while not self._take(self.own):
            self.own += 1
        self._last = 0

    def _numbers(self) -> set[int]:
        found = map(_parse, self._directory.iterdir())
        return {name.number for name in found if name is not None}

    def files(self, number: int) -> list[Path]:
        """List a set's fragments, in the order in which they were begun."""
        return [self._directory / name.text for name in self._fragments(number)]

    def _fragments(self, number: int) -> list[_Name]:
        found = map(_parse, self._directory.iterdir())
        return sorted(name for name in found if name and name.number == number and name.place)

    def strangers(self) -> list[Path]:
        """List what lies there and has no name of ours."""
        return [path for path in self._directory.iterdir() if _parse(path) is None]

    def next_path(self) -> Path:
        """Name the next fragment's file."""
        self._last += 1
        return self._directory / f"{self.own:08}-{self._last:08}.fragment"

    def claim(self) -> list[int]:
        """
        Take over the sets that nobody holds any more.

        Returns:
            Those that were not held here before, oldest first.

        """
        taken = []
        for number in tuple(self.others):
            if self._take(number):
                self.others.remove(number)
                taken.append(number)
        return taken

    @property
    def own_lock(self) -> int:
        """The file descriptor of the own set's lock."""
        return self._locks[self.own]

    def close(self) -> None:
        """Let all sets go. Who takes over what is in them makes a lock file anew. Idempotent."""
        while self._locks:
            number, descriptor = self._locks.popitem()
            try:
                self._lock_path(number).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("A lock file stays in %s: %s.", self._directory, error)
            os.close(descriptor)

    def _lock_path(self, number: int) -> Path:
        return self._directory / f"{number:08}.lock"

    def _take(self, number: int) -> bool:
        """Lock a set. False: another process holds it."""
        path = self._lock_path(number)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            descriptor = os.open(path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, path):
                    self._locks[number] = descriptor
                    return True
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError:
                os.close(descriptor)
                raise
            # Its owner has deleted it just now: what was locked is no name any more.
            os.close(descriptor)


def _parse(path: Path) -> _Name | None:
    match = _NAME.fullmatch(path.name)
    return match and _Name(int(match.group(1)), int(match.group(2) or 0), path.name)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
