"""Run the command line as ``python -m backpack``."""

from __future__ import annotations

import sys

from backpack._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
