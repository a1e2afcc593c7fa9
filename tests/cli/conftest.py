from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of red at ten frames a second, with sound."""
    path = tmp_path_factory.mktemp("clip") / "red clip.mp4"
    subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=322x242:r=10:d=2"),
            *("-f", "lavfi", "-i", "sine=duration=2", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
            *("-c:a", "aac", str(path)),
        ],
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    return path


def _make_environment(folder: Path, *, with_numpy: bool) -> str:
    venv.create(folder, with_pip=False, system_site_packages=False)
    python = folder / "bin" / "python"
    if with_numpy:
        # Numpy alone: the folder that it lies in may hold gi as well.
        packages = folder / "packages"
        packages.mkdir()
        home = Path(np.__file__).parent
        for found in (home, home.with_name("numpy.libs")):
            if found.exists():
                (packages / found.name).symlink_to(found)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        (folder / "lib" / version / "site-packages" / "packages.pth").write_text(f"{packages}\n")
    return str(python)


@pytest.fixture(scope="session")
def plain_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with numpy and nothing else: no gi."""
    return _make_environment(tmp_path_factory.mktemp("plain") / "venv", with_numpy=True)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with nothing at all."""
    return _make_environment(tmp_path_factory.mktemp("bare") / "venv", with_numpy=False)
