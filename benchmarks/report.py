"""Print what was measured, and write it down for machines."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import sides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.bench import Figures
    from benchmarks.rows import Row

__all__ = ["COMPARED", "as_text", "machine", "write_json"]

# What is compared between the sides: key, title, and digits after the point.
COMPARED = (
    ("put_ms_p50", "put() p50, ms", 2),
    ("put_ms_p99", "put() p99, ms", 2),
    ("cpu_ms_per_frame", "CPU a frame, all processes, ms", 1),
    ("cpu_ms_beside_app", "CPU a frame, beside the app, ms", 1),
    ("latency_ms_p50", "latency p50, ms", 1),
    ("latency_ms_p95", "latency p95, ms", 1),
    ("first_picture_seconds", "first picture, median, s", 2),
    ("first_picture_worst_seconds", "first picture, worst of 5, s", 2),
    ("memory_mb", "memory, MB", 0),
    ("loop_watched", "busy app keeps, watched", 2),
    ("loop_unwatched", "busy app keeps, unwatched", 2),
    ("loop_viewer_fps", "its viewer's fps", 1),
    ("loop_viewer_age_seconds", "its viewer's oldest picture, s", 2),
)
COMPARED_SIDES = ("ours", "predecessor", "ffmpeg_pipe")


def machine() -> dict[str, str | int | None]:
    """Describe where it was measured, as far as it bears on the figures."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": _system_name(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "gstreamer": _first_line("gst-launch-1.0", "--version"),
        "ffmpeg": _first_line("ffmpeg", "-version"),
    }


def as_text(found: Mapping[str, Figures], rows: Sequence[Row]) -> str:
    """Lay out both tables: the sides beside each other, and the promises."""
    columns = [side for side in COMPARED_SIDES if side in found]
    lines = []
    if columns:
        titles = "".join(f"{sides.NAMES[side]:>26}" for side in columns)
        lines += [f"{'':34}{titles}"]
        for key, title, digits in COMPARED:
            cells = [_cell(_figure(found, side, key), digits) for side in columns]
            lines.append(f"{title:34}" + "".join(f"{cell:>26}" for cell in cells))
        lines.append("")
    for row in rows:
        verdict = "aim" if row.reached_aim else "ok" if row.passed else "MISSED"
        sign = "≥" if row.at_least else "≤"
        lines.append(
            f"{row.title:54} {row.value:>9.3g} {row.unit:12} {sign} {row.bar:<5g}"
            f" {'' if row.aim is None else f'(aim {row.aim:g})':12} {verdict}"
        )
    return "\n".join(lines)


def write_json(path: Path, found: Mapping[str, Figures], rows: Sequence[Row]) -> None:
    """
    Write everything down.

    Args:
        path: The file; its folder is made.
        found: Under the name of each measurement what it found.
        rows: The promises.

    """
    document: dict[str, Any] = {
        "machine": machine(),
        "figures": {name: _rounded(figures) for name, figures in found.items()},
        "rows": [_rounded(row.to_dict()) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _figure(found: Mapping[str, Figures], side: str, key: str) -> float | None:
    return found[side].get(key, found.get(f"{side}_loop", {}).get(key))


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    def short(value: object) -> object:
        if not isinstance(value, float):
            return value
        # JSON knows no nan.
        return None if math.isnan(value) else float(f"{value:.4g}")

    return {key: short(value) for key, value in values.items()}


def _first_line(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return " ".join(done.stdout.partition("\n")[0].split()[:3])


def _system_name() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.system()
