"""Decide under which Python the streaming process is started next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._ipc.interpreter import candidates
from backpack._lib.packages import WATCHING, install_hint
from backpack.errors import BackpackError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

_DOCTOR = "`spyglass doctor` shows what is found and what is not."


class Pythons:
    """
    Go through the Pythons that could stream, until one of them has.

    Starts none of them: the supervisor does, and says what came of it. A round
    ends with the last candidate, and the next one begins with the first, for
    something may have been installed in between.

    Args:
        find: Lists the candidates, the best first.

    """

    def __init__(self, find: Callable[[], list[str]] = candidates) -> None:
        self._find = find
        # What is left of this round; the first is the one to be started.
        self._left: list[str] = []
        # What kept the first one of this round from streaming.
        self._complaint: BackpackError | None = None
        # The one that has streamed here: it can, whatever happens to it later.
        self._proven: str | None = None

    def choose(self) -> str:
        """
        Return the one to start now.

        Raises:
            MissingDependencyError: There is none at all.

        """
        if not self._left:
            self._left = self._find()
            self._complaint = None
        if not self._left:
            raise MissingDependencyError(
                "No Python was found to run the streaming process. "
                f"{install_hint(features=WATCHING)}\nOr set BACKPACK_PYTHON to a Python that has "
                f"`gi`. {_DOCTOR}"
            )
        return self._left[0]

    def explain(self, error: BackpackError) -> None:
        """Take the streaming process's own word of why it cannot run under this one."""
        self._complaint = error

    def prove(self, python: str) -> None:
        """Note that one has streamed: it is not given up for a start that fails."""
        self._proven = python

    def can(self, python: str) -> bool:
        """Return whether one has streamed here."""
        return python == self._proven

    def give_up(self, reason: str) -> BackpackError | None:
        """Go on to the next one; give what to say where none is left in this round."""
        self._complaint = self._complaint or MissingDependencyError(
            f"{reason} Streaming runs under a Python that has PyGObject and GStreamer, most often "
            f"the system's. {install_hint(features=WATCHING)}\nWhere BACKPACK_PYTHON is set it "
            f"must name such a Python. {_DOCTOR}"
        )
        del self._left[:1]
        return None if self._left else self._complaint

    def forget(self) -> None:
        """Choose anew next time: something may have been installed, or BACKPACK_PYTHON set."""
        self._left.clear()
        self._proven = None
