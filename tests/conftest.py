from __future__ import annotations

import pytest

from backpack.handover.tenancy import Tenancy


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
    monkeypatch.setitem(Tenancy.open.__kwdefaults__, "timeout", 60.0)
