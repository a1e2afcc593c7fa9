"""Hold what all measurements need: the frames, the pace of the whole run, the processes."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backpack._worker.encoding.bitrate import default_bitrate_kbps
from benchmarks import frames, processes
from benchmarks.remote import ROOT, Child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.remote import Answer

__all__ = ["LINGER_SECONDS", "THREADS", "Bench", "Figures", "Puts", "Scene", "Window", "percentile"]

Figures = dict[str, float]

# SpyGlass goes on encoding so long after the last viewer left; and a second more.
LINGER_SECONDS = 6.0

# What the busy application works with.
THREADS = 2


def percentile(values: list[float], percent: float) -> float:
    """Give the value below which so many per cent of the values are; nan where there is none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass
class Window:
    """What the application and all processes below it used between two moments."""

    seconds: float = 0.0
    app_cpu_seconds: float = 0.0
    other_cpu_seconds: float = 0.0
    began_ns: int = 0
    ended_ns: int = 0

    def covers(self, time_ns: int) -> bool:
        """Say whether something happened within the window."""
        return self.began_ns <= time_ns < self.ended_ns


@dataclass
class Puts:
    """
    What the application tells of a play once it has ended.

    Attributes:
        began_ns: For each frame's number the moment of its put.
        took_ms: For each number how long the put took.
        taken: The numbers of the frames that were taken.

    """

    began_ns: dict[int, int] = field(default_factory=dict)
    took_ms: dict[int, float] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)

    def add(self, puts: list[tuple[int, int, int, bool]]) -> None:
        """Take over what the application wrote down."""
        for number, began_ns, took_ns, taken in puts:
            self.began_ns[number] = began_ns
            self.took_ms[number] = took_ns / 1e6
            if taken:
                self.taken.add(number)

    def within(self, window: Window) -> list[int]:
        """List the numbers of the frames that were put in a window."""
        return [number for number, at in self.began_ns.items() if window.covers(at)]


@dataclass
class Scene:
    """
    An application that streams, and a process for those who watch it.

    Attributes:
        app: The application.
        viewer: Nobody watches in it yet.
        source: What a viewer needs to know.

    """

    app: Child
    viewer: Child
    source: dict[str, str]

    def watch(self, *, decode: bool = False, count: int = 1) -> Answer:
        """Open viewers and wait until each has its first picture."""
        return self.viewer.ask("watch", **self.source, decode=decode, count=count)

    def leave(self) -> Answer:
        """Close all viewers; tells what the first one saw."""
        return self.viewer.ask("leave")

    @contextlib.contextmanager
    def playing(self, jitter_ms: float = 0.0) -> Iterator[Puts]:
        """Let the application put frames meanwhile; the puts are told at the end."""
        puts = Puts()
        self.app.tell("play", seconds=600, jitter_ms=jitter_ms)
        yield puts
        # A command that comes ends the play.
        self.app.tell("stats")
        puts.add(self.app.answer()["puts"])
        self.app.answer()

    @contextlib.contextmanager
    def window(self) -> Iterator[Window]:
        """Measure what the application and everything below it use meanwhile."""
        window = Window()
        pid = self.app.pid
        app_before = processes.cpu_seconds(pid)
        before = {other: processes.cpu_seconds(other) for other in processes.descendants(pid)}
        window.began_ns = time.monotonic_ns()
        yield window
        window.ended_ns = time.monotonic_ns()
        window.seconds = (window.ended_ns - window.began_ns) / processes.NANOSECOND
        window.app_cpu_seconds = processes.cpu_seconds(pid) - app_before
        window.other_cpu_seconds = sum(
            processes.cpu_seconds(other) - was for other, was in before.items()
        )


class Bench:
    """
    Make the processes that are measured, and take their time.

    Args:
        path: The frames.
        pace: 1 for measurements as long as the published ones'; less is quicker and rougher.

    """

    def __init__(self, path: Path, pace: float) -> None:
        self.path = path
        self.pace = pace
        # One Python, one numpy and one OpenCV for all sides, since the
        # predecessor cannot choose its own.
        predecessor = ROOT / ".venv-predecessor/bin/python"
        self._app_python = str(predecessor) if predecessor.exists() else sys.executable

    @property
    def bitrate_kbps(self) -> int:
        """What SpyGlass asks its encoder for at this size and rate."""
        return default_bitrate_kbps(frames.WIDTH, frames.HEIGHT, frames.FPS)

    def seconds(self, full: float) -> float:
        """Say how long a measurement takes that takes ``full`` in a full run."""
        return max(2.0, full * self.pace)

    @contextlib.contextmanager
    def app(
        self, side: str, cpus: list[int] | None = None, environment: Mapping[str, str] | None = None
    ) -> Iterator[Child]:
        """
        Run an application with frames and side loaded, not streaming yet.

        Args:
            side: A key of ``sides.NAMES``.
            cpus: The processors that it and all below it may use.
            environment: Variables that it needs; it runs under this Python then.

        """
        # Both packages are called backpack: the predecessor's must not find ours.
        own = {"PYTHONPATH": str(ROOT)} if side == "predecessor" else environment or {}
        # The predecessor's has no botocore.
        python = sys.executable if environment else self._app_python
        with Child("benchmarks.app", python=python, environment=own) as app:
            app.ask("load", path=str(self.path), side=side, cpus=cpus)
            yield app

    @contextlib.contextmanager
    def streaming(self, app: Child) -> Iterator[Scene]:
        """Let an application stream."""
        with Child("benchmarks.client") as viewer:
            answer = app.ask("open", bitrate_kbps=self.bitrate_kbps)
            yield Scene(app, viewer, answer)
            app.ask("close")

    @contextlib.contextmanager
    def scene(self, side: str, cpus: list[int] | None = None) -> Iterator[Scene]:
        """Run an application and let it stream."""
        with self.app(side, cpus) as app, self.streaming(app) as scene:
            yield scene
