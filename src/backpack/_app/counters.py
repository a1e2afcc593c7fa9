"""Add up what one streaming process after the other tells of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Mapping

# Numbers of the streaming process that count from its start, and so have to
# be carried over when it is started again.
_COUNTERS = ("encoded", "repeated", "replaced", "torn", "lost")

_AT_REST: dict[str, Any] = {"viewers": 0, "fps": 0.0, "bitrate_kbps": 0.0, "encoder": None}
"""What holds of a stream that is not open."""

_UNTOLD: dict[str, Any] = {"viewers": 0, "lost": 0, "trouble": ""}
"""What every output tells, until the streaming process has told something else of it."""


class StreamNumbers:
    """
    Keep the numbers of one stream, whatever becomes of the processes that tell them.

    Not thread-safe: the SpyGlass uses it under its own lock.
    """

    def __init__(self) -> None:
        self._report: Mapping[str, Any] = {}
        self._carried = dict.fromkeys(_COUNTERS, 0)
        # The place of an output → what it has counted in earlier processes.
        self._carried_of_outputs: dict[int, dict[str, Any]] = {}

    def report(self, numbers: Mapping[str, Any]) -> None:
        """Take what the streaming process tells now."""
        self._report = numbers

    def carry_over(self) -> None:
        """Go on with another streaming process, which counts from zero."""
        for name in _COUNTERS:
            self._carried[name] += self._report.get(name, 0)
        for place, told in enumerate(self._report.get("outputs", [])):
            carried = self._carried_of_outputs.get(place, {})
            self._carried_of_outputs[place] = _added(carried, told.get("counters", {}))
        self._report = {}

    def rest(self) -> None:
        """Keep what was counted; at the moment nothing is encoded, for nobody."""
        outputs = [{**one, "viewers": 0} for one in self._report.get("outputs", [])]
        self._report = {**self._report, **_AT_REST, "outputs": outputs}

    @property
    def video_size(self) -> tuple[int, int] | None:
        """Width and height of the video, once a frame was encoded; the card has its own."""
        if not self._report.get("encoded"):
            return None
        return self._report["width"], self._report["height"]

    def numbers(self) -> dict[str, Any]:
        """Return everything under the names of `Stats`."""
        counted = {name: self._carried[name] + self._report.get(name, 0) for name in _COUNTERS}
        return {**self._report, **counted}

    def outputs(self, count: int) -> list[dict[str, Any]]:
        """Return what each output tells, with what it has counted in earlier processes."""
        told = [*self._report.get("outputs", []), *({} for _ in range(count))][:count]
        return [
            {
                **_UNTOLD,
                **{name: value for name, value in one.items() if name != "counters"},
                **_added(self._carried_of_outputs.get(place, {}), one.get("counters", {})),
            }
            for place, one in enumerate(told)
        ]


def _added(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Add counters, and those that stand by cause."""
    total = dict(left)
    for name, value in right.items():
        if isinstance(value, dict):
            total[name] = _added(total.get(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
    return total


def as_stats(numbers: Mapping[str, Any]) -> Stats:
    """Make the statistics; what they have no name for is left out."""
    return Stats(**{name: numbers[name] for name in Stats.__annotations__ if name in numbers})
