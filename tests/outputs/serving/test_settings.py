from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.serving.settings import from_plain, show, to_plain
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class DoorSettings:
    """Settings of a server that there is not."""

    address: str = "127.0.0.1"
    port: int = 0
    users: Mapping[str, str] = field(default_factory=dict)
    word: str | None = None
    range: tuple[int, int] | None = None
    secure: bool = False

    def validate(self) -> None:
        """Take everything."""

    def to_dict(self) -> dict[str, object]:
        """Give the settings as JSON can carry them."""
        return to_plain(self)


def test_secrets_are_masked() -> None:
    """Passwords always, and what is named; that there is none may show."""
    users = {"anna": "pa55"}

    shown = show(DoorSettings(users=users, word="sesame"), secret=("word",))
    assert shown == (
        "DoorSettings(address='127.0.0.1', port=0, users={'anna': '***'}, word='***', "
        "range=None, secure=False)"
    )
    assert "word=None" in show(DoorSettings(), secret=("word",))
    assert "word='sesame'" in show(DoorSettings(word="sesame"))


def test_settings_survive_json() -> None:
    """Tuples become lists on the way, and come out as tuples; secrets come through."""
    settings = DoorSettings(users={"anna": "pa55"}, word="sesame", range=(1, 2))

    plain = json.loads(json.dumps(to_plain(settings)))
    assert from_plain(DoorSettings, plain, server="a door") == settings


def test_settings_of_another_version_are_named() -> None:
    """With the server that they were meant for."""
    with pytest.raises(SettingsError, match=r"unknown settings of a door: bell, colour\."):
        from_plain(DoorSettings, {"port": 1, "colour": 1, "bell": 2}, server="a door")
