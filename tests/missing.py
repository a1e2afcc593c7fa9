"""Run an application on a machine that lacks a part, by hiding the part's files from it alone."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path

__all__ = ["can_hide", "without"]

# A mount namespace of its own, in which removing from an overlay removes nothing below it.
_SCRIPT = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$1/upper,workdir=$1/work" /usr
shift
while [ "$1" != -- ]; do rm -r "$1"; shift; done
shift
exec "$@"
"""


def without(files: list[Path], folder: Path) -> list[str]:
    """
    Give the command, to be followed by the application's, that hides files below ``/usr``.

    Args:
        files: Files and folders that are not there for the application.
        folder: An empty folder of the test's own.

    """
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    hidden = [str(file) for file in files]
    return ["unshare", "--mount", *user, "sh", "-c", _SCRIPT, "sh", str(folder), *hidden, "--"]


@functools.cache
def can_hide() -> bool:
    """Tell whether this machine lets us make mount namespaces and overlays."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run([*without([], Path(folder)), "true"], check=False, timeout=30)
        except FileNotFoundError:
            return False
    return done.returncode == 0
