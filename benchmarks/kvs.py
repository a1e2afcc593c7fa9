"""Measure what streaming to Kinesis Video Streams costs, in good weather and bad."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.bench import Window, percentile
from benchmarks.remote import Child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench, Figures, Puts, Scene

__all__ = ["measure_kvs"]

SIGNER_THREADS = ("kvs-signer", "kvs-credentials")
PRODUCER_THREAD = "kvs"
CAUGHT_UP_SECONDS = 6.0
"""The newest fragment that has arrived is two fragments old, and a bit."""


@dataclass
class _Spell:
    """What producer and signer used between two moments, and when that was."""

    window: Window = field(default_factory=Window)
    core_percent: float = 0.0

    def put_ms_p99(self, puts: Puts) -> float:
        """Tell how long all but one put in a hundred took at most."""
        return percentile([puts.took_ms[number] for number in puts.within(self.window)], 99)


def measure_kvs(bench: Bench) -> Figures:
    """
    Measure the producer's thread and the signer's, memory, and how long video takes.

    The server is the tests' own, over TLS, in a process that is not counted.
    """
    with Child("benchmarks.kvs_service") as service:
        environment = service.ask("environment")
        with bench.app("kvs", environment=environment) as app:
            with bench.streaming(app) as scene, scene.playing() as puts:
                first_ns = service.ask("first")["at_ns"]
                with _spell(scene) as good:
                    time.sleep(bench.seconds(20))
                memory_mb = _memory_mb(scene)
                took = service.ask("latencies")["seconds"]
                with _spell(scene) as gone:
                    service.ask("refuse")
                    time.sleep(bench.seconds(50))
                    service.ask("listen")
                    time.sleep(bench.seconds(10))
                _wait_until_caught_up(service)
                service.ask("forbid")
                with _spell(scene) as forbidden:
                    time.sleep(bench.seconds(20))
                service.ask("allow")
                _wait_until_caught_up(service)
            told = app.ask("stats")
        kept = service.ask("kept")
    return {
        "producer_core_percent": good.core_percent,
        "producer_core_percent_gone": gone.core_percent,
        "producer_core_percent_forbidden": forbidden.core_percent,
        "producer_memory_mb": memory_mb - _memory_without(bench),
        "first_fragment_seconds": (first_ns - told["began_ns"]) / 1e9,
        "persisted_seconds_p50": percentile(took, 50),
        "persisted_seconds_longest": max(took),
        "fragment_seconds": 2.0,
        "put_ms_p99": good.put_ms_p99(puts),
        "put_ms_p99_gone": gone.put_ms_p99(puts),
        "frames_lost": told["accepted"] - told["replaced"] - kept["frames"],
        "frames_replaced_percent": told["replaced"] / told["accepted"] * 100,
        "overlaps": kept["overlaps"],
    }


@contextlib.contextmanager
def _spell(scene: Scene) -> Iterator[_Spell]:
    """Measure what producer and signer use meanwhile."""
    spell = _Spell()
    before = _producer_seconds(scene)
    with scene.window() as spell.window:
        yield spell
    used = _producer_seconds(scene) - before
    spell.core_percent = used / spell.window.seconds * 100


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
