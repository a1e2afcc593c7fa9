"""The scripts of the project, as somebody meets them who does not know them yet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "script"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.is_file())


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script without a network, and without what set-up has installed."""
    command = [sys.executable, str(script)] if script.suffix == ".py" else [str(script)]
    return subprocess.run(
        [*command, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_explains_itself(script: Path, option: str) -> None:
    """On standard output, at once, and without doing anything else."""
    done = run(script, option)

    assert done.returncode == 0
    assert not done.stderr
    assert script.name in done.stdout
    if not script.suffix:
        assert f"script/{script.name}" in done.stdout
        assert "Exit status: 0" in done.stdout


@pytest.mark.parametrize("name", ["setup", "docs", "check", "coverage", "fresh"])
def test_what_a_script_does_not_know_is_refused(name: str) -> None:
    """Before anything is done, with a status that tells it from a failure."""
    done = run(FOLDER / name, "--nonsense")

    assert done.returncode == 2
    assert "Usage" in done.stderr


@pytest.mark.parametrize("path", [".pre-commit-config.yaml", ".github/workflows/ci.yml"])
def test_what_hooks_and_workflows_call_is_there(path: str) -> None:
    """A script that was renamed would be missed at the next push only."""
    called = re.findall(r"(?:script|\.ci)/\w+", (ROOT / path).read_text("utf-8"))

    assert called
    assert all((ROOT / name).is_file() for name in called)


def test_the_quick_check_leaves_out_what_is_there() -> None:
    """A long test that was moved would make it long."""
    block = (FOLDER / "check").read_text("utf-8").partition("\nlong=(\n")[2].partition("\n)\n")[0]
    named = block.split()

    assert named
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []
