"""
Run a module of this package under another Python, and nothing beside it.

Called as ``python -I -B boot.py MODULE [ARGUMENT…]``. The package is loaded
from the folder that this file lies in, whatever is installed in that Python:
the application's site-packages never come on its path, since they belong to
another Python and hide the operating system's libraries.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path


def load_package() -> None:
    """Put the package ``backpack`` that this file belongs to into ``sys.modules``."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / "__init__.py").is_file():
        # Another package of our name was uninstalled (see predecessor.py); nothing here needs it.
        package = sys.modules["backpack"] = types.ModuleType("backpack")
        package.__path__ = [str(folder)]
        return
    spec = importlib.util.spec_from_file_location(
        "backpack", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} holds no package.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["backpack"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_package()
    sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
