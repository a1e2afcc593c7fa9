from __future__ import annotations

import pytest

from tests.apps import start_app

_APP = """
import logging
import backpack
from backpack.handover.notices import notify
{setup}
notify(logging.getLogger("backpack.room"), logging.{level}, "text", always={always})
"""


def stderr(setup: str, level: str, *, always: bool = False) -> str:
    """Run an application in which something is notified, and give what a person sees."""
    with start_app(_APP.format(setup=setup, level=level, always=always)) as app:
        return app.communicate(timeout=60)[1]


def test_without_logging_a_person_sees_it() -> None:
    """On standard error, with the name of who says it."""
    assert stderr("", "WARNING") == "SpyGlass: text\n"
    assert stderr("", "INFO") == "SpyGlass: text\n"


@pytest.mark.parametrize(
    ("level", "always", "seen"),
    [
        ("WARNING", False, "WARNING:backpack.room:text\n"),
        ("INFO", False, ""),
        ("INFO", True, "SpyGlass: text\n"),
    ],
)
def test_where_logging_is_configured_it_decides(level: str, *, always: bool, seen: str) -> None:
    """A level that is left out stays out, unless nobody could go on without the line."""
    assert stderr("logging.basicConfig()", level, always=always) == seen
