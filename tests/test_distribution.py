"""What is uploaded: complete, without what does not belong there, and readable on PyPI."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both distributions, the wheel from what the source distribution holds."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True, timeout=60)
    (source,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(source), "-C", str(folder)], check=True, timeout=60)
    unpacked = folder / source.name.removesuffix(".tar.gz")
    subprocess.run(
        [*build, "-t", "wheel"], cwd=unpacked, check=True, capture_output=True, timeout=60
    )
    return folder


def wheel_in(built: Path) -> zipfile.ZipFile:
    """Open the wheel."""
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def files_below(folder: Path, *, suffixes: tuple[str, ...] = ()) -> set[str]:
    """List what is in the repository below a folder, without what Python leaves there."""
    return {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and (not suffixes or path.suffix in suffixes)
    }


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    """Every module, the page's files, the mark of typed packages; no test."""
    with wheel_in(built) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == files_below(ROOT / "src" / "backpack")
    assert "backpack/py.typed" in names


def test_the_source_distribution_holds_what_the_tests_need(built: Path) -> None:
    """Tests, scripts, documents and examples, and nothing that a build or a run has left."""
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("src", "tests", "script", "docs", "examples", "benchmarks"):
        assert files_below(ROOT / folder, suffixes=(".py", ".md", ".js", "")) <= names, folder
    assert {"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "pyproject.toml"} <= names
    assert not [name for name in names if re.search(r"\.venv|__pycache__|\.pyc$|/dist/", name)]


def test_on_pypi_no_link_leads_nowhere(built: Path) -> None:
    """Of the files beside the README only their names are left."""
    with wheel_in(built) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(wheel.read(name).decode())
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert text.startswith("# SpyGlass\n")
    assert "docs/rtsp.md (in the source distribution)" in text
    assert all(link.startswith("https://") for link in links)
    assert "![" not in text
    assert "!The page" not in text
