"""Measure what streaming to Kinesis Video Streams costs, in good weather and bad."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.remote import Child

if TYPE_CHECKING:
    from benchmarks.bench import Bench, Figures, Scene

__all__ = ["measure_kvs"]

SIGNER_THREADS = ("kvs-signer", "kvs-credentials")
PRODUCER_THREAD = "kvs"
GONE_SHARE = 5 / 6
"""Of a minute the server is away for fifty seconds."""

CAUGHT_UP_SECONDS = 6.0
"""The newest fragment that has arrived is two fragments old, and a bit."""


def measure_kvs(bench: Bench) -> Figures:
    """
    Measure the producer's thread and the signer's, memory, and how long video takes.

    The server is the tests' own, over TLS, in a process that is not counted.
    """
    with Child("benchmarks.kvs_service") as service:
        environment = service.ask("environment")
        with bench.app("kvs", environment=environment) as app:
            began_ns = time.monotonic_ns()
            with bench.streaming(app) as scene, scene.playing() as puts:
                first = service.ask("first")["at_ns"]
                good = _window(scene, bench.seconds(20))
                memory_mb = _memory_mb(scene)
                latencies = service.ask("latencies")["seconds"]
                gone = _while_gone(scene, service, bench.seconds(36))
                _wait_until_caught_up(service)
                forbidden = _while_forbidden(scene, service, bench.seconds(20))
                _wait_until_caught_up(service)
            told = app.ask("stats")
        kept = service.ask("kept")
    without = _memory_without(bench)
    return {
        "producer_core_percent": good,
        "producer_core_percent_gone": gone,
        "producer_core_percent_forbidden": forbidden,
        "producer_memory_mb": memory_mb - without,
        "first_fragment_seconds": (first - began_ns) / 1e9,
        "persisted_seconds_p50": sorted(latencies)[len(latencies) // 2],
        "persisted_seconds_longest": max(latencies),
        "fragment_seconds": 2.0,
        "put_ms_p99": sorted(puts.took_ms.values())[int(len(puts.took_ms) * 0.99)],
        "frames_lost": told["accepted"] - told["replaced"] - kept["frames"],
        "frames_replaced_percent": told["replaced"] / told["accepted"] * 100,
        "overlaps": kept["overlaps"],
    }


def _window(scene: Scene, seconds: float) -> float:
    """Tell what producer and signer use of a core, in per cent."""
    before = _producer_seconds(scene)
    began = time.monotonic()
    time.sleep(seconds)
    return (_producer_seconds(scene) - before) / (time.monotonic() - began) * 100


def _producer_seconds(scene: Scene) -> float:
    (streamer,) = processes.children(scene.app.pid)
    threads = [*processes.threads(streamer).values(), *processes.threads(scene.app.pid).values()]
    names = (PRODUCER_THREAD, *SIGNER_THREADS)
    found = [seconds for name, seconds in threads if name in names]
    if not found:
        raise RuntimeError("No thread is called as the producer's is.")
    return sum(found)


def _memory_mb(scene: Scene) -> float:
    return sum(processes.memory_mb(pid) for pid in processes.descendants(scene.app.pid))


def _memory_without(bench: Bench) -> float:
    """Tell the memory of a streaming process that encodes the same for nobody."""
    with bench.app("discard") as app, bench.streaming(app) as scene, scene.playing():
        time.sleep(bench.seconds(8))
        return _memory_mb(scene)


def _wait_until_caught_up(service: Child) -> None:
    """Wait until nothing waits any more but what is new."""
    while service.ask("newest_age")["seconds"] > CAUGHT_UP_SECONDS:
        time.sleep(0.5)


def _while_gone(scene: Scene, service: Child, seconds: float) -> float:
    """Measure a while in which the server is mostly gone, and comes back."""
    before, began = _producer_seconds(scene), time.monotonic()
    service.ask("refuse")
    time.sleep(seconds * GONE_SHARE)
    service.ask("listen")
    time.sleep(seconds * (1 - GONE_SHARE))
    used = _producer_seconds(scene) - before
    return used / (time.monotonic() - began) * 100


def _while_forbidden(scene: Scene, service: Child, seconds: float) -> float:
    """Measure a while in which every connection is refused with 403."""
    service.ask("forbid")
    try:
        return _window(scene, seconds)
    finally:
        service.ask("allow")
