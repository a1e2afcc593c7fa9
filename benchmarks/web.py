"""Measure what it is to be watched in a browser: how late, how soon, and what viewers cost."""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks import frames, processes
from benchmarks.bench import LINGER_SECONDS, Bench, Window, percentile
from benchmarks.remote import Child
from benchmarks.web_browser import INSECURE_HOST, at_host, browser
from tests.outputs.web.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Figures, Puts, Scene
    from benchmarks.web_browser import Seen, Visit

__all__ = ["measure_web"]

WIDTH, HEIGHT = 1280, 720

VISITS = 5
VIEWERS = 50

NARROW_BYTES_PER_SECOND = 1_000_000 / 8
FREED_SECONDS = 10.0
"""How long the page is looked at once the line is free again."""
LATE_SECONDS = 0.2
SETTLED_SECONDS = 1.0
"""Pictures that are in time for so long show that the page has caught up."""

WEBRTC_SECONDS = 10.0
"""The page has WebRTC by then, or there is none."""


@dataclass
class _Stretch:
    """What a page has shown, and between which two moments that counts."""

    window: Window = field(default_factory=Window)
    seen: Seen = field(default_factory=list)


def measure_web(bench: Bench) -> Figures:
    """
    Measure the page in Chromium, and many viewers without one.

    The application puts 1280x720 at 30 a second and is not busy otherwise.
    """
    # The streaming process needs what serves HTTP.
    environment = {"BACKPACK_PYTHON": sys.executable}
    small = Bench(frames.scale(bench.path, WIDTH, HEIGHT), bench.pace)
    with small.app("web", environment=environment) as app, small.streaming(app) as scene:
        with browser() as visit:
            figures = _measure_pages(small, scene, visit)
        # Without Chromium, which takes more of the machine than everything else.
        return figures | _measure_viewers(small, scene)


def _measure_pages(bench: Bench, scene: Scene, visit: Visit) -> Figures:
    url = scene.source["location"]
    insecure = at_host(url, INSECURE_HOST)
    stretches: dict[str, _Stretch] = {}
    narrowed: dict[str, _Stretch] = {}
    with scene.playing() as puts:
        waits = _visit_often(visit, url)
        for name, address in (("webcodecs", url), ("mse", insecure)):
            stretches[name] = _watch(bench, visit, address, name)
            narrowed[name] = _narrow(bench, visit, address)
        webrtc = _watch(bench, visit, f"{url}&transport=webrtc", "webrtc")
        if webrtc.seen:
            stretches["webrtc"] = webrtc
    figures = {
        "first_picture_seconds": statistics.median(waits),
        "first_picture_worst_seconds": max(waits),
        "first_picture_cold_seconds": waits[0],
    }
    for name, stretch in stretches.items():
        figures |= {f"{name}_{key}": value for key, value in _latency(stretch, puts).items()}
    for name, stretch in narrowed.items():
        figures |= {f"{name}_{key}": value for key, value in _recovery(stretch, puts).items()}
    return figures


def _visit_often(visit: Visit, url: str) -> list[float]:
    """Tell how long the first picture took; the first time nothing is encoded yet."""
    waits = []
    time.sleep(LINGER_SECONDS)
    for _ in range(VISITS):
        with visit(url) as page:
            waits.append(page.wait_for_picture())
        # Key frames come at a beat; viewers do not.
        time.sleep(random.uniform(0.2, 0.8))
    return waits


def _watch(bench: Bench, visit: Visit, url: str, way: str) -> _Stretch:
    """Look at the page for a while; nothing is seen where WebRTC is asked for and not there."""
    stretch = _Stretch()
    with visit(url, webrtc=way == "webrtc") as page:
        page.wait_for_picture()
        if way == "webrtc":
            if not page.uses_webrtc(WEBRTC_SECONDS):
                print("no WebRTC: the page plays over the WebSocket;", end=" ", file=sys.stderr)
                return stretch
        elif page.player != way:
            raise RuntimeError(f"The page decodes with {page.player}, and not with {way}.")
        page.pause(2)
        with _window(stretch):
            page.pause(bench.seconds(15))
        stretch.seen = page.seen()
    return stretch


def _narrow(bench: Bench, visit: Visit, url: str) -> _Stretch:
    """Look at the page after the line has been narrow for a while; the window begins then."""
    stretch = _Stretch()
    relay = Relay(_port(url))
    with contextlib.closing(relay), visit(at_host(url, _host(url), relay.port)) as page:
        page.wait_for_picture()
        page.pause(2)
        relay.rate = NARROW_BYTES_PER_SECOND
        page.pause(bench.seconds(60))
        relay.rate = 0
        with _window(stretch):
            page.pause(FREED_SECONDS)
        stretch.seen = page.seen()
    return stretch


@contextlib.contextmanager
def _window(stretch: _Stretch) -> Iterator[None]:
    stretch.window.began_ns = time.monotonic_ns()
    yield
    stretch.window.ended_ns = time.monotonic_ns()
    stretch.window.seconds = (
        stretch.window.ended_ns - stretch.window.began_ns
    ) / processes.NANOSECOND


def _latency(stretch: _Stretch, puts: Puts) -> Figures:
    lates = [late for at_ns, late in _lates(stretch.seen, puts) if stretch.window.covers(at_ns)]
    return {
        "latency_ms_p50": percentile(lates, 50) * 1e3,
        "latency_ms_p95": percentile(lates, 95) * 1e3,
        "pictures_per_second": len(lates) / stretch.window.seconds,
    }


def _recovery(stretch: _Stretch, puts: Puts) -> Figures:
    """Tell after how long the page is in time and stays so; the limit if it never is."""
    lates = _lates(stretch.seen, puts)
    free = [(at_ns, late) for at_ns, late in lates if stretch.window.covers(at_ns)]
    before = [late for at_ns, late in lates if at_ns < stretch.window.began_ns]
    settled_ns = SETTLED_SECONDS * processes.NANOSECOND
    recovered_ns = FREED_SECONDS * processes.NANOSECOND
    for begin_ns, _ in free:
        then = [late for at_ns, late in free if 0 <= at_ns - begin_ns < settled_ns]
        if len(then) > frames.FPS / 2 and max(then) < LATE_SECONDS:
            recovered_ns = begin_ns - stretch.window.began_ns
            break
    return {
        "recovery_seconds": recovered_ns / processes.NANOSECOND,
        "narrow_latency_ms_worst": max(before) * 1e3,
    }


def _lates(seen: Seen, puts: Puts) -> list[tuple[int, float]]:
    """Tell for each frame that was seen when, and how long after its put, in seconds."""
    # A picture that was repeated is not late: its first time counts.
    first_ns = dict(reversed(seen))
    return sorted(
        (at_ns, (at_ns - puts.began_ns[number]) / processes.NANOSECOND)
        for number, at_ns in first_ns.items()
        if number in puts.began_ns
    )


def _measure_viewers(bench: Bench, scene: Scene) -> Figures:
    """Measure one viewer, fifty, and one again; the encoder is the busiest thread."""
    with Child("benchmarks.web_viewers") as viewers, scene.playing():
        one, many, again = (_serve(bench, scene, viewers, count) for count in (1, VIEWERS, 1))
    return {
        "encoder_ms_1": (one.encoder_ms + again.encoder_ms) / 2,
        f"encoder_ms_{VIEWERS}": many.encoder_ms,
        "total_1": (one.total + again.total) / 2,
        f"total_{VIEWERS}": many.total,
        "viewer_core_percent": (many.total - (one.total + again.total) / 2) / (VIEWERS - 1) * 100,
        "viewer_mbit_per_second": many.mbit_per_second,
        "viewer_fps_least": min(many.shown) / many.window.seconds,
        "pictures_missing": many.missing,
    }


@dataclass
class _Service:
    """
    What it took to serve some viewers, and what they got.

    Attributes:
        window: When that was.
        encoder_ms: What the streaming process' busiest thread used for a
            picture: on a busy machine fewer of them are asked for.
        total: What all of the process used of a core.
        shown: For each viewer the pictures that it got.
        missing: Pictures in between, of all viewers, that they did not get.
        mbit_per_second: For each viewer, on average.

    """

    window: Window
    encoder_ms: float = 0.0
    total: float = 0.0
    shown: list[int] = field(default_factory=list)
    missing: int = 0
    mbit_per_second: float = 0.0


def _serve(bench: Bench, scene: Scene, viewers: Child, count: int) -> _Service:
    viewers.ask("watch", url=scene.source["location"], count=count)
    time.sleep(1)
    (streamer,) = processes.children(scene.app.pid)
    threads = processes.threads(streamer)
    before = viewers.ask("counted")
    with scene.window() as window:
        # Whole rounds of the clip, forward and back: the same pictures each time.
        time.sleep(bench.seconds(8))
    now = viewers.ask("counted")
    busiest = max(
        ran - threads[tid][1]
        for tid, (_, ran) in processes.threads(streamer).items()
        if tid in threads
    )
    viewers.ask("leave")
    shown = [after - was for after, was in zip(now["shown"], before["shown"], strict=True)]
    sent = sum(now["bytes"]) - sum(before["bytes"])
    return _Service(
        window,
        encoder_ms=busiest / max(shown) * 1e3,
        total=window.other_cpu_seconds / window.seconds,
        shown=shown,
        missing=sum(now["missing"]) - sum(before["missing"]),
        mbit_per_second=sent * 8 / 1e6 / count / window.seconds,
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _port(url: str) -> int:
    return urlsplit(url).port or 0
