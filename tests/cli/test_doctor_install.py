from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backpack._cli import doctor_install as room
from backpack._cli.doctor_install import install
from backpack._cli.failure import Failure

if TYPE_CHECKING:
    from pathlib import Path

_TOOL = '#!/bin/sh\necho "$(basename "$0") $* frontend=$DEBIAN_FRONTEND" >> "$LOG"\nexit %d\n'


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put tools of the distribution on the path that write down how they are called."""
    for name in ("apt", "apt-get"):
        (tmp_path / name).write_text(_TOOL % (0 if name == "apt-get" else 7))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setattr(room, "family_here", lambda: "debian")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path / "log"


def test_package_lists_are_fetched_before_anything_is_installed(log: Path) -> None:
    """An image has none; nothing is asked, and the tool's status is ours."""
    status = install(["libyuv0", "python3-aiohttp"])

    assert log.read_text().splitlines() == [
        "apt-get update frontend=noninteractive",
        "apt install libyuv0 python3-aiohttp -y frontend=noninteractive",
    ]
    assert status == 7


def test_nothing_is_run_where_nothing_is_missing(log: Path) -> None:
    """The tool is not even started."""
    assert install([]) == 0
    assert not log.exists()


def test_without_sudo_the_command_for_root_is_told(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not root, where there is no sudo, is told what root has to run."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(log.parent))

    with pytest.raises(Failure, match="apt install libyuv0"):
        install(["libyuv0"])


def test_an_unknown_distribution_is_not_touched(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands that are known are told, and none is run."""
    monkeypatch.setattr(room, "family_here", lambda: None)

    with pytest.raises(Failure, match="not known"):
        install(["libyuv0"])
    assert not log.exists()
