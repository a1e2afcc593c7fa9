from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backpack._worker.encoding import trial
from tests.fakes import elements

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand_ins() -> Iterator[None]:
    """Have the stand-ins of hardware in the registry, and let go of what hangs."""
    elements.release.clear()
    trial.forget_verdicts()
    with elements.registered():
        yield
    elements.release.set()
    trial.forget_verdicts()
