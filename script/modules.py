#!/usr/bin/env python3
"""
Print the tree of modules, each with the first line of its docstring, as docs/modules.md has it.

    script/modules.py            print it
    script/modules.py --write    write docs/modules.md
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "backpack"
PAGE = ROOT / "docs" / "modules.md"

HEAD = """\
# Modules

Every module of `src/backpack` with the first line of its docstring; `script/modules.py --write`
makes this page. What is below a `worker` runs in the streaming process. Why things are where they
are is said in [ARCHITECTURE.md](../ARCHITECTURE.md).
"""


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.partition("\n")[0]


def page() -> str:
    """Return the page: a heading for each package, and a table of its modules."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        folders.setdefault(path.parent, []).append(path)
    lines = [HEAD]
    for folder in sorted(folders, key=lambda one: one.relative_to(PACKAGE).parts):
        name = str(folder.relative_to(PACKAGE.parent))
        lines += [f"## {name}", "", first_line(folder / "__init__.py"), ""]
        modules = [path for path in folders[folder] if path.name != "__init__.py"]
        if modules:
            lines += ["| module | |", "|---|---|"]
            lines += [f"| `{path.name}` | {first_line(path)} |" for path in modules]
            lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description="Print the tree of modules for docs/modules.md.")
    parser.add_argument("--write", action="store_true", help="write docs/modules.md instead")
    if parser.parse_args().write:
        PAGE.write_text(page(), "utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
