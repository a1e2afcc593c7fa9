from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
from typing import Any

import pytest

from backpack._lib.secrets import Secret
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack.errors import SettingsError
from tests.outputs.kvs.credentials.stand_ins import SECRET, START, TOKEN, made


def test_only_the_first_letters_of_the_access_key_are_shown() -> None:
    """Neither secret, nor the access key, is in what is printed."""
    shown = f"{made()} {made()!r} {dataclasses.asdict(made())['secret_key']}"

    assert "'ASIA…'" in shown
    for hidden in (SECRET, TOKEN, made().access_key):
        assert hidden not in shown


def test_they_are_not_pickled() -> None:
    """Nor do they leave the process by accident."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(made())


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("", SECRET), "aws_access_key_id"),
        ((None, SECRET), "aws_access_key_id"),
        (("AKIA/1", SECRET), "aws_access_key_id"),
        (("AKIA,1", SECRET), "aws_access_key_id"),
        (("AKIA 1", SECRET), "aws_access_key_id"),
        (("AKIA1", ""), "aws_secret_access_key"),
        (("AKIA1", None), "aws_secret_access_key"),
        (("AKIA1", f"{SECRET}\n"), "aws_secret_access_key.*line end"),
        (("AKIA1", f"{SECRET}ä"), "aws_secret_access_key"),
        (("AKIA1", SECRET, f"{TOKEN}\r\nHost: evil"), "aws_session_token"),
        (("AKIA1", SECRET, TOKEN, dt.datetime(2026, 1, 1)), "time zone"),  # noqa: DTZ001
        (("AKIA1", SECRET, TOKEN, float("inf")), "expires_at"),
        (("AKIA1", SECRET, TOKEN, float("nan")), "expires_at"),
        (("AKIA1", SECRET, TOKEN, -1), "expires_at"),
        (("AKIA1", SECRET, TOKEN, "2026-11-22T09:50:36Z"), "expires_at"),
    ],
)
def test_what_cannot_be_is_refused(values: tuple[Any, ...], says: str) -> None:
    """A copied line end is found here, not by AWS, and the error does not quote."""
    with pytest.raises(SettingsError, match=says) as caught:
        Credentials.of(*values)

    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_plain_text_is_no_secret() -> None:
    """Who makes them without `of` must wrap the secrets."""
    with pytest.raises(SettingsError, match=r"Credentials\.of"):
        Credentials("AKIA1", SECRET)  # type: ignore[arg-type]


def test_an_expiry_is_a_time_or_seconds() -> None:
    """What STS answers with is taken as it is."""
    time = dt.datetime.fromtimestamp(START, dt.timezone(dt.timedelta(hours=2)))

    assert Credentials.of("A", "s", "t", time).expires_at == START
    assert Credentials.of("A", "s", "t", START).expires_at == START


def test_they_run_out() -> None:
    """They are good before their expiry only; those without one for ever."""
    credentials = made(lasts=60)

    assert credentials.is_good(START + 59.9)
    assert not credentials.is_good(START + 60)
    assert credentials.expires_in_seconds(START + 15) == 45
    assert credentials.expires_in_seconds(START + 99) == 0
    assert made(lasts=None).is_good(START * 2)
    assert made(lasts=None).expires_in_seconds(START) is None


def test_sameness_is_of_key_secret_token_and_second() -> None:
    """A tenth of a second of expiry makes no other credentials."""
    one = made()

    assert one.is_same(made(lasts=3600.9))
    assert not one.is_same(made(lasts=3602))
    assert not one.is_same(made(lasts=None))
    assert not one.is_same(made(2))
    assert not one.is_same(dataclasses.replace(one, secret_key=Secret("other")))
    assert not one.is_same(dataclasses.replace(one, session_token=None))
    assert not one.is_same(None)


def test_the_environment_has_the_token_where_there_is_one() -> None:
    """Temporary credentials travel with their token."""
    assert made(1).environment() == {
        "AWS_ACCESS_KEY_ID": "ASIA0000000000000001",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": f"{TOKEN}1",
    }
    assert "AWS_SESSION_TOKEN" not in Credentials.of("AKIA", "s").environment()
