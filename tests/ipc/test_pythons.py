from __future__ import annotations

import pytest

from backpack._ipc.pythons import Pythons
from backpack.errors import MissingDependencyError, OutputError


def finding(*rounds: list[str]) -> Pythons:
    """Make one that finds these candidates, round after round."""
    left = [list(each) for each in rounds]
    return Pythons(lambda: left.pop(0) if left else [])


def test_candidates_are_tried_in_their_order() -> None:
    """The next one comes when the one before was given up; then a new round begins."""
    pythons = finding(["a", "b"], ["c"])
    assert pythons.choose() == pythons.choose() == "a"
    assert pythons.give_up("a has no gi.") is None
    assert pythons.choose() == "b"
    assert pythons.give_up("b neither.") is not None
    assert pythons.choose() == "c"


def test_the_first_reason_of_a_round_is_told() -> None:
    """The best candidate is the one to mend; the last one's reason would lead astray."""
    pythons = finding(["a", "b"], ["a"])
    pythons.choose()
    pythons.give_up("a has no gi.")
    error = pythons.give_up("b does not exist.")
    assert isinstance(error, MissingDependencyError)
    assert str(error).startswith("a has no gi.")
    assert "apt install" in str(error)

    pythons.choose()
    assert str(pythons.give_up("It is broken.")).startswith("It is broken.")


def test_the_streaming_process_knows_best_why_it_cannot_run() -> None:
    """Its own word is told, and not how it ended."""
    pythons = finding(["a"])
    pythons.choose()
    said = OutputError("GStreamer is too old.")
    pythons.explain(said)
    assert pythons.give_up("It ended with status 1.") is said


def test_without_any_python_the_error_says_what_to_install() -> None:
    """There is nothing to start."""
    with pytest.raises(MissingDependencyError, match="python3-gi"):
        finding([]).choose()


def test_a_python_that_has_streamed_is_known_until_it_is_forgotten() -> None:
    """Afterwards all is found anew, as something may have been installed."""
    pythons = finding(["a"], ["b"])
    pythons.prove(pythons.choose())
    assert pythons.can("a")
    assert not pythons.can("b")
    pythons.forget()
    assert not pythons.can("a")
    assert pythons.choose() == "b"
