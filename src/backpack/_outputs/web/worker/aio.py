"""
Open the one door to aiohttp, or say what to install.

Raises:
    MissingDependencyError: It is not installed for this Python.

"""

from __future__ import annotations

from backpack._lib.packages import install_hint
from backpack.errors import MissingDependencyError

try:
    import aiohttp
    from aiohttp import web
except ImportError as error:
    raise MissingDependencyError(
        f"Pages for browsers need aiohttp, which cannot be loaded: {error}. "
        + install_hint("python3-aiohttp")
    ) from error

__all__ = ["aiohttp", "web"]
