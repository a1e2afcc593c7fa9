"""
Print which share of the lines of each room the last run of script/coverage has run.

With --floors the exit status is 1 where a room is below its floor in pyproject.toml, or has none.
"""

from __future__ import annotations

import argparse
import collections
import sys
from pathlib import Path

import coverage

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "backpack"
PYPROJECT = ROOT / "pyproject.toml"


def room(path: Path) -> str:
    """Return the room of a file: its folder, an output's own, or `backpack` for public names."""
    top, *below = path.relative_to(PACKAGE).parts
    if not top.startswith("_") or not below:
        return "backpack"
    return f"{top}/{below[0]}" if top == "_outputs" and len(below) > 1 else top


def shares(config: Path) -> dict[str, tuple[int, int]]:
    """
    Return by room how many lines there are, and how many of them were run.

    Args:
        config: Settings of coverage, which say where its data are.

    """
    measured = coverage.Coverage(config_file=str(config))
    measured.load()
    found: dict[str, tuple[int, int]] = collections.defaultdict(lambda: (0, 0))
    for path in sorted(PACKAGE.rglob("*.py")):
        _, lines, _, missing, _ = measured.analysis2(str(path))
        known, run = found[room(path)]
        found[room(path)] = known + len(lines), run + len(lines) - len(missing)
    return {name: both for name, both in sorted(found.items()) if both[0]}


def main() -> int:
    """Print the table, and give the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="settings of coverage, made by script/coverage")
    parser.add_argument("--floors", action="store_true", help="fail where a room is below its own")
    asked = parser.parse_args()
    floors: dict[str, int] = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["spyglass"][
        "coverage-floors"
    ]
    found = shares(asked.config)
    failed = sorted(floors.keys() - found.keys()) if asked.floors else []
    print(f"{'room':<20} {'lines':>6} {'run':>7} {'floor':>7}")
    for name, (lines, run) in found.items():
        percent = 100 * run / lines
        floor = floors.get(name)
        is_low = floor is None or percent < floor
        if asked.floors and is_low:
            failed.append(name)
        floor_text = "none" if floor is None else f"{floor} %"
        print(f"{name:<20} {lines:>6} {percent:>5.1f} % {floor_text:>7}{' BELOW' * is_low}")
    if failed:
        print(f"below their floors, or unknown: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
