"""
Open the one door to GStreamer, or say in a paragraph what is missing.

Only the gst room imports ``gi``; everything else of the streaming process
takes the names from here, checked and initialised::

    from backpack._gst.gi import GLib, Gst

Importing this module scans GStreamer's registry, which takes seconds the
very first time on a machine and milliseconds from then on.

Raises:
    MissingDependencyError: PyGObject, GStreamer, its introspection data or
        its Python overrides are missing or too old.

"""

from __future__ import annotations

from typing import Final

from backpack._lib.packages import WATCHING, install_hint
from backpack.errors import MissingDependencyError

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gi.require_version("GstVideo", "1.0")
    from gi.repository import Gio, GLib, Gst, GstApp, GstVideo
# Of a PyGObject that was removed, files of other packages stay behind: the module
# can then be imported and has none of its names.
except (ImportError, ValueError, AttributeError) as _cause:
    _missing: Exception | None = _cause
else:
    _missing = None

__all__ = ["OLDEST_GSTREAMER", "GLib", "Gio", "Gst", "GstApp", "GstVideo", "gstreamer_version"]

OLDEST_GSTREAMER: Final = (1, 20)
"""What Ubuntu 22.04 ships; older ones are tried by nobody here."""

_NEEDED: Final = (
    f"Streaming needs GStreamer {OLDEST_GSTREAMER[0]}.{OLDEST_GSTREAMER[1]} or newer with its "
    "Python bindings, from the operating system and not from pip."
)
_DOCTOR: Final = (
    "The application itself may run under any other Python. `spyglass doctor` shows what is found "
    "and what is not."
)


def explain(what: str) -> str:
    """Return what is missing and, in a paragraph, how to install it."""
    # All that watching needs, so that one command is enough.
    return f"{what} {_NEEDED} {install_hint(features=WATCHING)}\n{_DOCTOR}"


def check_version(version: tuple[int, ...]) -> None:
    """Refuse a GStreamer that is older than `OLDEST_GSTREAMER`."""
    if version[:2] < OLDEST_GSTREAMER:
        found = ".".join(map(str, version))
        raise MissingDependencyError(explain(f"GStreamer {found} is too old."))


def gstreamer_version() -> str:
    """Return which GStreamer runs, for logs and ``spyglass doctor``."""
    return ".".join(map(str, Gst.version()[:3]))


def _start() -> None:
    """Initialise GStreamer, once; a second call does nothing."""
    # Without the overrides a mapped buffer is a copy, and writing into it
    # would change nothing that the encoder sees.
    if not hasattr(getattr(Gst, "MapInfo", None), "__enter__"):
        raise MissingDependencyError(
            explain("GStreamer's overrides for Python (package python3-gst-1.0) are missing.")
        )
    try:
        Gst.init_check(None)
    except GLib.Error as error:
        raise MissingDependencyError(explain(f"GStreamer does not start: {error}.")) from error
    check_version(Gst.version())


if _missing is not None:
    raise MissingDependencyError(explain(f"GStreamer cannot be loaded: {_missing}.")) from _missing
_start()
