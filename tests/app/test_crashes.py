from __future__ import annotations

import signal

import pytest

from backpack._app.crashes import Blame

CRASH = -signal.SIGSEGV


def test_one_crash_is_forgiven_and_the_second_is_not() -> None:
    """The encoder is named once, when it is passed over for the first time."""
    blame = Blame()
    blame.note(1, "vah264enc")
    assert blame.judge(CRASH) == []
    assert blame.passed_over == []
    assert blame.judge(CRASH) == ["vah264enc"]
    assert blame.judge(CRASH) == []
    assert blame.passed_over == ["vah264enc"]


@pytest.mark.parametrize("status", [0, 1, -signal.SIGKILL, -signal.SIGTERM])
def test_an_end_that_is_no_crash_blames_nobody(status: int) -> None:
    """SIGKILL is somebody's decision."""
    blame = Blame()
    blame.note(1, "x264enc")
    for _ in range(3):
        assert blame.judge(status) == []
    assert blame.passed_over == []


def test_only_what_was_at_work_is_blamed() -> None:
    """Neither what has stopped, nor what is closed, nor what ran in the process before."""
    blame = Blame()
    for _ in range(2):
        blame.start_anew()
        blame.note(1, "x264enc")
        blame.note(2, "vah264enc")
        blame.note(3, "openh264enc")
        blame.note(2, None)
        blame.forget(3)
        blame.judge(CRASH)
    assert blame.passed_over == ["x264enc"]
    blame.start_anew()
    assert blame.judge(CRASH) == []


def test_two_streams_with_one_encoder_are_one_crash() -> None:
    """Crashes are counted, not streams."""
    blame = Blame()
    blame.note(1, "x264enc")
    blame.note(2, "x264enc")
    assert blame.judge(CRASH) == []
