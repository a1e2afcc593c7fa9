from __future__ import annotations

import logging
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

from backpack._app.remote import RemoteHandle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the long tests be asked for."""
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless they were asked for."""
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="takes minutes; runs with --slow (script/soak)")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each start wait until it is answered: an application's goes on without after 10 s."""
    monkeypatch.setitem(RemoteHandle.open.__kwdefaults__, "timeout", 60.0)


@pytest.fixture(autouse=True)
def _signals_as_in_a_terminal() -> Iterator[None]:
    """Let children hear what a shell's background job and nohup ignore; restore what we set."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_error_in_a_callback() -> Iterator[None]:
    """Let a test fail where GLib has called a function that raised: it prints that, and goes on."""
    raised: list[str] = []

    def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        raised.append("".join(traceback.format_exception(kind, error, trace)))
        # Where Python keeps the last error, with everything that its frames hold.
        for name in ("last_exc", "last_value", "last_traceback"):
            setattr(sys, name, None)

    before, sys.excepthook = sys.excepthook, note
    yield
    sys.excepthook = before
    assert not raised, "\n".join(raised)


@pytest.fixture(autouse=True)
def _log_level_of_before() -> Iterator[None]:
    """Restore what a streaming process or a command in this process has set, for later tests."""
    logger = logging.getLogger("backpack")
    before = logger.level
    yield
    logger.setLevel(before)
