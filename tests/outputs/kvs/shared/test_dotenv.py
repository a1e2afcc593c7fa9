from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.shared.dotenv import parse_dotenv, read_dotenv
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PLUGINS = {"GST_PLUGIN_PATH": "/a b"}
BOTH = {"GST_PLUGIN_PATH": "/a", "LD_LIBRARY_PATH": "/b"}


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", {}),
        ("\n\n  \n# nothing\n", {}),
        ('GST_PLUGIN_PATH="/a"\nLD_LIBRARY_PATH="/b"\n', BOTH),
        ("GST_PLUGIN_PATH=/a\nLD_LIBRARY_PATH=/b", BOTH),
        ("GST_PLUGIN_PATH='/a'\r\nLD_LIBRARY_PATH='/b'\r\n", BOTH),
        ("GST_PLUGIN_PATH=/a\rLD_LIBRARY_PATH=/b\r", BOTH),
        # The one line of the specification's Dockerfile where the shell is bash.
        (r'GST_PLUGIN_PATH="/a"\nLD_LIBRARY_PATH="/b"\n' + "\n", BOTH),
        (r"GST_PLUGIN_PATH=/a\nLD_LIBRARY_PATH=/b\n" + "\n", BOTH),
        (r"GST_PLUGIN_PATH='/a'\n\n# more\n" + "\nLD_LIBRARY_PATH=/b", BOTH),
        ("export GST_PLUGIN_PATH=/a\n\texport\tLD_LIBRARY_PATH = /b # here\n", BOTH),
        ('GST_PLUGIN_PATH="/a" # the plugin\nLD_LIBRARY_PATH="/b"#lib', BOTH),
        ('GST_PLUGIN_PATH="/a b"', PLUGINS),
        ("GST_PLUGIN_PATH='/a b'  ", PLUGINS),
        ("GST_PLUGIN_PATH=/a b   ", PLUGINS),
        ("GST_PLUGIN_PATH=/a#b", {"GST_PLUGIN_PATH": "/a#b"}),
        (r'GST_PLUGIN_PATH="/a\"\$\\b"', None),
        (r'GST_PLUGIN_PATH="/a\"\\b"', {"GST_PLUGIN_PATH": r"/a\"b".replace(r"\"", '"\\')}),
        (r"GST_PLUGIN_PATH='/a\b'", {"GST_PLUGIN_PATH": r"/a\b"}),
        ("GST_PLUGIN_PATH=/x\nGST_PLUGIN_PATH=/a b", PLUGINS),
        ("GST_PLUGIN_PATH=\nLD_LIBRARY_PATH=''\nLD_PRELOAD=#none", {}),
        ("LD_PRELOAD=/lib/libgomp.so.1\nAWS_SECRET_ACCESS_KEY=x\nPATH=/evil\nIFS=$HOME",
         {"LD_PRELOAD": "/lib/libgomp.so.1"}),
        ('KEY="-----BEGIN\nGST_PLUGIN_PATH=/evil\n-----END"\nGST_PLUGIN_PATH="/a b"', PLUGINS),
    ],
)  # fmt: skip
def test_what_is_taken(text: str, taken: dict[str, str] | None) -> None:
    """Three names in every form in which such files are written, and nothing else."""
    if taken is None:
        with pytest.raises(SettingsError, match="write the folders out"):
            parse_dotenv(text)
    else:
        assert parse_dotenv(text).variables == taken


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("GST_PLUGIN_PATH", 1, "NAME=value"),
        ("\n\n# x\n=/a", 4, "NAME=value"),
        ("A=1\r\nset -e\r\n", 2, "NAME=value"),
        ("1A=/a", 1, "NAME=value"),
        ('A=1\nGST_PLUGIN_PATH="/a\nB=2\n', 2, "not closed"),
        ("LD_LIBRARY_PATH='/a", 1, "not closed"),
        ('A=1\nLD_LIBRARY_PATH="/a":"/b"', 2, "behind the value of LD_LIBRARY_PATH"),
        ('GST_PLUGIN_PATH="/a\n/b"', 1, "several lines"),
        ("LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/secretplace", 1, "write the folders out"),
        ("GST_PLUGIN_PATH=/a\0b", 1, "several lines"),
    ],
)
def test_a_broken_file_is_told_with_its_line(text: str, line: int, reason: str) -> None:
    """The error names the path, the line and the trouble, and shows no value."""
    with pytest.raises(SettingsError, match=reason) as caught:
        parse_dotenv(text, "/x/.env")
    assert f"'/x/.env', line {line}:" in str(caught.value)
    assert "secretplace" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a directory, a pipe, too large, no text: an error with the path, at once."""
    pipe, large, binary = (tmp_path / name for name in ("pipe", "large", "binary"))
    os.mkfifo(pipe)
    large.write_text("#" * 70_000)
    binary.write_bytes(b"A=1\nB=\xff\xfe\n")
    for path in (tmp_path / "none", tmp_path, pipe, large, binary, "\0"):
        with pytest.raises(SettingsError, match="dotenv_path="):
            read_dotenv(os.fspath(path))
    with pytest.raises(SettingsError, match="line 2"):
        read_dotenv(os.fspath(binary))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    """Editors write one."""
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfGST_PLUGIN_PATH=/a\n")
    assert read_dotenv(os.fspath(path)).variables == {"GST_PLUGIN_PATH": "/a"}


def test_values_are_not_shown() -> None:
    """Its representation ends up in logs."""
    assert "/place" not in repr(parse_dotenv("GST_PLUGIN_PATH=/place"))


def test_how_it_changes_an_environment() -> None:
    """GST_PLUGIN_PATH replaces, LD_LIBRARY_PATH is appended, the rest stays."""
    dotenv = parse_dotenv("GST_PLUGIN_PATH=/a\nLD_LIBRARY_PATH=/b\nLD_PRELOAD=/p.so")
    before = {"GST_PLUGIN_PATH": "/x", "LD_LIBRARY_PATH": "/y", "HOME": "/h"}

    assert dotenv.applied_to(before) == {
        "GST_PLUGIN_PATH": "/a",
        "LD_LIBRARY_PATH": "/y:/b",
        "LD_PRELOAD": "/p.so",
        "HOME": "/h",
    }
    assert before["GST_PLUGIN_PATH"] == "/x"
    assert dotenv.applied_to({})["LD_LIBRARY_PATH"] == "/b"
    assert parse_dotenv("").applied_to(before) == before
