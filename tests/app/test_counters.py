from __future__ import annotations

from backpack._app.counters import StreamNumbers, as_stats
from backpack.stats import Stats

REPORT = {
    "encoded": 10,
    "repeated": 2,
    "lost": 1,
    "viewers": 3,
    "fps": 25.0,
    "bitrate_kbps": 800.0,
    "encoder": "x264enc",
    "width": 640,
    "height": 480,
}


def test_counters_go_on_through_a_restart() -> None:
    """Each streaming process counts from zero; the application sees one sum."""
    numbers = StreamNumbers()
    numbers.report(REPORT)
    numbers.carry_over()
    assert numbers.numbers()["encoded"] == 10
    numbers.report({**REPORT, "encoded": 1})
    told = numbers.numbers()
    assert (told["encoded"], told["repeated"], told["lost"], told["torn"]) == (11, 4, 2, 0)


def test_between_two_processes_nothing_of_the_first_is_claimed() -> None:
    """Neither viewers nor a size: nobody knows what the next one will say."""
    numbers = StreamNumbers()
    numbers.report(REPORT)
    assert numbers.video_size == (640, 480)
    numbers.carry_over()
    assert numbers.video_size is None
    assert as_stats(numbers.numbers()).viewers == 0


def test_at_rest_only_what_was_counted_stays() -> None:
    """A stream that was stopped has no rate, no encoder and no viewers."""
    numbers = StreamNumbers()
    numbers.report(REPORT)
    numbers.rest()
    stats = as_stats(numbers.numbers())
    assert (stats.fps, stats.bitrate_kbps, stats.viewers, stats.encoder) == (0, 0, 0, None)
    assert (stats.encoded, stats.width) == (10, 640)


def test_what_has_no_name_is_left_out() -> None:
    """A number that a later version tells does no harm."""
    assert as_stats({"put": 5, "novel": 1}) == Stats(put=5)


def test_every_output_tells_the_same_before_its_first_report_as_after_it() -> None:
    """Who asks for trouble or viewers at once finds none, and no KeyError."""
    assert StreamNumbers().outputs(2) == [{"viewers": 0, "lost": 0, "trouble": ""}] * 2


def test_at_rest_no_output_has_viewers() -> None:
    """As the stream has none."""
    numbers = StreamNumbers()
    numbers.report({**REPORT, "outputs": [{"viewers": 2, "lost": 1, "trouble": ""}]})
    numbers.rest()
    assert numbers.outputs(1) == [{"viewers": 0, "lost": 1, "trouble": ""}]
