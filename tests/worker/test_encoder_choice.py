from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backpack._ipc.settings import StreamSettings
from backpack._worker import encoder_choice as choice_module
from backpack._worker.encoder_choice import EncoderChoice
from backpack._worker.encoding.encoders import ENCODERS, EncoderSpec
from backpack.errors import EncoderError

if TYPE_CHECKING:
    from backpack.errors import BackpackError

HARDWARE = next(spec for spec in ENCODERS if spec.hardware)
SOFTWARE = next(spec for spec in ENCODERS if not spec.hardware)


class Trials:
    """Stand for the trials, which need the hardware: what is asked, and what they find."""

    def __init__(self, *found: EncoderSpec | None) -> None:
        self.found = list(found)
        self.sizes: list[tuple[int, int]] = []
        self.pinned: list[str | None] = []
        self.answers: list[BackpackError | None] = []
        self.passed_over: set[str] = set()

    def choose(
        self, pinned: str | None, passed_over: set[str], *, width: int, height: int
    ) -> EncoderSpec:
        """Give the next finding."""
        assert passed_over is self.passed_over
        self.sizes.append((width, height))
        self.pinned.append(pinned)
        spec = self.found.pop(0)
        if spec is None:
            raise EncoderError("None works.")
        return spec


def choice_of(trials: Trials, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> EncoderChoice:
    """Make a choice that asks these trials."""
    monkeypatch.setattr(choice_module, "choose", trials.choose)
    monkeypatch.setattr(choice_module, "_PAUSE_SECONDS", 0.0)
    return EncoderChoice(StreamSettings(**settings), trials.passed_over, trials.answers.append)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (640, 360)),
        ({"width": 1920, "height": 1080}, (1920, 1080)),
        ({"height": 720}, (1280, 720)),
        ({"width": 321, "height": 241}, (320, 240)),
    ],
)
def test_trials_are_of_the_size_that_was_asked_for(
    settings: dict[str, int], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as anything was asked."""
    trials = Trials(SOFTWARE)
    choice = choice_of(trials, monkeypatch, **settings)
    assert choice.look(0)
    assert choice.spec is SOFTWARE
    assert trials.sizes == [size]
    assert trials.answers == [None]


def test_hardware_is_tried_again_for_the_real_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: when the first frame tells it."""
    trials = Trials(HARDWARE, SOFTWARE)
    choice = choice_of(trials, monkeypatch)
    choice.look(0)
    assert choice.wants_size
    choice.fit(4096, 2160)
    assert choice.spec is SOFTWARE
    assert trials.sizes == [(640, 360), (4096, 2160)]
    choice.fit(100, 100)
    assert not choice.wants_size
    assert len(trials.sizes) == 2


@pytest.mark.parametrize(
    ("found", "settings", "size"),
    [
        (SOFTWARE, {}, (1920, 1080)),
        (HARDWARE, {}, (640, 360)),
        (HARDWARE, {"width": 1920, "height": 1080}, (800, 600)),
    ],
)
def test_where_it_makes_no_difference_nothing_is_tried(
    found: EncoderSpec,
    settings: dict[str, int],
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Software does any size, and what was tried for that size was tried."""
    trials = Trials(found)
    choice = choice_of(trials, monkeypatch, **settings)
    choice.look(0)
    choice.fit(*size)
    assert not choice.wants_size
    assert len(trials.sizes) == 1


def test_without_any_encoder_it_is_looked_for_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With patience, and with those that had failed: what kept them may be over."""
    trials = Trials(None, SOFTWARE)
    trials.passed_over.add("x264enc")
    choice = choice_of(trials, monkeypatch)
    assert not choice.look(0)
    assert trials.passed_over == set()
    again_ns = choice.again_at_ns
    assert again_ns is not None
    assert choice.error == "None works."
    assert not choice.look(again_ns - 1)
    assert len(trials.sizes) == 1
    assert choice.look(again_ns)
    assert choice.again_at_ns is None
    assert [type(one) for one in trials.answers] == [EncoderError, type(None)]


def test_one_that_fails_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is chosen for the size that the video has by now."""
    trials = Trials(HARDWARE, SOFTWARE)
    choice = choice_of(trials, monkeypatch)
    choice.look(0)
    choice.note_size((1280, 720))
    choice.replace(EncoderError("It has broken."))
    assert trials.passed_over == {HARDWARE.name}
    assert choice.spec is SOFTWARE
    assert choice.error == "It has broken."
    assert trials.sizes == [(640, 360), (1280, 720)]


def test_one_that_was_asked_for_is_never_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again instead."""
    trials = Trials(SOFTWARE, SOFTWARE)
    choice = choice_of(trials, monkeypatch, encoder=SOFTWARE.name)
    choice.look(0)
    choice.replace(EncoderError("It has broken."))
    assert trials.passed_over == set()
    assert trials.pinned == [SOFTWARE.name] * 2
