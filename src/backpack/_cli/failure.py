"""The error that ends a command, with its exit status."""

from __future__ import annotations

from typing import Final

CANNOT: Final = 1
"""Exit status: it was asked rightly, but cannot be done."""

USAGE: Final = 2
"""Exit status: it was not asked rightly. The same as argparse's."""


class Failure(Exception):  # noqa: N818 - it is the command's failure, not an error to handle
    """
    End the command with one sentence and a status.

    Args:
        sentence: What is wrong and what to do, for the person at the terminal.
        status: The exit status.

    """

    def __init__(self, sentence: str, status: int = CANNOT) -> None:
        super().__init__(sentence)
        self.status = status
