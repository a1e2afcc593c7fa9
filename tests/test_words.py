from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "backpack").rglob("*.py"))
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]

RETIRED = {
    r"lodgers?": "stream",
    r"tenan(t|ts|cy)": "resource",
    r"correspondents?": "two-way output",
    r"door ?keepers?": "authenticator",
    r"gate ?keepers?": "connection limiter",
    r"seats?": "subscription",
    r"newcomers?": "new viewer",
    r"lookers?": "snapshot viewer",
    r"chatter": "log",
    r"tally": "counters",
    r"weather": "transient error",
    r"goodbye": "close",
    r"handover": "ipc",
}
"""Words that are not the field's, each with the one to use."""


def names() -> list[str]:
    """Name the files by their paths."""
    return [str(path.relative_to(ROOT)) for path in (*SOURCES, *PAGES)]


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=names())
def test_retired_words_stay_retired(path: Path) -> None:
    """In names, comments and prose; a name of several words counts, too."""
    # Names of several words come apart: take_newcomer, BYE_MS.
    text = path.read_text().replace("_", " ")
    found = {
        match[0]: use
        for word, use in RETIRED.items()
        for match in re.finditer(rf"\b{word}\b", text, re.IGNORECASE)
    }
    assert found == {}


def first_words(path: Path) -> list[str]:
    """Give the first words of the docstrings of a file's functions and classes."""
    return [
        text.split()[0].rstrip(",")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and (text := ast.get_docstring(node))
    ]


@pytest.mark.parametrize("path", SOURCES, ids=names()[: len(SOURCES)])
def test_docstrings_say_what_is_returned_or_done(path: Path) -> None:
    """Functions return, and neither give nor tell; nothing hears, learns or is told to be."""
    assert not {"Be", "Give", "Hear", "Learn", "Tell"} & {*first_words(path)}
