"""Run ``spyglass completion``: print what a shell needs to complete command lines."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from backpack._cli.arguments import make_parser
from backpack._cli.failure import Failure

_FILES: Final = frozenset({"source", "users_file", "certificate", "key", "dotenv"})
"""Arguments that name files."""


def run(asked: argparse.Namespace) -> int:
    """
    Print the completion script of a shell.

    Args:
        asked: What `backpack._cli.arguments` made of the command line.

    Returns:
        The exit status.

    Raises:
        Failure: The library that writes it is not installed.

    """
    try:
        import shtab  # noqa: PLC0415 - of this command alone
    except ImportError:
        raise Failure(
            f"shtab is needed to write it: {sys.executable} -m pip install shtab"
        ) from None
    parser = make_parser()
    for action in _actions(parser):
        if action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, asked.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found: list[argparse.Action] = []
    for action in parser._actions:  # noqa: SLF001 - has no other name
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for one in action.choices.values():
                found += _actions(one)
    return found
