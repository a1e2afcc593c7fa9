from __future__ import annotations

import pytest

from backpack._app.pulse import (
    ANSWER_SECONDS,
    BUSY_PINGS,
    PING_SECONDS,
    START_SECONDS,
    Pulse,
)


class Clock:
    """Let time pass as the supervisor's thread sees it: look by look."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pulse = Pulse(self.now)
        self.pings = 0

    def run(self, seconds: float, *, answers: bool = False, behind: int = 0) -> str:
        """Look for so long, or until there is a verdict; have each ping answered if asked for."""
        end = self.now + seconds
        while self.now < end:
            if self.pulse.must_ask(self.now):
                self.pings += 1
                if answers:
                    self.pulse.answered(self.now, behind)
            self.pulse.count(self.now)
            verdict = self.pulse.verdict()
            if verdict:
                return verdict
            wait = self.pulse.wait_seconds(self.now)
            assert wait > 0, "That would spin."
            self.now += min(wait, end - self.now)
        return ""


@pytest.fixture
def clock() -> Clock:
    """Give the pulse of a streaming process that has started."""
    clock = Clock()
    clock.pulse.started(clock.now)
    return clock


def test_who_answers_is_left_alone_and_asked_seldom(clock: Clock) -> None:
    """A streaming process that answers costs one ping in two seconds."""
    assert not clock.run(3600, answers=True)
    assert clock.pings == 3600 / PING_SECONDS


def test_who_says_nothing_is_noticed_within_eight_seconds(clock: Clock) -> None:
    """From its last word to the verdict it is the time to the next ping, and that to answer."""
    clock.run(10.5, answers=True)
    before = clock.now
    assert clock.run(60) == "has not answered for 5 s"
    assert clock.now - before <= 8
    assert clock.pings == 10.5 // PING_SECONDS + 2


def test_any_word_is_an_answer(clock: Clock) -> None:
    """Who reports and logs lives, though the answer to a ping is late."""
    for _ in range(20):
        assert not clock.run(ANSWER_SECONDS - 1)
        clock.pulse.heard(clock.now)
    assert clock.run(60)


def test_the_start_may_take_longer() -> None:
    """A registry that is built for the first time takes its time; nobody is asked meanwhile."""
    clock = Clock()
    assert not clock.run(START_SECONDS - 1)
    assert not clock.pings
    assert clock.run(5) == "did not start within 60 s"


def test_time_in_which_we_did_not_run_does_not_count(clock: Clock) -> None:
    """An application that was stopped for an hour does not kill a healthy process for it."""
    clock.run(1.0)
    assert clock.pulse.silent_seconds
    for _ in range(4):
        clock.now += 3600
        clock.pulse.count(clock.now)
        assert not clock.pulse.verdict()
    clock.pulse.answered(clock.now, 0)
    assert not clock.run(600, answers=True)


def test_the_main_loop_may_be_held_up_for_longer(clock: Clock) -> None:
    """A thread answers for it; after twenty seconds that is not believed any more."""
    assert not clock.run(60, answers=True, behind=BUSY_PINGS - 1)
    verdict = clock.run(PING_SECONDS * 2, answers=True, behind=BUSY_PINGS)
    assert verdict == "has been held up by one thing for 20 s"


def test_who_is_held_on_purpose_begins_anew(clock: Clock) -> None:
    """From then on the whole time passes again."""
    assert clock.run(60)
    clock.pulse.start_over(clock.now)
    assert not clock.run(ANSWER_SECONDS - 1)
    assert clock.run(2)


def test_what_was_missed_while_it_was_held_on_purpose_does_not_count(clock: Clock) -> None:
    """The streaming process's own count goes on until its main loop has run again."""
    clock.run(60, answers=True, behind=BUSY_PINGS * 3)
    clock.pulse.start_over(clock.now)
    assert not clock.run((BUSY_PINGS - 1) * PING_SECONDS, answers=True, behind=BUSY_PINGS * 4)
    assert clock.run(PING_SECONDS * 2, answers=True, behind=BUSY_PINGS * 5)


def test_who_is_waited_for_is_asked_at_once(clock: Clock) -> None:
    """The ping before a goodbye does not wait for its turn."""
    clock.run(1.0, answers=True)
    assert not clock.pulse.must_ask(clock.now)
    clock.pulse.ask_soon()
    assert clock.pulse.must_ask(clock.now)
