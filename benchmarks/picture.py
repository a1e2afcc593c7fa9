"""Draw the comparison as bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks import sides

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.bench import Figures

__all__ = ["draw"]

COLOURS = {
    "ours": "#2a9d8f",
    "predecessor": "#b8b8b8",
    "ffmpeg_pipe": "#8d99ae",
    "limit": "#e9c46a",
}

Bars = list[tuple[str, str, float]]
"""Label, key of ``COLOURS``, value."""


def draw(path: Path, found: Mapping[str, Figures]) -> None:
    """
    Draw what was measured; a panel whose figures are missing stays away.

    Args:
        path: The picture's file; its name's end says which kind.
        found: Under the name of each measurement what it found.

    """
    panels = [
        ("put(), median", "ms", "{:.2f}", _put(found)),
        ("CPU a frame, all processes", "ms", "{:.1f}", _cpu(found)),
        ("put() to decoded picture, median", "ms", "{:.0f}", _bars(found, "latency_ms_p50")),
        ("first picture after connecting", "s", "{:.2f}", _bars(found, "first_picture_seconds")),
        ("memory", "MB", "{:.0f}", _bars(found, "memory_mb")),
        ("rounds that a busy app keeps", "alone = 1", "{:.2f}", _loop(found)),
    ]
    panels = [panel for panel in panels if panel[3]]
    if not panels:
        return
    figure, axes = plt.subplots(
        math.ceil(len(panels) / 2),
        2,
        figsize=(10, 1.75 * math.ceil(len(panels) / 2)),
        squeeze=False,
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, unit, form, bars) in zip(axes.flat, panels, strict=False):
        _panel(axis, f"{title}, {unit}", form, bars)
    figure.suptitle("1920x1080 at 30 frames a second, watched over RTSP", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=144, metadata={"Software": None})
    plt.close(figure)


def _panel(axis: Axes, title: str, form: str, bars: Bars) -> None:
    labels, kinds, values = zip(*bars, strict=True)
    drawn = axis.barh(range(len(bars)), values, color=[COLOURS[kind] for kind in kinds], height=0.7)
    axis.bar_label(drawn, [form.format(value) for value in values], padding=3, fontsize=8)
    axis.set_yticks(range(len(bars)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.16)
    axis.set_title(title, fontsize=9, loc="left")
    axis.xaxis.set_visible(False)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _bars(found: Mapping[str, Figures], key: str, loop: str = "") -> Bars:
    """Give a bar for each side that has the figure."""
    bars = []
    for side in ("ours", "ffmpeg_pipe", "predecessor"):
        value = found.get(side + loop, {}).get(key, math.nan)
        if not math.isnan(value):
            bars.append((sides.NAMES[side], side, value))
    return bars


def _put(found: Mapping[str, Figures]) -> Bars:
    bars = _bars(found, "put_ms_p50")
    if "watched" in found:
        bars.append(("copying the frame", "limit", found["watched"]["copy_ms_p50"]))
    return bars


def _cpu(found: Mapping[str, Figures]) -> Bars:
    bars = _bars(found, "cpu_ms_per_frame")
    if "limits" in found:
        value = found["limits"]["convert_and_encode_ms_paced"]
        bars.append(("libyuv + x264 alone", "limit", value))
    return bars


def _loop(found: Mapping[str, Figures]) -> Bars:
    bars = _bars(found, "loop_watched", "_loop")
    if "loop_unwatched" in found.get("ours_loop", {}):
        bars.insert(0, ("SpyGlass, unwatched", "ours", found["ours_loop"]["loop_unwatched"]))
    return bars
