"""The version, also where another package's `__init__.py` is in the place of ours."""

from __future__ import annotations

from typing import Final

VERSION: Final = "1.0.0"
