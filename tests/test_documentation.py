"""The documentation site: its navigation, its reference, and links between pages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_public_api import PUBLIC

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

DEPRECATED = {"backpack.kvs.KVSSkyLine", "backpack.rtsp.RTSPSkyLine"}
"""Names that warn, and so are in no `__all__`."""

NAMES = DEPRECATED | {
    f"{module}.{name}" for module, names in PUBLIC.items() for name in names if module != "backpack"
}
_DOCUMENTED = re.compile(
    r"^\.\. (?:autoclass|autoexception|py:class|py:data):: (\S+)", re.MULTILINE
)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def navigation() -> dict[str, list[str]]:
    """Read which pages stand in the navigation, without Sphinx."""
    for node in ast.parse((DOCS / "conf.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NAVIGATION":
            found: dict[str, list[str]] = ast.literal_eval(node.value)
            return found
    raise AssertionError("docs/conf.py has no NAVIGATION")


PAGES = [ROOT / "README.md"] + [
    ROOT / f"{page}.md" for pages in navigation().values() for page in pages
]


def test_the_navigation_names_every_page() -> None:
    """Each Markdown file of docs and of the root is named once, and none that does not exist."""
    written = {*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")}
    assert sorted(PAGES) == sorted(written)


def test_the_reference_has_every_public_name() -> None:
    """Each is documented once, and nothing else is."""
    text = "\n".join(path.read_text("utf-8") for path in REFERENCE.glob("*.md"))
    assert sorted(_DOCUMENTED.findall(text)) == sorted(NAMES)


def test_the_reference_lists_the_names_of_the_package() -> None:
    """The first page of the reference has whatever `backpack` itself offers."""
    text = (REFERENCE / "index.md").read_text("utf-8")
    assert {name for name in PUBLIC["backpack"] if f"`{name}`" not in text} == set()


def anchors(path: Path) -> set[str]:
    """Return what links to headings of a page are made of, as GitHub makes it."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """On GitHub and in a checkout, too: to a file that is there, and to a heading in it."""
    for target, anchor in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), f"{target}#{anchor}"


def test_the_list_of_modules_is_that_of_the_modules() -> None:
    """`script/modules.py --write` has been run since a module came, went or changed its line."""
    script = [sys.executable, str(ROOT / "script" / "modules.py")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert printed == (DOCS / "modules.md").read_text("utf-8")
