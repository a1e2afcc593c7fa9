"""Measure everything in one run: ``script/bench --json FILE``."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import compare, frames, kvs, ours, picture, report, web
from benchmarks.bench import Bench
from benchmarks.remote import ROOT
from benchmarks.rows import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Figures

CLIP = ROOT / "examples/people/pedestrians.mp4"
RESULT = ROOT / "docs/benchmark.json"
QUICK = 0.25


def measurements(bench: Bench, found: dict[str, Figures]) -> dict[str, Callable[[], Figures]]:
    """
    List what can be measured, in the order in which it is.

    Args:
        bench: Makes the processes.
        found: What was found so far; some measurements start from others.

    """
    by_name: dict[str, Callable[[], Figures]] = {
        "limits": functools.partial(ours.measure_limits, bench),
        "nothing": functools.partial(compare.measure_alone, bench),
    }
    for side in ("ours", "predecessor", "ffmpeg_pipe"):
        by_name[side] = lambda side=side: compare.measure_side(  # type: ignore[misc]
            bench, side, found.get("nothing") or compare.measure_alone(bench)
        )
        by_name[f"{side}_loop"] = functools.partial(compare.measure_loop, bench, side)
    return by_name | {
        "watched": functools.partial(ours.measure_watched, bench),
        "unwatched": functools.partial(ours.measure_unwatched, bench),
        "one_core": functools.partial(ours.measure_one_core, bench),
        "jitter": functools.partial(ours.measure_jitter, bench),
        "viewers": functools.partial(ours.measure_viewers, bench),
        "killed": functools.partial(ours.measure_killed, bench),
        "kvs": functools.partial(kvs.measure_kvs, bench),
        "web": functools.partial(web.measure_web, bench),
    }


def run(bench: Bench, only: list[str] | None) -> dict[str, Figures]:
    """Measure, and tell on standard error how far it is; what fails is left out."""
    found: dict[str, Figures] = {}
    wanted = {
        name: measure
        for name, measure in measurements(bench, found).items()
        if only is None or name in only
    }
    for count, (name, measure) in enumerate(wanted.items(), 1):
        print(f"[{count}/{len(wanted)}] {name} ...", end=" ", flush=True, file=sys.stderr)
        started = time.monotonic()
        try:
            found[name] = measure()
        except Exception as error:  # noqa: BLE001 - one that fails must not cost the others
            print(f"FAILED: {error!r}", file=sys.stderr)
        else:
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return found


def main() -> int:
    """
    Measure, print, write.

    Returns:
        The exit status: 1 where a promise was missed or could not be measured.

    """
    names = list(measurements(Bench(Path(), 1), {}))
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="where the bar charts go")
    parser.add_argument("--quick", action="store_true", help="shorter and rougher")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    arguments = parser.parse_args()
    # What is published comes from whole runs.
    if arguments.json is None and not arguments.quick and arguments.only is None:
        arguments.json = RESULT
    if arguments.picture is None and arguments.json is not None:
        arguments.picture = arguments.json.with_suffix(".png")

    with tempfile.TemporaryDirectory(prefix="spyglass-bench-") as folder:
        path = frames.prepare(CLIP, Path(folder))
        found = run(Bench(path, QUICK if arguments.quick else 1.0), arguments.only)
    rows = judge(found)
    print(report.as_text(found, rows))
    if arguments.json is not None:
        report.write_json(arguments.json, found, rows)
    if arguments.picture is not None:
        picture.draw(arguments.picture, found)
    expected = arguments.only or names
    return 0 if all(row.passed for row in rows) and set(expected) <= found.keys() else 1


if __name__ == "__main__":
    sys.exit(main())
