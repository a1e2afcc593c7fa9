"""The real panorama-backpack of the package index, installed beside this package as users do."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREDECESSOR = "panorama-backpack==0.3.2"


@dataclass(frozen=True)
class Wheels:
    """
    What there is to install.

    Attributes:
        ours: The wheel of this checkout.
        theirs: That of panorama-backpack.

    """

    ours: Path
    theirs: Path


class Environment:
    """A virtual environment with numpy and what else the tests' own Python has, but no backpack."""

    def __init__(self, folder: Path) -> None:
        make = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
        subprocess.run(make, check=True, timeout=60)
        self.folder = folder
        self.python = folder / "bin" / "python"
        (self.packages,) = (folder / "lib").glob("python3*/site-packages")
        # A folder that a .pth file names has none of its own read: no editable backpack.
        for name in ("numpy", "dateutil", "six", "cv2"):
            found = importlib.util.find_spec(name)
            if found is not None and found.origin is not None:
                is_package = found.submodule_search_locations is not None
                self.behind(Path(found.origin).parents[1 if is_package else 0])

    def behind(self, folder: Path) -> None:
        """Put a folder at the end of the path."""
        with (self.packages / "behind.pth").open("a") as file:
            file.write(f"{folder}\n")

    def pip(self, *words: str | Path) -> None:
        """Run pip for it, without an index and without dependencies."""
        options = ["--disable-pip-version-check", "--python", str(self.python)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *options, *map(str, words)],
            env={**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_COMPILE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run its Python, and return what it says; no variable of the tests' reaches it."""
        plain = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BACKPACK_", "PYTHON"))
        }
        return subprocess.run(
            [str(self.python), *words],
            cwd=self.folder,
            env=plain,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def says(self, code: str, *options: str) -> str:
        """Run code that must end well, and return what it prints."""
        done = self.run(*options, "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Build ours, and fetch theirs from the index that pip is configured for."""
    folder = tmp_path_factory.mktemp("wheels")
    options = ["--no-deps", "--retries", "1", "--timeout", "15", "--disable-pip-version-check"]
    fetch = [sys.executable, "-m", "pip", "download", "-q", *options, "-d", str(folder)]
    done = subprocess.run(
        [*fetch, PREDECESSOR], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip says nothing"]
        pytest.skip(f"{PREDECESSOR} could not be fetched from the package index: {reason[0]}")
    (theirs,) = folder.glob("*.whl")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "ours")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (ours,) = (folder / "ours").glob("*.whl")
    return Wheels(ours, theirs)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Make an environment in which neither is installed."""
    return Environment(tmp_path / "environment")
