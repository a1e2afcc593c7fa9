"""Take the command line apart, run the command, and turn what goes wrong into one sentence."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from backpack._cli.arguments import make_parser
from backpack._cli.failure import CANNOT, USAGE, Failure
from backpack.errors import BackpackError, SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_INTERRUPTED = 130
"""What shells make of a process that SIGINT has ended."""

# The library speaks of its arguments; at a terminal they have other names.
_OPTIONS = {
    "allow_anonymous=True": "--allow-anonymous",
    "users={'name': 'password'}": "a login (--users-file or BACKPACK_USERS)",
    "certificate=": "--certificate ",
    "key=": "--key ",
    "allowed_hosts=": "--allowed-host ",
    "rtp_ports=": "--rtp-ports ",
    "bitrate_kbps=": "--bitrate ",
    "encoder=": "--encoder ",
    "fps=": "--fps ",
    "width=": "--width ",
    "height=": "--height ",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        arguments: Without the program's name. None: those of this process.

    Returns:
        The exit status, as `backpack._cli.arguments` documents it.

    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = make_parser()
    asked = parse(parser, given)
    if asked.command is None:
        parser.print_help()
        return 0
    asked.given = given
    try:
        return _run(asked)
    except (Failure, BackpackError, ImportError) as error:
        sentence, status = _explain(error)
    except KeyboardInterrupt:
        # Before or after the time in which a command ends itself in order.
        return _INTERRUPTED
    print(f"spyglass: {sentence}", file=sys.stderr)
    return status


def parse(parser: argparse.ArgumentParser, given: list[str]) -> argparse.Namespace:
    """Parse the command line; URLs may also stand behind options."""
    asked, rest = parser.parse_known_args(given)
    # argparse takes positional arguments from one place only, and leaves later ones over.
    if rest and hasattr(asked, "urls") and not any(word.startswith("-") for word in rest):
        asked.urls = [*asked.urls, *rest]
        return asked
    return parser.parse_args(given) if rest else asked


def _run(asked: argparse.Namespace) -> int:
    command = importlib.import_module(f"backpack._cli.{asked.command}")
    try:
        status: int = command.run(asked)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return 0
    return status


def _explain(error: Failure | BackpackError | ImportError) -> tuple[str, int]:
    """Return a sentence and an exit status for what went wrong."""
    if isinstance(error, Failure):
        return str(error), error.status
    if isinstance(error, SettingsError):
        return _with_options(str(error)), USAGE
    if isinstance(error, BackpackError):
        return str(error), CANNOT
    if error.name != "numpy":
        raise error
    return f"{sys.executable} has no numpy. Install it: python -m pip install numpy", CANNOT


def _with_options(text: str) -> str:
    for argument, option in _OPTIONS.items():
        text = text.replace(argument, option)
    return text


def _forget_stdout() -> None:
    """Let the flush at exit go nowhere: who has read our output has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
