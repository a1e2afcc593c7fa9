from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backpack._cli.doctor_install import install_line
from backpack._cli.doctor_needs import ALL_ELEMENTS, NAMESPACES
from backpack._lib.packages import (
    FEATURES,
    PACKAGES,
    WATCHING,
    family_here,
    install_command,
    install_hint,
    names_of,
    packages_for,
)

ROOT = Path(__file__).parents[2]
DEBIAN_NAMES = {package.debian for package in PACKAGES}


@pytest.mark.parametrize("feature", FEATURES)
def test_each_way_of_watching_gets_what_all_need(feature: str) -> None:
    """PyGObject, GStreamer, a parser and an encoder are in every list, in both families."""
    debian = names_of(packages_for(feature), "debian")
    fedora = names_of(packages_for(feature), "fedora")

    assert {"python3-gi", "gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-ugly"} <= set(debian)
    assert {"python3-gobject", "gstreamer1-plugins-bad-free"} <= set(fedora)
    assert len(debian) == len(set(debian))
    assert len(fedora) == len(set(fedora))


def test_an_unknown_feature_is_refused() -> None:
    """The error lists those that there are."""
    with pytest.raises(ValueError, match="rtsp://"):
        packages_for("rtmp://")


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ID=debian\n", "debian"),
        ('ID=raspbian\nID_LIKE="debian"\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=fedora\n", "fedora"),
        ("ID=alpine\n", None),
        ("", None),
    ],
)
def test_distributions_are_known_by_their_kin(
    tmp_path: Path, text: str, family: str | None
) -> None:
    """ID and ID_LIKE of os-release(5) decide which names are used."""
    path = tmp_path / "os-release"
    path.write_text(text)

    assert family_here(path) == family


def test_a_machine_without_os_release_is_not_known(tmp_path: Path) -> None:
    """As on macOS."""
    assert family_here(tmp_path / "os-release") is None


def test_a_container_needs_no_sudo() -> None:
    """Root is told a command that does not begin with sudo: images have none."""
    libyuv = [package for package in PACKAGES if package.debian == "libyuv0"]

    assert install_command(libyuv, "debian", as_root=False) == "sudo apt install libyuv0"
    assert install_command(libyuv, "debian", as_root=True) == "apt install libyuv0"
    assert install_command(libyuv, "fedora", as_root=True) == "dnf install libyuv"


def test_one_hint_is_enough() -> None:
    """A hint for features holds all that these need, also what was not asked for by name."""
    hint = install_hint("libyuv0", features=["http://"])

    assert {"python3-gi", "python3-aiohttp"} <= set(hint.split())


def test_what_no_distribution_has_is_left_out_of_the_command() -> None:
    """Packages of boards' makers are named elsewhere."""
    line = install_line(["libyuv0", "NVIDIA JetPack", "libyuv0"])

    assert line is not None
    assert line.split()[-3:] == ["apt", "install", "libyuv0"]
    assert install_line(["NVIDIA JetPack"]) is None


def test_the_table_holds_what_the_doctor_asks_for() -> None:
    """What an element or a namespace comes from can be installed by the doctor's command."""
    # GStreamer's own library comes with each of its packages.
    asked = {
        each.package
        for each in ALL_ELEMENTS
        if each.required or each.needed_for.startswith("serve")
    }
    asked = (asked | set(NAMESPACES.values())) - {"libgstreamer1.0-0"}

    assert asked <= DEBIAN_NAMES


def test_the_table_runs_before_anything_is_installed() -> None:
    """As script/setup runs it: by a Python without this package, isolated."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "src/backpack/_lib/packages.py", "debian", "http://"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert done.stdout.split() == names_of(packages_for("http://"), "debian")


@pytest.mark.parametrize(
    ("path", "features"),
    [("README.md", WATCHING), ("examples/kvs_docker/Dockerfile", ("kvs://",))],
)
def test_documents_install_what_the_table_says(path: str, features: tuple[str, ...]) -> None:
    """A document's apt lines name neither more nor less than what its reader needs."""
    text = (ROOT / path).read_text()
    lines = re.findall(r"apt(?:-get)? install((?:[^\n]*\\\n)*[^\n]*)", text)
    words = " ".join(line.partition("&&")[0].partition("#")[0] for line in lines).split()
    named = {word for word in words if word.isascii() and word[0].isalpha()}

    # What its reader needs beside what the table is about.
    own = {"git", "python3", "python3-venv", "python3-pip", "python3-numpy", "python3-botocore"}
    assert named - own == set(names_of(packages_for(*features), "debian"))


def test_nothing_else_in_the_code_lists_packages() -> None:
    """No other file of the library has an apt or dnf command of its own."""
    found = [
        path
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"(apt|apt-get|dnf) install", path.read_text()) and path.name != "packages.py"
    ]

    assert found == []
