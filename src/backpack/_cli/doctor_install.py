"""Install what `spyglass doctor` has found missing, with the distribution's own tool."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from backpack._cli.failure import CANNOT, Failure
from backpack._lib.packages import PACKAGES, family_here, install_command, install_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

_BEFORE: Final = {"debian": "apt-get update", "fedora": ""}


def install_line(debian_names: Sequence[str]) -> str | None:
    """
    Return the one line that installs packages on this machine.

    Args:
        debian_names: Their names in Debian; those that the distributions do
            not have are left out.

    Returns:
        None where nothing is left to install. Where the distribution is not
        known, the lines for those that are.

    """
    packages = [package for package in PACKAGES if package.debian in debian_names]
    if not packages:
        return None
    family = family_here()
    if family is None:
        return install_hint(*debian_names)
    return install_command(packages, family, as_root=os.geteuid() == 0)


def install(debian_names: Sequence[str]) -> int:
    """
    Install packages, and show what the distribution's tool says meanwhile.

    Blocks until it has ended; that may take minutes.

    Returns:
        The exit status of the tool: 0 where all are installed.

    Raises:
        Failure: The distribution is not known, or there is no sudo.

    """
    family = family_here()
    line = install_line(debian_names)
    if line is None:
        return 0
    if family is None:
        raise Failure(f"This distribution is not known. {line}", CANNOT)
    as_root = os.geteuid() == 0
    if not as_root and shutil.which("sudo") is None:
        raise Failure(f"There is no sudo here. As root: {line}", CANNOT)
    sudo = [] if as_root else ["sudo"]
    before = shlex.split(_BEFORE[family])
    if before:
        # Package lists may be missing, as in a container, or old.
        _run([*sudo, *before])
    words = [word for word in shlex.split(line) if word != "sudo"]
    return _run([*sudo, *words, "-y"])


def _run(command: list[str]) -> int:
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own
