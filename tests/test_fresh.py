from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FRESH = Path(__file__).parent.parent / "script" / "fresh"
COULD_NOT = 77

# A machine on which it could be tried, up to the first thing that is asked for over the network.
ABLE = {
    "id": "echo 0",
    "apt-get": "echo http://127.0.0.1:9/debian",
    "debootstrap": "exit 0",
    "unshare": "exit 0",
}


def run(tmp_path: Path, *arguments: str, **commands: str) -> subprocess.CompletedProcess[str]:
    """Run it on a machine whose commands answer as given; an empty answer: it has none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "mktemp", "chmod", "rm", "sed", "awk", "env"):
        (folder / name).symlink_to(
            next(Path(one, name) for one in _path() if Path(one, name).exists())
        )
    for name, answer in {**ABLE, **commands}.items():
        if answer:
            (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name).chmod(0o755)
    environment = {"PATH": str(folder), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    return subprocess.run(
        [str(folder / "bash"), str(FRESH), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _path() -> list[str]:
    return os.environ["PATH"].split(":")


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        pytest.param({"id": "echo 1000"}, "needs root", id="not root"),
        pytest.param({"apt-get": ""}, "needs the apt", id="no apt"),
        pytest.param({"debootstrap": ""}, "apt-get install debootstrap", id="no debootstrap"),
        pytest.param({"unshare": "exit 1"}, "permits no mounts", id="no mounts"),
        pytest.param({}, "no mirror", id="no network"),
    ],
)
def test_what_it_cannot_do_is_not_a_failure(
    commands: dict[str, str], says: str, tmp_path: Path
) -> None:
    """It says what is missing, and a status of its own tells it from a test that has failed."""
    done = run(tmp_path, "trixie", **commands)

    assert done.returncode == COULD_NOT
    assert says in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize("arguments", [(), ("--nonsense", "trixie"), ("--root",), ("../etc",)])
def test_what_it_does_not_understand_is_said(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is done, with how it is called."""
    done = run(tmp_path, *arguments)

    assert done.returncode == 2
    assert "Usage: script/fresh" in done.stderr
