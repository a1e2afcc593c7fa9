"""Hold each figure against what SpyGlass promises: the bar, and the aim beyond it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.bench import Figures

__all__ = ["Row", "judge"]


@dataclass(frozen=True)
class Row:
    """
    One promise and what was measured.

    Attributes:
        title: What is promised.
        unit: Of value, bar and aim.
        value: What was measured.
        bar: What has to be reached.
        aim: What we would like to reach; None: the bar is all.
        at_least: Whether more is better.

    """

    title: str
    unit: str
    value: float
    bar: float
    aim: float | None = None
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the bar is reached."""
        return self._reaches(self.bar)

    @property
    def reached_aim(self) -> bool:
        """Whether the aim is reached, too."""
        return self._reaches(self.bar if self.aim is None else self.aim)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as a plain dictionary, ready for JSON."""
        return {**asdict(self), "passed": self.passed, "reached_aim": self.reached_aim}

    def _reaches(self, mark: float) -> bool:
        # A figure that is no number reaches nothing.
        return self.value >= mark if self.at_least else self.value <= mark


def judge(found: Mapping[str, Figures]) -> list[Row]:
    """
    Make a row for each promise that was measured.

    Args:
        found: Under the name of each measurement what it found.

    """
    rows = []
    if watched := found.get("watched"):
        rows += [
            Row(
                "put() p50, watched, per copy at the same pace",
                "x",
                watched["put_per_copy"],
                1.5,
                1.2,
            ),
            Row("put() p99, watched", "ms", watched["put_ms_p99"], 1.5),
        ]
    if unwatched := found.get("unwatched"):
        rows += [
            Row(
                "put() p50, nobody watches, in a row",
                "µs",
                unwatched["put_us_p50_in_a_row"],
                10,
                3,
            ),
            Row(
                "put() p50, nobody watches, in a busy app",
                "µs",
                unwatched["put_us_p50"],
                10,
                3,
            ),
            Row("put() in all, nobody watches", "% of time", unwatched["put_share_percent"], 0.1),
            Row(
                "streaming process, nobody watches",
                "% of a core",
                unwatched["streamer_core_percent"],
                1,
                0.1,
            ),
        ]
    ours, limits = found.get("ours"), found.get("limits")
    if ours and limits:
        ratio = ours["cpu_ms_beside_app"] / limits["convert_and_encode_ms_paced"]
        rows.append(
            Row("CPU a frame beside the app, per libyuv + x264 alone", "x", ratio, 1.3, 1.1)
        )
    if ours:
        rows += [
            Row("latency put() to decoded picture, p50", "ms", ours["latency_ms_p50"], 20, 12),
            Row("latency put() to decoded picture, p95", "ms", ours["latency_ms_p95"], 30, 16),
            Row(
                "first picture after connecting, worst of five",
                "s",
                ours["first_picture_worst_seconds"],
                0.3,
                0.1,
            ),
        ]
    rows += _loop_rows(found.get("ours_loop"))
    if one_core := found.get("one_core"):
        rows.append(
            Row(
                "the app's share of one core",
                "of 1",
                one_core["app_share"],
                0.95,
                0.99,
                at_least=True,
            )
        )
    if jitter := found.get("jitter"):
        rows.append(
            Row(
                "30 fps with ±5 ms jitter that pass",
                "%",
                jitter["passed_percent"],
                99,
                100,
                at_least=True,
            )
        )
    if killed := found.get("killed"):
        title = f"longest put(), streaming process killed {killed['kills']:.0f} times"
        rows.append(Row(title, "ms", killed["put_ms_longest"], 50, 5))
    rows += _viewer_rows(found.get("viewers"))
    rows += _kvs_rows(found.get("kvs"))
    rows += _web_rows(found.get("web"))
    if watched:
        rows.append(
            Row(
                "streaming process' memory, ring included",
                "MB",
                watched["streamer_memory_mb"],
                150,
                90,
            )
        )
    return rows


def _loop_rows(loop: Figures | None) -> list[Row]:
    if not loop:
        return []
    age_seconds = loop.get("loop_viewer_age_seconds", float("nan"))
    return [
        Row(
            "rounds a busy app keeps, watched",
            "of 1",
            loop["loop_watched"],
            0.8,
            0.9,
            at_least=True,
        ),
        Row("its viewer's pictures", "fps", loop["loop_viewer_fps"], 5, at_least=True),
        Row("its viewer's oldest picture", "s", age_seconds, 0.5),
    ]


def _viewer_rows(viewers: Figures | None) -> list[Row]:
    if not viewers:
        return []
    encoder = abs(viewers["encoder_20"] / viewers["encoder_1"] - 1) * 100
    return [
        Row("20 viewers against 1: encoder's CPU differs by", "%", encoder, 5),
        Row("20 viewers against 1: all CPU", "x", viewers["total_20"] / viewers["total_1"], 2),
    ]


def _kvs_rows(kvs: Figures | None) -> list[Row]:
    if not kvs:
        return []
    core = "% of a core"
    allowed = kvs["fragment_seconds"]
    return [
        Row("KVS: producer beyond the encoder", core, kvs["producer_core_percent"], 1.5),
        Row("the same, its server mostly gone", core, kvs["producer_core_percent_gone"], 1.5),
        Row("the same, refused for ever", core, kvs["producer_core_percent_forbidden"], 1.5),
        Row("KVS: memory beyond the encoder", "MB", kvs["producer_memory_mb"], 20),
        Row(
            "KVS: put() to persisted, fragments of 2 s",
            "s",
            kvs["persisted_seconds_p50"],
            allowed + 0.3,
        ),
        Row(
            "KVS: first fragment persisted after the start",
            "s",
            kvs["first_fragment_seconds"],
            allowed + 1,
        ),
        Row(
            "KVS: put() p99 in an outage, per that before",
            "x",
            kvs["put_ms_p99_gone"] / kvs["put_ms_p99"],
            1.25,
        ),
        Row("KVS: frames replaced by newer ones", "%", kvs["frames_replaced_percent"], 1),
        Row("KVS: frames lost in all of this", "frames", kvs["frames_lost"], 0),
    ]


WEB_WAYS = (
    ("webcodecs", "WebSocket + WebCodecs", 60, 30),
    ("mse", "WebSocket + Media Source", 250, 120),
    ("webrtc", "WebRTC", 80, 50),
)


def _web_rows(web: Figures | None) -> list[Row]:
    if not web:
        return []
    encoder = abs(web["encoder_ms_50"] / web["encoder_ms_1"] - 1) * 100
    rows = [
        # A way that did not come up, as WebRTC may not, has missed its promise.
        Row(
            f"browser: put() to canvas, {title}, p50",
            "ms",
            web.get(f"{way}_latency_ms_p50", float("nan")),
            bar,
            aim,
        )
        for way, title, bar, aim in WEB_WAYS
    ]
    rows += [
        Row(f"browser: in time after 1 Mbit/s, {title}", "s", web[f"{way}_recovery_seconds"], 3)
        for way, title, _, _ in WEB_WAYS
        if f"{way}_recovery_seconds" in web
    ]
    return [
        *rows,
        Row("browser: page to first picture, median", "s", web["first_picture_seconds"], 1, 0.3),
        Row("the same, worst of five", "s", web["first_picture_worst_seconds"], 1, 0.3),
        Row(
            "browser: CPU for one more viewer", "% of a core", web["viewer_core_percent"], 1.5, 0.5
        ),
        Row("50 browsers against 1: encoder's CPU a picture differs by", "%", encoder, 5),
        Row("50 browsers: pictures that one of them lacks", "pictures", web["pictures_missing"], 0),
        Row("50 browsers: pictures of the last", "fps", web["viewer_fps_least"], 29, at_least=True),
    ]
