from __future__ import annotations

from backpack._outputs.web.worker.pacing import KEY_SPACING_US, STALLED_US, WINDOW_US, Flow

FRAME_US = 33_333


class Line:
    """A viewer whose page shows pictures when the test says so."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.number = 0
        self.sent: list[int] = []

    def unit(self, *, key: bool = False) -> bool:
        """Have the stream make its next picture."""
        self.number += 1
        now_us = self.number * FRAME_US
        admitted = self.flow.admit(self.number, now_us, key=key, now_us=now_us)
        if admitted:
            self.sent.append(self.number)
        return admitted

    @property
    def now_us(self) -> int:
        """The time of the newest picture."""
        return self.number * FRAME_US


def test_a_newcomer_begins_at_a_key_frame() -> None:
    """What came before it is no loss."""
    line = Line()
    assert not line.unit()
    assert line.unit(key=True)
    assert line.unit()
    assert line.flow.lost == 0


def test_a_page_that_keeps_up_gets_everything() -> None:
    """Also where each picture is shown some pictures later."""
    line = Line()
    line.unit(key=True)
    for _ in range(1000):
        assert line.unit()
        line.flow.shown(line.number - 4)
    assert line.flow.lost == line.flow.skips == 0


def test_a_page_that_shows_nothing_gets_no_more_than_the_window() -> None:
    """0.3 s of video, however much the connection would take."""
    line = Line()
    line.unit(key=True)
    for _ in range(100):
        line.unit()

    assert (line.sent[-1] - line.sent[0]) * FRAME_US <= WINDOW_US
    assert (line.sent[-1] - line.sent[0] + 1) * FRAME_US > WINDOW_US
    assert line.flow.lost == 101 - len(line.sent)
    assert line.flow.skips == 1


def test_even_a_key_frame_waits_until_there_is_room() -> None:
    """It would only join what the page cannot keep up with."""
    line = Line()
    line.unit(key=True)
    for _ in range(20):
        line.unit()

    assert not line.unit(key=True)


def test_after_a_gap_it_goes_on_at_a_key_frame() -> None:
    """Asked for once all that was sent is shown, and once a second at most."""
    line = Line()
    line.unit(key=True)
    for _ in range(20):
        line.unit()
    flow = line.flow
    flow.shown(line.sent[-2])
    assert not flow.take_key_request(line.now_us)
    flow.shown(line.sent[-1])
    assert not line.unit()
    assert flow.take_key_request(line.now_us)
    assert not flow.take_key_request(line.now_us + KEY_SPACING_US - 1)
    assert flow.take_key_request(line.now_us + KEY_SPACING_US)
    assert line.unit(key=True)
    assert line.unit()
    assert not flow.take_key_request(line.now_us + 10 * KEY_SPACING_US)


def test_a_far_viewer_is_not_a_slow_one() -> None:
    """What the way takes is added to the window, within reason; nonsense shrinks nothing."""

    def admitted(*round_trips_us: int) -> int:
        line = Line()
        for round_trip_us in round_trips_us:
            line.flow.note_round_trip(round_trip_us)
        line.unit(key=True)
        for _ in range(100):
            line.unit()
        return len(line.sent)

    assert admitted() == admitted(0) == admitted(-5)
    assert admitted(200_000) == admitted(0) + 6
    assert admitted(10**12) <= admitted(0) + 16
    # What comes later has waited behind pictures.
    assert admitted(200_000, 66_667, 400_000) == admitted(66_667)


def test_who_shows_nothing_for_long_is_not_watching() -> None:
    """A hidden tab, or a line that is gone."""
    line = Line()
    assert not line.flow.is_stalled(10**12)
    line.unit(key=True)
    sent_us = line.now_us
    assert not line.flow.is_stalled(sent_us + STALLED_US)
    assert line.flow.is_stalled(sent_us + STALLED_US + 1)
    line.flow.shown(line.number)
    assert not line.flow.is_stalled(sent_us + 10 * STALLED_US)


def test_a_restart_forgets_what_was_on_its_way() -> None:
    """The page has thrown it away and begins again at a key frame."""
    line = Line()
    line.unit(key=True)
    line.unit()
    line.flow.restart()
    assert not line.unit()
    assert line.unit(key=True)


def test_a_decoder_that_begins_again_waits_like_all_who_ask_again() -> None:
    """The first key frame is asked for at once, the next one a second later."""
    line = Line()
    line.unit(key=True)
    line.unit()
    line.flow.resync()
    begin_us = line.now_us
    assert line.flow.take_key_request(begin_us)
    for _ in range(3):
        assert line.unit(key=True)
        line.flow.resync()
        assert not line.unit()
        assert not line.flow.take_key_request(begin_us + KEY_SPACING_US - 1)
    assert line.flow.take_key_request(begin_us + KEY_SPACING_US)
    assert line.flow.skips == 0
