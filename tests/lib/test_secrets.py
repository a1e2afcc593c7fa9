from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest

from backpack._lib.secrets import Secret

TEXT = "wJalrXUtnFEMI"


@dataclasses.dataclass
class Holder:
    """Something that holds one."""

    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r:>20}".format,
        "{:>20}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!s:30}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - as logging does it
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(dataclasses.asdict(Holder(secret))),
        lambda secret: repr([secret, {"a": secret}]),
        lambda secret: str(ValueError("wrong", secret)),
        ascii,
        lambda secret: repr(copy.deepcopy(secret)),
        lambda secret: repr(copy.copy(secret)),
    ],
)
def test_it_masks_itself(show: object) -> None:
    """Whatever prints a secret prints a mask."""
    assert callable(show)
    shown = show(Secret(TEXT))

    assert TEXT not in shown
    assert "***" in shown


def test_it_masks_itself_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    """A log line shows the mask."""
    logging.getLogger("test").warning("%s %r", Secret(TEXT), {"key": Secret(TEXT)})

    assert caplog.messages == ["*** {'key': ***}"]


def test_it_masks_itself_in_a_traceback_with_variables() -> None:
    """A traceback that shows local variables shows the mask."""
    secret = Secret(TEXT)
    try:
        int(secret)  # type: ignore[call-overload]
    except TypeError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()

    text = "".join(shown)
    assert "secret = ***" in text
    assert TEXT not in text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    """It goes into no file and no other process."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Holder(Secret(TEXT)), protocol)


def test_it_is_no_json() -> None:
    """It goes into no message either."""
    with pytest.raises(TypeError):
        json.dumps({"secret": Secret(TEXT)})


def test_it_is_told_when_asked_by_name() -> None:
    """Only `reveal` gives the text."""
    assert Secret(TEXT).reveal() == TEXT


def test_secrets_are_compared() -> None:
    """Two are equal if their texts are; a text is not equal to any."""
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret(TEXT) != TEXT
    assert Secret("ü") != Secret("u")
    assert Secret(TEXT)
    assert not Secret("")


def test_it_is_no_key_of_a_dictionary() -> None:
    """It has no hash."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(TEXT))
