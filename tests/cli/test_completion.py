from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backpack._cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

_ASK = """
source "$1"
COMP_WORDS=($2)
[[ "$2" == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="$2"
COMP_POINT=${#2}
$(complete -p spyglass | sed -E 's/.*-F ([^ ]+).*/\\1/') spyglass "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("spyglass ser", {"serve"}),
        ("spyglass doctor --in", {"--install"}),
        ("spyglass serve clip.mp4 --allow", {"--allow-anonymous", "--allowed-host"}),
        ("spyglass completion ", {"bash", "zsh"}),
    ],
)
def test_bash_completes(
    line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real bash, asked as its Tab key asks, offers commands and options."""
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "spyglass"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "bash", str(script), line],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert set(done.stdout.split()) == offered


def test_zsh_gets_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    """It is of the kind that zsh looks for by its first line, and zsh can read it."""
    pytest.importorskip("shtab")
    assert main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#compdef spyglass\n")
    zsh = shutil.which("zsh")
    if zsh is not None:
        subprocess.run([zsh, "-n"], input=text, text=True, check=True, timeout=30)


def test_without_the_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command helps."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install shtab" in capsys.readouterr().err
