"""Hold what the application holds: SpyGlass, its states and its numbers."""

from __future__ import annotations

from backpack.predecessor import USE_LAST_VALUE
from backpack.spyglass.spyglass import SpyGlass
from backpack.spyglass.state import State

__all__ = ["USE_LAST_VALUE", "SpyGlass", "State"]
