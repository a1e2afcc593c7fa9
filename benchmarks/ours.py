"""Measure what only SpyGlass promises: to be nearly nothing, and to stay out of the way."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.bench import LINGER_SECONDS, THREADS, Bench, percentile
from benchmarks.remote import Child

if TYPE_CHECKING:
    from benchmarks.bench import Figures, Scene

__all__ = [
    "measure_jitter",
    "measure_killed",
    "measure_limits",
    "measure_one_core",
    "measure_unwatched",
    "measure_viewers",
    "measure_watched",
]

JITTER_MS = 5.0
KILLS = 100
VIEWERS = 20
# A viewer that has not been served again by then is counted as lost.
COME_BACK_SECONDS = 10.0


def measure_limits(bench: Bench) -> Figures:
    """Measure converting and encoding alone: straight on, and at the frames' own pace."""
    figures = {}
    with Child("benchmarks.limits") as limits:
        limits.ask("load", path=str(bench.path))
        for name, paced in (("straight", False), ("paced", True)):
            answer = limits.ask(
                "measure", seconds=bench.seconds(8), bitrate_kbps=bench.bitrate_kbps, paced=paced
            )
            figures[f"convert_ms_{name}"] = answer["convert_ms"]
            figures[f"convert_and_encode_ms_{name}"] = answer["total_ms"]
    return figures


def measure_watched(bench: Bench) -> Figures:
    """Measure puts against copies at the same pace; and the streaming process' memory."""
    with bench.scene("ours") as scene:
        with scene.playing():
            scene.watch()
        took_ns = scene.app.ask("compare_with_copy", seconds=bench.seconds(16))["took_ns"]
        memory_mb = sum(
            processes.memory_mb(pid) + processes.ring_elsewhere_mb(pid)
            for pid in processes.descendants(scene.app.pid)
        )
    put_ms, copy_ms = ([took / 1e6 for took in took_ns[what]] for what in ("put", "copy"))
    return {
        "put_ms_p50": percentile(put_ms, 50),
        "put_ms_p99": percentile(put_ms, 99),
        "copy_ms_p50": percentile(copy_ms, 50),
        "put_per_copy": percentile(put_ms, 50) / percentile(copy_ms, 50),
        "streamer_memory_mb": memory_mb,
    }


def measure_unwatched(bench: Bench) -> Figures:
    """
    Measure puts and the streaming process after the last viewer has left.

    Three times: in an application that works between two frames, in one that
    sleeps, whose processor has to wake up for each, and in one that does
    nothing else, which shows the code alone, without the fetching of it.
    """
    seconds = bench.seconds(8)
    with bench.scene("ours") as scene:
        with scene.playing() as puts:
            scene.watch()
            scene.leave()
            time.sleep(LINGER_SECONDS)
            with scene.window() as window:
                time.sleep(seconds)
        worked = scene.app.ask("work", seconds=seconds, threads=THREADS, put=True)["took_ns"]
        in_a_row = scene.app.ask("put_in_a_row", calls=100_000)["took_ns"]
    asleep_ms = [puts.took_ms[number] for number in puts.within(window)]
    return {
        "put_us_p50": percentile(worked, 50) / 1e3,
        "put_us_p50_in_a_row": percentile(in_a_row, 50) / 1e3,
        "put_us_p50_after_sleep": percentile(asleep_ms, 50) * 1e3,
        "put_share_percent": sum(worked) / 1e9 / seconds * 100,
        "put_share_percent_after_sleep": sum(asleep_ms) / 1e3 / window.seconds * 100,
        "streamer_core_percent": window.other_cpu_seconds / window.seconds * 100,
    }


def measure_one_core(bench: Bench) -> Figures:
    """Pin application and streaming process to one core, the viewer to another; both busy."""
    cpus = sorted(os.sched_getaffinity(0))
    with bench.scene("ours", cpus[:1]) as scene:
        os.sched_setaffinity(scene.viewer.pid, cpus[1:] or cpus)
        with scene.playing():
            scene.watch()
        with scene.window() as window:
            scene.app.ask("work", seconds=bench.seconds(8), threads=1, put=True)
        seen = scene.leave()["arrivals"]
    both = window.app_cpu_seconds + window.other_cpu_seconds
    return {
        "app_share": window.app_cpu_seconds / both,
        "core_used": both / window.seconds,
        "viewer_fps": sum(window.covers(at_ns) for _, at_ns in seen) / window.seconds,
    }


def measure_jitter(bench: Bench) -> Figures:
    """Measure how many frames pass that are put 30 times a second, each up to 5 ms off."""
    with bench.scene("ours") as scene, scene.playing(JITTER_MS) as puts:
        scene.watch()
        time.sleep(1)
        with scene.window() as window:
            time.sleep(bench.seconds(15))
    numbers = puts.within(window)
    taken = sum(number in puts.taken for number in numbers)
    return {"frames": len(numbers), "passed_percent": taken / len(numbers) * 100}


def measure_killed(bench: Bench) -> Figures:
    """Kill the streaming process a hundred times while someone watches; find the longest put."""
    kills = max(5, round(KILLS * bench.pace))
    watched = visits = 0
    with bench.scene("ours") as scene, scene.playing() as puts:
        scene.viewer.ask("keep_coming_back", **scene.source)
        for _ in range(kills):
            watched += _wait_for_visit(scene.viewer, visits)
            # One that is killed at once counts as one that cannot run, and is
            # started again ever more slowly.
            time.sleep(random.uniform(0.8, 0.95))
            visits = scene.viewer.ask("visits")["visits"]
            for pid in processes.children(scene.app.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        scene.viewer.ask("stop_coming_back")
    return {"kills": kills, "watched": watched, "put_ms_longest": max(puts.took_ms.values())}


def _wait_for_visit(viewer: Child, visits: int) -> bool:
    """Wait until a picture was seen once more; say whether it was in time."""
    end = time.monotonic() + COME_BACK_SECONDS
    while time.monotonic() < end:
        if viewer.ask("visits")["visits"] > visits:
            return True
        time.sleep(0.05)
    return False


def measure_viewers(bench: Bench) -> Figures:
    """Measure one viewer, twenty, and one again; the encoder is the busiest thread."""
    with bench.scene("ours") as scene, scene.playing():
        one, twenty, again = (_cores(bench, scene, count) for count in (1, VIEWERS, 1))
    return {
        "encoder_1": (one[0] + again[0]) / 2,
        "encoder_20": twenty[0],
        "total_1": (one[1] + again[1]) / 2,
        "total_20": twenty[1],
    }


def _cores(bench: Bench, scene: Scene, viewers: int) -> tuple[float, float]:
    """Tell what the busiest thread and what all of the streaming process use of a core."""
    scene.watch(count=viewers)
    time.sleep(1)
    (streamer,) = processes.children(scene.app.pid)
    before = processes.threads(streamer)
    with scene.window() as window:
        # Whole rounds of the clip, forward and back: the same pictures each time.
        time.sleep(bench.seconds(8))
    after = processes.threads(streamer)
    scene.leave()
    busiest = max(after[tid][1] - before[tid][1] for tid in after.keys() & before.keys())
    return busiest / window.seconds, window.other_cpu_seconds / window.seconds
