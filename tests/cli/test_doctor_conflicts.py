from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import backpack
from backpack._cli.doctor_conflicts import disturbing_variables, other_owners
from tests.cli.commands import environment

OURS = Path(backpack.__file__).parent


def _install(folder: Path, name: str, *, top_level: bool) -> None:
    """Lay a distribution out as pip does, with the package `backpack`."""
    (folder / "backpack").mkdir(parents=True)
    (folder / "backpack" / "__init__.py").write_text("HOMES = {}\n")
    info = folder / f"{name.replace('-', '_')}-0.3.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3.2\n")
    (info / "RECORD").write_text("backpack/__init__.py,,\n")
    if top_level:
        (info / "top_level.txt").write_text("backpack\n")


def test_a_distribution_with_our_import_name_is_found(tmp_path: Path) -> None:
    """It is named with its version and the command that removes it, whatever files it has."""
    for top_level in (True, False):
        folder = tmp_path / str(top_level)
        _install(folder, "other-backpack", top_level=top_level)

        (other,) = other_owners([str(folder)])

        assert (other["name"], other["version"]) == ("other-backpack", "0.3.2")
        assert "pip uninstall other-backpack" in other["remedy"]
        assert "again" not in other["remedy"]


def test_a_distribution_in_our_own_folder_took_files_along(tmp_path: Path) -> None:
    """Two that share a folder have overwritten each other: ours must be installed again."""
    _install(tmp_path, "backpack", top_level=True)

    (other,) = other_owners([str(tmp_path)], tmp_path / "backpack")

    assert "install backpack-spyglass again" in other["remedy"]


def test_a_folder_or_file_that_hides_us_is_found(tmp_path: Path) -> None:
    """A script named backpack.py beside the application is found as well."""
    (tmp_path / "backpack.py").touch()

    (other,) = other_owners([str(tmp_path)])

    assert other["place"] == str(tmp_path / "backpack.py")
    assert "Rename it" in other["remedy"]


def test_we_are_no_conflict_with_ourselves(tmp_path: Path) -> None:
    """Our own folder and our own distribution are passed over, however they are installed."""
    _install(tmp_path, "backpack_spyglass", top_level=False)

    assert other_owners([str(OURS.parent)]) == []
    assert other_owners([str(tmp_path)], tmp_path / "backpack") == []


def test_the_doctor_warns_of_another_backpack(tmp_path: Path) -> None:
    """The report names it, and the remedy, and does not fail for it alone."""
    _install(tmp_path, "other-backpack", top_level=True)
    path = f"{OURS.parent}:{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-m", "backpack._cli", "doctor"],
        env=environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "warning other-backpack" in done.stdout
    assert "pip uninstall other-backpack" in done.stdout


def test_panorama_backpack_is_no_conflict_unless_it_took_a_file_of_ours(tmp_path: Path) -> None:
    """Whether it overwrote it as it came or removed it as it went, one command mends it."""
    _install(tmp_path, "panorama-backpack", top_level=True)
    ours = tmp_path / "backpack"
    assert other_owners([str(tmp_path)], ours) == []

    for spoil in (lambda: (ours / "__init__.py").write_text("''"), (ours / "__init__.py").unlink):
        spoil()
        (other,) = other_owners([str(tmp_path)], ours)
        assert other["name"] == "panorama-backpack"
        assert "--force-reinstall --no-deps backpack-spyglass" in other["remedy"]


def test_variables_that_change_what_is_found_are_named() -> None:
    """Each that is set is told with what becomes of it; others are not."""
    found = disturbing_variables({"CONDA_PREFIX": "/conda", "LD_PRELOAD": "", "HOME": "/root"})

    assert [one["name"] for one in found] == ["CONDA_PREFIX"]
