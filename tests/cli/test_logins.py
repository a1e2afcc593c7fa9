from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backpack._cli.failure import Failure
from backpack._cli.logins import SOURCE_LOGIN, USERS, read_source_login, read_users

if TYPE_CHECKING:
    from pathlib import Path


def test_logins_come_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    """Both hold name:password lines; the file wins; comments and blank lines are passed over."""
    file = tmp_path / "users"
    file.touch(0o600)
    file.write_text("# who may watch\n\nann:one:two\n bob:b \n")
    warnings: list[str] = []

    users = read_users(str(file), warnings.append, {USERS: "ann:old\ncarl:c"})

    assert users == {"ann": "one:two", "bob": "b", "carl": "c"}
    assert warnings == []


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    """Passwords that others on the machine can read are worth a word."""
    file = tmp_path / "users"
    file.write_text("ann:secret")
    file.chmod(0o644)
    warnings: list[str] = []

    read_users(str(file), warnings.append, {})

    assert "chmod 600" in warnings[0]


@pytest.mark.parametrize("text", ["secret", "ann:", ":secret", "# nobody"])
def test_what_is_no_login_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    """A line without a name or a password is refused, and not repeated on the terminal."""
    file = tmp_path / "users"
    file.write_text(text)

    with pytest.raises(Failure) as caught:
        read_users(str(file), print, {})

    assert caught.value.status == 2
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_told() -> None:
    """A file that cannot be read is wrong usage."""
    with pytest.raises(Failure, match="cannot be read"):
        read_users("/no/such/file", print, {})


def test_the_login_for_the_source_comes_from_the_environment() -> None:
    """One name:password pair, or none."""
    assert read_source_login({SOURCE_LOGIN: "ann:se:cret"}) == ("ann", "se:cret")
    assert read_source_login({}) is None
