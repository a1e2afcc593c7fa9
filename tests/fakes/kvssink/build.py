"""Compile the stand-in of kvssink, as somebody has compiled the real one: into two folders."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Build", "build"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Build:
    """
    Where the stand-in lies.

    Attributes:
        plugins: For GST_PLUGIN_PATH.
        libraries: For LD_LIBRARY_PATH; the plugin does not load without.

    """

    plugins: Path
    libraries: Path

    @property
    def dotenv(self) -> str:
        """Write the `.env` that leads to it."""
        return f'GST_PLUGIN_PATH="{self.plugins}"\nLD_LIBRARY_PATH="{self.libraries}"\n'


def build(folder: Path) -> Build:
    """Compile it into a folder."""
    made = Build(folder / "build", folder / "open-source" / "local" / "lib")
    for one in (made.plugins, made.libraries):
        one.mkdir(parents=True)
    network = [f'-DPYTHON="{sys.executable}"', f'-DNETWORK="{HERE / "network.py"}"']
    _compile("standin.c", made.libraries / "libkvsstandin.so", *network, modules=["glib-2.0"])
    _compile(
        "gstkvssink.c",
        made.plugins / "libgstkvssink.so",
        *(f"-L{made.libraries}", "-lkvsstandin"),
        modules=["gstreamer-1.0", "gstreamer-base-1.0"],
    )
    return made


def _compile(source: str, target: Path, *options: str, modules: list[str]) -> None:
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", *modules], check=True, capture_output=True, text=True
    ).stdout.split()
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    command += ["-o", os.fspath(target), os.fspath(HERE / source), *options, *flags]
    subprocess.run(command, check=True)
