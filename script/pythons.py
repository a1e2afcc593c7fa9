"""
Try the application's side under every Python from 3.10 on that is here.

Each gets an environment of its own, once with the oldest numpy that there is for
it and once with the newest. There the package is installed as a user installs it,
`script/application.py` is run, and the command `spyglass`. Where the system can
stream, the application's picture is fetched from its page as well.

Looks for Pythons on PATH, in /usr/bin and in pyenv's folder, and says which ones
it has not found: those are not tried. Exit status: 0 when all that were tried
passed, 1 when one has failed, 77 when there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

OLDEST_NUMPY = {
    (3, 10): "numpy==1.21.*",
    (3, 11): "numpy==1.23.*",
    (3, 12): "numpy==1.26.*",
    (3, 13): "numpy==2.1.*",
    (3, 14): "numpy==2.3.*",
}
"""The first that PyPI has a wheel of for each Python; 1.21 is the oldest that is asked for."""

COMMANDS = (["--version"], ["--help"], ["doctor", "--json"])
COULD_NOT = 77

# What leads a Python to another one's modules.
_STRAY = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYENV_VERSION")


def find(version: tuple[int, int]) -> str | None:
    """Give a Python of a version that runs, or nothing."""
    name = f"python{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [shutil.which(name), f"/usr/bin/{name}"]
    places += sorted(map(str, pyenv.glob(f"versions/{version[0]}.{version[1]}.*/bin/{name}")))
    for place in places:
        # A name on PATH may be a door to one that is not there.
        if place is not None and Path(place).exists() and _answers(place, version):
            return place
    return None


def _answers(python: str, version: tuple[int, int]) -> bool:
    code = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != {version})"
    done = subprocess.run([python, "-c", code], capture_output=True, check=False)
    return done.returncode == 0


def attempt(python: str, numpy: str, folder: Path) -> str:
    """
    Install the package beside a numpy, and use it.

    Returns:
        What was tried, in a line.

    Raises:
        subprocess.CalledProcessError: Something failed; its output says what.

    """
    _run([python, "-m", "venv", str(folder)])
    own = str(folder / "bin" / "python")
    _run([own, "-m", "pip", "install", "-q", "--only-binary=numpy", numpy, str(ROOT)])
    said = _run([own, str(ROOT / "script" / "application.py")], cwd=folder).strip()
    for arguments in COMMANDS:
        # The doctor ends with 1 where the system cannot stream: its report is what is tried.
        allowed = (0, 1) if arguments[0] == "doctor" else (0,)
        _run([str(folder / "bin" / "spyglass"), *arguments], cwd=folder, allowed=allowed)
    return said


def _run(command: list[str], *, cwd: Path = ROOT, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command, away from what this process's environment says of Python."""
    environment = {name: value for name, value in os.environ.items() if name not in _STRAY}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode not in allowed or "Traceback" in done.stderr:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def main() -> int:
    """Try all, print a line for each, and give the exit status."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    failed = tried = 0
    for version, oldest in OLDEST_NUMPY.items():
        name = f"Python {version[0]}.{version[1]}"
        python = find(version)
        if python is None:
            print(f"{name}: not on this machine, not tried", flush=True)
            continue
        for numpy in (oldest, "numpy"):
            tried += 1
            with tempfile.TemporaryDirectory(prefix="spyglass-pythons-") as folder:
                try:
                    print(attempt(python, numpy, Path(folder) / "env"), flush=True)
                except subprocess.CalledProcessError as error:
                    failed += 1
                    print(f"{name}, {numpy}: FAILED: {error}", error.output, error.stderr, sep="\n")
    print(f"{tried - failed} passed, {failed} failed", flush=True)
    if not tried:
        return COULD_NOT
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
