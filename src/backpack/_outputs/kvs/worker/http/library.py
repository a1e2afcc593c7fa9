"""
Open the one door to h11, or say what to install.

Raises:
    MissingDependencyError: It is not installed for this Python.

"""

from __future__ import annotations

from backpack._lib.packages import install_hint
from backpack.errors import MissingDependencyError

try:
    import h11
except ImportError as error:
    raise MissingDependencyError(
        f"Kinesis Video Streams needs h11, which cannot be loaded: {error}. "
        + install_hint("python3-h11")
    ) from error

__all__ = ["h11"]
