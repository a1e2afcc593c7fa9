"""
Print the requirements of dependency groups in pyproject.toml, one a line.

The pip of Debian 12 and Ubuntu 22.04 does not know ``--group`` yet, and a
second list of the same packages would drift away from the first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    # Ubuntu 22.04 has Python 3.10; pip carries a TOML reader of its own.
    from pip._vendor import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(names: list[str]) -> list[str]:
    """
    List what the named groups ask for.

    Args:
        names: Names of groups under ``[dependency-groups]``.

    """
    groups: dict[str, Any] = tomllib.loads(PYPROJECT.read_text("utf-8"))["dependency-groups"]
    return [requirement for name in names for requirement in groups[name]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", nargs="+", help="name of a group in pyproject.toml")
    print("\n".join(requirements(parser.parse_args().group)))
