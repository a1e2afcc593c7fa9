"""
List the packages of the operating system that streaming needs, for each way of watching.

The only list. Error messages, ``spyglass doctor``, ``script/setup`` and the
documentation take theirs from here. It imports the standard library alone, so
that it also runs as a program before anything is installed::

    python3 -I src/backpack/packages.py [debian|fedora] [FEATURE ...]
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

READING: Final = "serve"
"""The feature of ``spyglass serve``: reading files, cameras and streams."""

WATCHING: Final = ("http://", "WebRTC", "rtsp://", "rtsps://")
"""The ways to watch over a network, without any cloud."""

FEATURES: Final = (*WATCHING, "kvs://", READING)

_ALL: Final = frozenset(FEATURES)
_RTSP: Final = frozenset({"rtsp://", "rtsps://"})
_PAGE: Final = frozenset({"http://", "WebRTC"})


@dataclass(frozen=True)
class Package:
    """
    One package of the operating system.

    Attributes:
        debian: Its name in Debian, Ubuntu, Raspberry Pi OS and JetPack.
        fedora: The name of its counterpart in Fedora.
        holds: What it is installed for.
        features: The ways of watching that need it, of `FEATURES`.

    """

    debian: str
    fedora: str
    holds: str
    features: frozenset[str]


PACKAGES: Final = (
    Package("python3-gi", "python3-gobject", "PyGObject", _ALL),
    Package("python3-gst-1.0", "python3-gstreamer1", "GStreamer's overrides for Python", _ALL),
    Package("gir1.2-gstreamer-1.0", "gstreamer1", "GStreamer", _ALL),
    Package(
        "gir1.2-gst-plugins-base-1.0",
        "gstreamer1-plugins-base",
        "appsrc, appsink and video for Python",
        _ALL,
    ),
    Package("gstreamer1.0-plugins-base", "gstreamer1-plugins-base", "conversion", _ALL),
    Package(
        "gstreamer1.0-plugins-good",
        "gstreamer1-plugins-good",
        "RTP, JPEG, cameras",
        _ALL - {"kvs://"},
    ),
    Package("gstreamer1.0-plugins-bad", "gstreamer1-plugins-bad-free", "H.264 parsing", _ALL),
    # Fedora itself has no x264; with RPM Fusion: gstreamer1-plugins-ugly.
    Package("gstreamer1.0-plugins-ugly", "gstreamer1-plugin-openh264", "an encoder", _ALL),
    Package("libyuv0", "libyuv", "fast colour conversion", _ALL),
    Package(
        "gir1.2-gst-rtsp-server-1.0", "gstreamer1-rtsp-server", "GStreamer's RTSP server", _RTSP
    ),
    Package("glib-networking", "glib-networking", "TLS for cameras", frozenset({READING})),
    Package("python3-aiohttp", "python3-aiohttp", "the web server", _PAGE),
    Package(
        "gstreamer1.0-nice", "libnice-gstreamer1", "ICE, how WebRTC connects", frozenset({"WebRTC"})
    ),
    Package(
        "gir1.2-gst-plugins-bad-1.0",
        "gstreamer1-plugins-bad-free",
        "WebRTC for Python",
        frozenset({"WebRTC"}),
    ),
    Package("ca-certificates", "ca-certificates", "AWS's certificates", frozenset({"kvs://"})),
    Package("python3-h11", "python3-h11", "HTTP for uploads to AWS", frozenset({"kvs://"})),
    Package("python3-numpy", "python3-numpy", "numpy for `spyglass serve`", frozenset({READING})),
    Package("gstreamer1.0-libav", "gstreamer1-plugin-libav", "decoders", frozenset({READING})),
)

_COMMANDS: Final = {"debian": "apt install", "fedora": "dnf install"}
_WHERE: Final = {"debian": "On Debian, Ubuntu and Raspberry Pi OS", "fedora": "On Fedora"}


def packages_for(*features: str) -> list[Package]:
    """
    Return what the given features need together, in the order of the table.

    Args:
        features: Of `FEATURES`. None: all of them.

    Raises:
        ValueError: One is not in `FEATURES`.

    """
    unknown = set(features) - _ALL
    if unknown:
        raise ValueError(f"unknown features {sorted(unknown)}; there are {', '.join(FEATURES)}.")
    wanted = set(features or FEATURES)
    return [package for package in PACKAGES if package.features & wanted]


def names_of(packages: Iterable[Package], family: str) -> list[str]:
    """Return the names of packages in one family of distributions, each once."""
    return list(dict.fromkeys(getattr(package, family) for package in packages))


def family_here(os_release: Path = Path("/etc/os-release")) -> str | None:
    """Return ``debian`` or ``fedora``, whichever this machine's distribution is like, or None."""
    try:
        lines = os_release.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    values = dict(line.partition("=")[::2] for line in lines)
    words = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").split()
    if {"debian", "ubuntu"} & set(words):
        return "debian"
    return "fedora" if {"fedora", "rhel", "centos"} & set(words) else None


def install_command(packages: Iterable[Package], family: str, *, as_root: bool) -> str:
    """
    Return the one line that installs packages.

    Args:
        packages: What is to be installed.
        family: ``debian`` or ``fedora``.
        as_root: Whether whoever runs it is root already: containers have no sudo.

    """
    sudo = "" if as_root else "sudo "
    return f"{sudo}{_COMMANDS[family]} {' '.join(names_of(packages, family))}"


def install_hint(*debian_names: str, features: Iterable[str] = ()) -> str:
    """
    Return how packages are installed on this machine, for the end of an error message.

    Args:
        debian_names: Packages by their names in Debian.
        features: More: all that these need.

    """
    wanted = [*features]
    packages = [package for package in PACKAGES if package.debian in debian_names]
    packages += packages_for(*wanted) if wanted else []
    as_root = os.geteuid() == 0
    here = family_here()
    if here is not None:
        return f"Install it: {install_command(packages, here, as_root=as_root)}"
    return " ".join(
        f"{where}: {install_command(packages, family, as_root=as_root)}"
        for family, where in _WHERE.items()
    )


def _main(arguments: list[str]) -> int:
    family, features = "debian", arguments
    if arguments and arguments[0] in _COMMANDS:
        family, *features = arguments
    sys.stdout.write(" ".join(names_of(packages_for(*features), family)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
