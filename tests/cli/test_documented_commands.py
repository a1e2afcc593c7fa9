"""Every command line that the documents and `--help` show is understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from backpack._cli import arguments
from backpack._cli.arguments import make_parser
from backpack._cli.main import parse

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Text names commands by their first words, which is no command line.
NAMES = {"spyglass serve", "spyglass kvs", "spyglass kvs check"}
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:env/bin/)?spyglass (?:serve|demo|doctor|kvs)\b.*")


def commands_in(text: str) -> list[str]:
    """Find command lines, without what stands in front, and without comments."""
    joined = text.replace("\\\n", " ")
    lines = (match.group() for match in map(_COMMAND.search, joined.splitlines()) if match)
    # Examples in --help have their explanation in a column of its own.
    commands = [re.split(r"   +|`| #", line)[0].strip() for line in lines]
    return [command for command in commands if command not in NAMES and "--help" not in command]


def documented() -> list[tuple[str, str]]:
    """Find all of them, each with where it stands."""
    found = [
        (path.name, command)
        for path in DOCUMENTS
        for code in _CODE.findall(path.read_text())
        for command in commands_in(code)
    ]
    epilogs = [value for name, value in vars(arguments).items() if name.endswith("_EPILOG")]
    return found + [("--help", command) for text in epilogs for command in commands_in(text)]


def test_they_are_found() -> None:
    """The documents and the help show some; else nothing below would be tested."""
    assert {"README.md", "kvs.md", "--help"} <= {where for where, _ in documented()}


@pytest.mark.parametrize(("where", "command"), documented())
def test_a_documented_command_line_is_understood(where: str, command: str) -> None:
    """No word of it is left over, and none is unknown."""
    _, *words = shlex.split(command)

    assert parse(make_parser(), words).command, where


@pytest.mark.parametrize(
    ("line", "urls"),
    [
        ("serve a.mp4 --loop kvs://us-east-1/a", ["kvs://us-east-1/a"]),
        ("serve a.mp4 http://h/a --loop rtsp://h/a --fps 3", ["http://h/a", "rtsp://h/a"]),
        ("demo --seconds 3 http://h/a", ["http://h/a"]),
    ],
)
def test_urls_may_stand_behind_options(line: str, urls: list[str]) -> None:
    """Wherever they stand, they are taken in their order."""
    assert parse(make_parser(), line.split()).urls == urls


@pytest.mark.parametrize("line", ["serve a.mp4 --loop --nix x", "doctor x", "kvs check --nix"])
def test_what_is_unknown_stays_an_error(line: str) -> None:
    """An option that does not exist is no URL, and a command without URLs takes none."""
    with pytest.raises(SystemExit) as ended:
        parse(make_parser(), line.split())

    assert ended.value.code == 2
