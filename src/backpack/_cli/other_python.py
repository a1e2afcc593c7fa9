"""Go on under another Python where this one has no GStreamer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from backpack._cli.failure import Failure
from backpack._ipc.interpreter import boot_command, candidates, clean_environment
from backpack._lib.packages import install_hint
from backpack.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROBE: Final = "backpack._cli.doctor_probe"
_PROBE_SECONDS: Final = 60.0

# What the command itself looks at; all else of the environment may belong to
# the Python that we come from.
_KEPT: Final = ("TERM", "NO_COLOR", "GST_DEBUG")


def need_gstreamer(command_line: Sequence[str]) -> None:
    """
    Return where this Python has GStreamer; else run the command under one that has.

    That one takes this process over, with all that is open: to whoever
    watches it from outside, nothing happens.

    Args:
        command_line: The command's arguments.

    Raises:
        Failure: There is none; the sentence says what to install.

    """
    try:
        import backpack._gst.gi  # noqa: F401, PLC0415 - loading it is the question
    except MissingDependencyError as error:
        reason = str(error)
    else:
        return
    for python in candidates():
        if python == sys.executable:
            continue
        answer = ask_python(python)
        if answer.get("gstreamer") is None:
            continue
        if answer.get("numpy") is None:
            reason = (
                f"{python} has GStreamer, which reads the source, but no numpy. "
                + install_hint("python3-numpy")
            )
            continue
        _become(python, command_line)
    raise Failure(reason)


def ask_python(python: str, *words: str, seconds: float = _PROBE_SECONDS) -> dict[str, Any]:
    """
    Find out what a Python has, in a process of its own.

    Args:
        python: Its path.
        words: Arguments of `backpack._cli.doctor_probe`.
        seconds: Time limit.

    Returns:
        What the probe tells; only ``error`` where it could not.

    """
    try:
        done = subprocess.run(  # noqa: S603 - our own file, no shell
            boot_command(python, _PROBE, *words),
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return {"error": lines[-1] if lines else f"it ended with status {done.returncode}"}
    return answer if isinstance(answer, dict) else {"error": "it gave no answer"}


def _become(python: str, command_line: Sequence[str]) -> NoReturn:
    kept: dict[str, Any] = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith("BACKPACK_")
    }
    command = boot_command(python, "backpack._cli.main", *command_line)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, command, clean_environment(**kept))  # noqa: S606 - no shell is what we want
