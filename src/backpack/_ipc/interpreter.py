"""Choose the Python that the streaming process runs under, and its environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3")

# What the streaming process is told of the application's environment. Conda,
# ROS and container images set PYTHONHOME, PYTHONPATH, LD_LIBRARY_PATH and
# LD_PRELOAD for the application's own Python; under another one each of them
# breaks the loading of libraries.
_KEPT = frozenset(
    {
        "BACKPACK_SANDBOX",
        "CUDA_VISIBLE_DEVICES",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LIBVA_DRIVER_NAME",
        "LIBVA_DRIVERS_PATH",
        "LOGNAME",
        "NVIDIA_DRIVER_CAPABILITIES",
        "NVIDIA_VISIBLE_DEVICES",
        "PATH",
        "SHELL",
        "TMPDIR",
        "TZ",
        "USER",
    }
)
_KEPT_PREFIXES = ("LC_", "XDG_")
_KEPT_GSTREAMER = frozenset(
    {
        "GST_DEBUG",
        "GST_DEBUG_DUMP_DOT_DIR",
        "GST_DEBUG_FILE",
        "GST_DEBUG_NO_COLOR",
        "GST_PLUGIN_PATH",
        "GST_REGISTRY",
    }
)


def candidates(environ: Mapping[str, str] = os.environ) -> list[str]:
    """
    List the Pythons to try, the best first.

    ``BACKPACK_PYTHON`` is the only one where it is set. Otherwise the
    application's own if it has `gi`, then those of the operating system.
    Nothing is imported or started to find out.
    """
    named = environ.get("BACKPACK_PYTHON")
    if named:
        return [shutil.which(named) or named]
    found = []
    if _is_python(sys.executable) and _has_gi():
        found.append(sys.executable)
    found += [path for path in _SYSTEM_PYTHONS if os.access(path, os.X_OK)]
    return list(dict.fromkeys(found))


def _is_python(executable: str | None) -> bool:
    """Return whether it is a Python, and no frozen application, which would start itself again."""
    name = Path(executable or "").name.lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def _has_gi() -> bool:
    try:
        return importlib.util.find_spec("gi") is not None
    except (ImportError, ValueError):
        # Somebody has put a thing of their own into sys.modules.
        return False


def boot_command(python: str, module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package under a Python."""
    boot = Path(__file__).with_name("boot.py")
    return [python, "-I", "-B", str(boot), module, *arguments]


def clean_environment(
    environ: Mapping[str, str] = os.environ, **changes: str | None
) -> dict[str, str]:
    """
    Rebuild the environment for the streaming process from an allow-list.

    Args:
        environ: The application's environment.
        changes: Variables to set; None leaves the variable as it is.

    """
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT or name in _KEPT_GSTREAMER or name.startswith(_KEPT_PREFIXES)
    }
    kept.setdefault("GST_DEBUG_NO_COLOR", "1")
    kept.update({name: value for name, value in changes.items() if value is not None})
    return kept
