"""Runs the command of an output, such as ``spyglass kvs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._cli.failure import CANNOT
from backpack._cli.serve import refuse_disabled
from backpack._cli.stop import StopRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_SIZE = (640, 360)


def run(asked: argparse.Namespace) -> int:
    """
    Run the command.

    Args:
        asked: The command line, with the type of the output.

    Returns:
        0 if all is well with the output, else 1.

    Raises:
        BackpackError: It cannot even be tried.

    """
    refuse_disabled()
    # Only now: `--help` and wrong options need no numpy.
    from backpack._cli.scene import SceneSource  # noqa: PLC0415

    with StopRequest(None) as ending:

        def play(put: Callable[..., object], fps: float) -> None:
            SceneSource(*_SIZE, fps, ending).read(put, 1.0)

        is_well = asked.output.load("cli").run(asked, play)
    return 0 if is_well else CANNOT
