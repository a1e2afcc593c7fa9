"""
Tell, as JSON, what the Python that runs this has for streaming.

A program of its own, since that Python is often not the application's:
``boot.py backpack._cli.doctor_probe [encoders]``. It imports what may be missing or
broken, and so may crash; whoever starts it must expect that.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backpack._cli.doctor_needs import ALL_ELEMENTS, NAMESPACES
from backpack._registry import OUTPUTS
from backpack.errors import BackpackError

if TYPE_CHECKING:
    from collections.abc import Sequence

Facts = dict[str, Any]

_MODULES = [name for one in OUTPUTS for name in one.requires]


def main(arguments: Sequence[str]) -> int:
    """
    Print what is found.

    Args:
        arguments: ``encoders``: try each of them, which takes seconds.

    """
    # Plug-ins and drivers write to standard output what they like.
    answer = os.dup(1)
    os.dup2(2, 1)
    facts = _probe(with_encoders="encoders" in arguments)
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        json.dump(facts, file)
    # Destructors of drivers are where processes hang.
    os._exit(0)


def _probe(*, with_encoders: bool) -> Facts:
    facts: Facts = {
        "executable": sys.executable,
        "python": platform.python_version(),
        "numpy": _version_of("numpy"),
        "gi": None,
        "gstreamer": None,
        "error": None,
        "missing": [],
        "rtsp_server": None,
        "rtsp_error": None,
        "webrtc": False,
        "webrtc_error": None,
        "tls": False,
        "libyuv": None,
        **dict.fromkeys(_MODULES),
        "elements": {},
        "encoders": [],
    }
    try:
        _add_gstreamer(facts)
    except BackpackError as error:
        facts["error"] = str(error)
        facts["missing"] = _packages_behind(str(error), has_gi=facts["gi"] is not None)
        return facts
    _add_rtsp_server(facts)
    _add_webrtc(facts)
    facts["libyuv"] = _libyuv()
    facts |= {name: _version_of(name) for name in _MODULES}
    facts["elements"] = {element.name: _element(element.name) for element in ALL_ELEMENTS}
    if with_encoders:
        facts["encoders"] = _try_encoders()
    return facts


def _version_of(name: str) -> str | None:
    """Return a module's version if it can be imported."""
    try:
        return str(importlib.import_module(name).__version__)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it cannot be used
        return None


def _add_gstreamer(facts: Facts) -> None:
    try:
        door: Any = importlib.import_module("backpack._gst.gi")
    finally:
        facts["gi"] = getattr(sys.modules.get("gi"), "__version__", None)
    facts["gstreamer"] = door.gstreamer_version()
    facts["tls"] = bool(door.Gio.TlsBackend.get_default().supports_tls())


def _packages_behind(error: str, *, has_gi: bool) -> list[str]:
    if not has_gi:
        return ["python3-gi"]
    if "overrides" in error.partition(".")[0]:
        return ["python3-gst-1.0"]
    namespace = re.search(r"Namespace (\w+) not available", error)
    package = NAMESPACES.get(namespace.group(1)) if namespace else None
    return [package] if package else []


def _add_rtsp_server(facts: Facts) -> None:
    try:
        door: Any = importlib.import_module("backpack._gst.rtsp")
    except BackpackError as error:
        facts["rtsp_error"] = str(error).partition(" Install it:")[0]
        return
    # PyGObject loads the library when it is first used.
    door.GstRtspServer.RTSPServer.new()
    facts["rtsp_server"] = _loaded_version("libgstrtspserver-1.0")


def _add_webrtc(facts: Facts) -> None:
    try:
        importlib.import_module("backpack._gst.webrtc")
    except BackpackError as error:
        facts["webrtc_error"] = str(error).partition(" Install it:")[0]
    else:
        facts["webrtc"] = True


def _libyuv() -> str | None:
    from backpack._worker.encoding.colour import load_libyuv  # noqa: PLC0415 - its room needs GStreamer

    return None if load_libyuv() is None else _loaded_version("libyuv")


def _loaded_version(library: str) -> str:
    """Return the version of a loaded library that tells none but in its file's name."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        maps = ""
    version = re.search(rf"/{re.escape(library)}\.so\.(\S+)", maps)
    return version.group(1) if version else "found"


def _element(name: str) -> str | None:
    """Return the version of the plug-in that holds an element, None where there is none."""
    from backpack._gst.gi import Gst  # noqa: PLC0415 - may be missing

    factory = Gst.ElementFactory.find(name)
    if factory is None:
        return None
    plugin = factory.get_plugin()
    return plugin.get_version() if plugin is not None else "found"


def _try_encoders() -> list[Facts]:
    from backpack._gst import factory  # noqa: PLC0415
    from backpack._worker.encoding.encoders import ENCODERS  # noqa: PLC0415 - needs GStreamer
    from backpack._worker.encoding.trial import try_encoder  # noqa: PLC0415

    tried = []
    for spec in ENCODERS:
        reason, verdict = None, "missing"
        if factory.exists(spec.name):
            reason = try_encoder(spec)
            verdict = "works" if reason is None else "failed"
        tried.append(
            {
                "name": spec.name,
                "verdict": verdict,
                "reason": reason,
                "hardware": spec.hardware,
            }
        )
    return tried
