"""Run a module of the package with the stand-ins in the registry: run.py MODULE [ARGUMENT…]."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

if __name__ == "__main__":
    from tests.fakes.elements import registered

    with registered():
        sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
