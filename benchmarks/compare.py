"""Measure every side in the same way, for the comparison."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.bench import THREADS, Bench, percentile

if TYPE_CHECKING:
    from benchmarks.bench import Figures, Puts, Scene, Window
    from benchmarks.remote import Answer, Child

__all__ = ["measure_alone", "measure_loop", "measure_side"]

CONNECTIONS = 5


def measure_alone(bench: Bench) -> Figures:
    """Measure what the application costs that nobody can watch."""
    with bench.scene("nothing") as scene, scene.playing() as puts:
        time.sleep(1)
        with scene.window() as window:
            time.sleep(bench.seconds(5))
        memory_mb = processes.memory_mb(scene.app.pid)
    frames_put = len(puts.within(window))
    return {
        "cpu_ms_per_frame": window.app_cpu_seconds / frames_put * 1e3,
        "memory_mb": memory_mb,
    }


def measure_side(bench: Bench, side: str, alone: Figures) -> Figures:
    """
    Measure one side while it is watched.

    First by one that decodes, for the latency; then, for what it costs, by one
    that does not: a viewer's decoding is work of another machine.

    Args:
        bench: Makes the processes.
        side: A key of ``sides.NAMES``.
        alone: What ``measure_alone`` found; its memory is not the side's.

    """
    with bench.scene(side) as scene, scene.playing() as puts:
        waits = _connect_often(scene)
        scene.watch(decode=True)
        time.sleep(1)
        with scene.window() as latency_window:
            time.sleep(bench.seconds(8))
        seen = scene.leave()
        scene.watch()
        time.sleep(1)
        with scene.window() as cost_window:
            time.sleep(bench.seconds(8))
        pids = [scene.app.pid, *processes.descendants(scene.app.pid)]
        memory_mb = sum(processes.memory_mb(pid) for pid in pids)
    return {
        **_costs(puts, cost_window),
        **_latency(seen, puts, latency_window),
        "memory_mb": memory_mb - alone["memory_mb"],
        "first_picture_seconds": statistics.median(waits),
        "first_picture_worst_seconds": max(waits),
    }


def measure_loop(bench: Bench, side: str) -> Figures:
    """
    Measure how many of its rounds an application keeps that uses every core.

    The viewer decodes nothing: it stands for one on another machine, whose
    work is not this machine's. The application runs alone before and after,
    since a machine that is shared is not the same machine throughout.
    """
    seconds = bench.seconds(5)
    figures: Figures = {}
    with bench.app(side) as app:
        before = _rounds(app, seconds, put=False)
        with bench.streaming(app) as scene:
            if side == "ours":
                figures["loop_unwatched"] = _rounds(app, seconds, put=True)
            with scene.playing():
                scene.watch()
                # The first sender report tells the pictures' capture times.
                time.sleep(2)
            with scene.window() as window:
                figures["loop_watched"] = _rounds(app, 2 * seconds, put=True)
            seen = scene.leave()
        after = _rounds(app, seconds, put=False)
    alone = (before + after) / 2
    kept = {key: rounds / alone for key, rounds in figures.items()}
    return {"loop_alone_per_second": alone, **kept, **_picture_age(seen, window)}


def _connect_often(scene: Scene) -> list[float]:
    waits: list[float] = []
    for _ in range(CONNECTIONS):
        waits += scene.watch(decode=True)["first_picture_seconds"]
        scene.leave()
        # Key frames come at a beat; viewers do not.
        time.sleep(random.uniform(0.2, 0.8))
    return waits


def _costs(puts: Puts, window: Window) -> Figures:
    # A frame that was not taken costs next to nothing; it must not embellish the rest.
    numbers = puts.within(window)
    took_ms = [puts.took_ms[number] for number in numbers if number in puts.taken]
    app_ms = window.app_cpu_seconds / len(numbers) * 1e3
    beside_ms = window.other_cpu_seconds / max(1, len(took_ms)) * 1e3
    return {
        "put_ms_p50": percentile(took_ms, 50),
        "put_ms_p99": percentile(took_ms, 99),
        "cpu_ms_per_frame": app_ms + beside_ms,
        "cpu_ms_beside_app": beside_ms,
        "taken_percent": len(took_ms) / len(numbers) * 100,
    }


def _latency(seen: Answer, puts: Puts, window: Window) -> Figures:
    # A picture that was repeated is not late: its first arrival counts.
    first_ns = dict(reversed(seen["arrivals"]))
    latencies_ms = [
        (arrived_ns - puts.began_ns[number]) / 1e6
        for number, arrived_ns in first_ns.items()
        if number in puts.began_ns and window.covers(arrived_ns)
    ]
    return {
        "latency_ms_p50": percentile(latencies_ms, 50),
        "latency_ms_p95": percentile(latencies_ms, 95),
        "pictures_per_second": len(latencies_ms) / window.seconds,
    }


def _rounds(app: Child, seconds: float, *, put: bool) -> float:
    answer = app.ask("work", seconds=seconds, threads=THREADS, put=put)
    return float(answer["rounds_per_second"])


def _picture_age(seen: Answer, window: Window) -> Figures:
    arrivals = [(word, at_ns) for word, at_ns in seen["arrivals"] if window.covers(at_ns)]
    figures = {"loop_viewer_fps": len(arrivals) / window.seconds}
    # A picture is at its oldest when the next one takes its place.
    replaced_ns = [at_ns for _, at_ns in arrivals[1:]] + [window.ended_ns]
    ages_ns = [
        end_ns - (captured_ns - seen["wall_minus_monotonic_ns"])
        for (captured_ns, _), end_ns in zip(arrivals, replaced_ns, strict=True)
        if captured_ns is not None
    ]
    if len(ages_ns) == len(arrivals) > 0:
        figures["loop_viewer_age_seconds"] = max(ages_ns) / processes.NANOSECOND
    return figures
