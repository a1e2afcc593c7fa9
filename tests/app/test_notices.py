from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import start_app

if TYPE_CHECKING:
    from pathlib import Path

_APP = """
import logging
import backpack
from backpack._app.notices import notify
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


@pytest.mark.parametrize(
    "setup",
    [
        pytest.param("import os; os.close(2)", id="closed"),
        pytest.param("import os; a, b = os.pipe(); os.dup2(b, 2); os.close(a)", id="nobody reads"),
    ],
)
def test_what_cannot_be_written_is_gone(setup: str, tmp_path: Path) -> None:
    """It is neither in a file that takes the descriptor later, nor in the exit status."""
    file = tmp_path / "file"
    later = f"""
import os
opened = os.open({str(file)!r}, os.O_WRONLY | os.O_CREAT)
if opened != 2:
    os.dup2(opened, 2)
"""
    with start_app(_APP.format(setup=setup, level="WARNING", always=False) + later) as app:
        app.communicate(timeout=60)

    assert app.returncode == 0
    assert file.read_text() == ""


def test_what_the_application_has_put_in_its_place_is_written_to() -> None:
    """A notebook, or a window, shows it."""
    setup = "import io, sys; sys.stderr = io.StringIO(); sys.stderr.fileno = lambda: 2"
    end = "sys.__stderr__.write('there: ' + sys.stderr.getvalue())"
    with start_app(_APP.format(setup=setup, level="WARNING", always=False) + end) as app:
        assert app.communicate(timeout=60)[1] == "there: SpyGlass: text\n"
