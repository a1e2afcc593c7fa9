"""Deprecated: the name under which the first version of SpyGlass was published."""

from __future__ import annotations

import warnings

from backpack._app.predecessor import USE_LAST_VALUE
from backpack._app.spyglass import SpyGlass as SkyLine

__all__ = ["USE_LAST_VALUE", "SkyLine"]

warnings.warn(  # deprecated in 1.0 - 2026-11-22
    "backpack.skyline.SkyLine is now called backpack.spyglass.SpyGlass.",
    DeprecationWarning,
    stacklevel=2,
)
