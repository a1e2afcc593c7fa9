from __future__ import annotations

import itertools
import random

import pytest

from backpack._app.put_counters import Outcome
from backpack._app.state import Event, Phase, State, StateMachine, next_phase
from backpack.spyglass import SpyGlass

STORIES = {
    "an ordinary day": "START OPENED FRAME STOP",
    "started twice": "START OPENED STOP START OPENED FRAME STOP",
    "the streaming process dies": "START OPENED FRAME AWAY OPENED FRAME STOP",
    "nothing to stream with, then installed": "START FAILED OPENED FRAME STOP",
    "the output breaks": "START OPENED FRAME FAILED AWAY OPENED FRAME STOP",
}
ENDS = {
    "an ordinary day": "START_WARMUP WARMUP STREAMING STOPPED",
    "started twice": "START_WARMUP WARMUP STOPPED START_WARMUP WARMUP STREAMING STOPPED",
    "the streaming process dies": (
        "START_WARMUP WARMUP STREAMING START_WARMUP WARMUP STREAMING STOPPED"
    ),
    "nothing to stream with, then installed": "START_WARMUP ERROR WARMUP STREAMING STOPPED",
    "the output breaks": (
        "START_WARMUP WARMUP STREAMING ERROR START_WARMUP WARMUP STREAMING STOPPED"
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_states_follow_each_other(story: str) -> None:
    """What happens leads to the states that the time line shows."""
    phase, went_through = Phase.STOPPED, []
    for name in STORIES[story].split():
        phase = next_phase(phase, Event[name])
        went_through.append(phase.shown.name)

    assert went_through == ENDS[story].split()


@pytest.mark.parametrize("phase", Phase)
def test_a_stop_ends_every_state(phase: Phase) -> None:
    """From anywhere it is one step to what is shown as STOPPED."""
    assert next_phase(phase, Event.STOP).shown is State.STOPPED


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.START])
def test_only_a_start_leaves_stopped(event: Event) -> None:
    """What comes late, after a stop, changes nothing."""
    assert next_phase(Phase.STOPPED, event).shown is State.STOPPED


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("phase", [Phase.DISABLED, Phase.FORKED])
def test_nothing_starts_one_that_is_disabled_or_a_forked_copy(phase: Phase, event: Event) -> None:
    """Whatever happens, no frame is taken."""
    assert next_phase(phase, event).refusal in (Outcome.DISABLED, Outcome.FORKED)


@pytest.mark.parametrize("phase", Phase)
def test_a_fork_ends_every_state(phase: Phase) -> None:
    """The copy owns nothing of what was open."""
    assert next_phase(phase, Event.FORK) is Phase.FORKED


def test_frames_are_taken_only_while_the_outputs_are_open() -> None:
    """Whatever happens, a frame counts for nothing before `opened` and after `away`."""
    chance = random.Random(5)
    events = [event for event in Event if event is not Event.FORK]
    for _ in range(200):
        phase, is_open = Phase.STOPPED, False
        for event in itertools.islice(iter(lambda: chance.choice(events), None), 30):
            phase = next_phase(phase, event)
            if event is Event.OPENED:
                is_open = phase is not Phase.STOPPED
            elif event in (Event.AWAY, Event.FAILED, Event.STOP):
                is_open = False
            assert (phase.refusal is None) == is_open


def test_the_five_names_of_the_original_are_there() -> None:
    """Code that compares states goes on working."""
    assert [state.name for state in SpyGlass.State] == [
        *("STOPPED", "START_WARMUP", "WARMUP", "STREAMING", "ERROR")
    ]


def test_changes_are_told_once_in_their_order() -> None:
    """Each with its reason; an event that changes nothing is no news."""
    machine = StateMachine(reason="It is new.")
    assert (machine.state, machine.reason) == (State.STOPPED, "It is new.")
    machine.enter(Event.START)
    machine.enter(Event.FRAME)
    machine.enter(Event.FAILED, "It is broken.")
    assert (machine.state, machine.reason) == (State.ERROR, "It is broken.")
    assert machine.take_changes() == [
        "STOPPED → START_WARMUP",
        "START_WARMUP → ERROR It is broken.",
    ]
    assert machine.take_changes() == []
