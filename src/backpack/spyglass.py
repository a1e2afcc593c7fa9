"""SpyGlass, which takes frames and streams them, and its states."""

from __future__ import annotations

from backpack._app.predecessor import USE_LAST_VALUE
from backpack._app.spyglass import SpyGlass
from backpack._app.state import State

__all__ = ["USE_LAST_VALUE", "SpyGlass", "State"]
