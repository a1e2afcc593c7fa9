from __future__ import annotations

from typing import Any

import pytest

from backpack.errors import SettingsError
from backpack.redaction import Redaction


@pytest.mark.parametrize(
    "settings",
    [
        {"style": "none"},
        {"color": (0, 0)},
        {"color": (0, 0, 256)},
        {"color": (0, 0, 0.5)},
        {"margin": -0.1},
        {"margin": float("nan")},
        {"hold_frames": -1},
        {"hold_seconds": float("inf")},
        {"hold_seconds": "1"},
    ],
    ids=repr,
)
def test_values_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """The message names the setting."""
    with pytest.raises(SettingsError, match=next(iter(settings))):
        Redaction(**settings)
