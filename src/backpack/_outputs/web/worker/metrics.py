"""Write numbers as Prometheus reads them (text exposition format 0.0.4)."""

from __future__ import annotations

import math
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Name in `Stats` → name, kind, help and factor here. Prometheus wants base units.
_OF_STREAM: dict[str, tuple[str, str, str, float]] = {
    "encoded": ("spyglass_frames_encoded_total", "counter", "Put frames that were encoded.", 1),
    "repeated": (
        "spyglass_frames_repeated_total",
        "counter",
        "Pictures made for viewers while the application was silent.",
        1,
    ),
    "replaced": (
        "spyglass_frames_replaced_total",
        "counter",
        "Frames that a newer one replaced before they were taken.",
        1,
    ),
    "torn": (
        "spyglass_frames_torn_total",
        "counter",
        "Frames that were overwritten while being read.",
        1,
    ),
    "redacted": (
        "spyglass_frames_redacted_total",
        "counter",
        "Frames that were put with something hidden.",
        1,
    ),
    "blanked": (
        "spyglass_frames_blanked_total",
        "counter",
        "Frames that were hidden as a whole.",
        1,
    ),
    "fps": ("spyglass_frames_per_second", "gauge", "Pictures encoded a second, at present.", 1),
    "bitrate_kbps": (
        "spyglass_bitrate_bits_per_second",
        "gauge",
        "What comes out of the encoder, at present.",
        1000,
    ),
    "width": ("spyglass_video_width_pixels", "gauge", "Width of the video.", 1),
    "height": ("spyglass_video_height_pixels", "gauge", "Height of the video.", 1),
}

_OF_OUTPUT: dict[str, tuple[str, str, str]] = {
    "viewers": ("spyglass_output_viewers", "gauge", "Who watches through the output now."),
    "lost": (
        "spyglass_output_frames_lost_total",
        "counter",
        "Pictures that the output or its viewers were too slow for.",
    ),
    "skips": (
        "spyglass_output_skips_total",
        "counter",
        "Times that a viewer fell behind and went on at a key frame.",
    ),
    "failed_logins": (
        "spyglass_output_failed_logins_total",
        "counter",
        "Wrong tokens and passwords at the server of the output.",
    ),
}


class Page:
    """Collect values under their names, and write each name's explanation once."""

    def __init__(self) -> None:
        # Name → its two lines of explanation, then its values.
        self._families: dict[str, list[str]] = {}

    def add(self, name: str, kind: str, text: str, value: object, **labels: str) -> None:
        """Add a value; what is no number is left out."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        lines = self._families.setdefault(name, [f"# HELP {name} {text}", f"# TYPE {name} {kind}"])
        inner = ",".join(f'{label}="{_escape(given)}"' for label, given in labels.items())
        lines.append(f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}")

    def text(self) -> str:
        """Return the page."""
        return "".join(f"{line}\n" for lines in self._families.values() for line in lines)


def add_stream(
    page: Page,
    path: str,
    numbers: Mapping[str, Any],
    outputs: Iterable[tuple[str, Mapping[str, Any]]],
) -> None:
    """
    Add what is counted of one stream.

    Args:
        page: Where to.
        path: The stream's path, its label.
        numbers: Under the names of `backpack.stats.Stats`.
        outputs: The outputs, each with its label and ``viewers``, ``lost`` and
            ``skips`` as far as it knows them.

    """
    for key, (name, kind, text, factor) in _OF_STREAM.items():
        value = numbers.get(key)
        if isinstance(value, (int, float)):
            page.add(name, kind, text, value * factor, stream=path)
    for output, found in outputs:
        trouble = found.get("trouble")
        if isinstance(trouble, str):
            page.add(
                "spyglass_output_up",
                "gauge",
                "1 while nothing keeps the output from delivering, else 0.",
                int(not trouble),
                stream=path,
                output=output,
            )
        for key, (name, kind, text) in _OF_OUTPUT.items():
            page.add(name, kind, text, found.get(key), stream=path, output=output)


def add_process(page: Page, version: str) -> None:
    """Add what the streaming process costs, under the names that all exporters use."""
    page.add("spyglass_build_info", "gauge", "Always 1.", 1, version=version)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    page.add(
        "process_cpu_seconds_total",
        "counter",
        "CPU time that the streaming process has used.",
        usage.ru_utime + usage.ru_stime,
    )
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except (OSError, ValueError, IndexError):
        return
    page.add(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of the streaming process.",
        pages * os.sysconf("SC_PAGE_SIZE"),
    )
    page.add("process_open_fds", "gauge", "Its open descriptors.", descriptors)
    page.add("spyglass_time_seconds", "gauge", "This machine's clock.", time.time())


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN"
    return repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
