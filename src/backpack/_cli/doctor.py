"""Run ``spyglass doctor``: find out what is there, and judge whether streaming can run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from backpack._cli.doctor_advice import advice_for
from backpack._cli.doctor_conflicts import disturbing_variables, other_owners
from backpack._cli.doctor_install import install, install_line
from backpack._cli.doctor_needs import ALL_ELEMENTS
from backpack._cli.doctor_report import render
from backpack._cli.failure import CANNOT
from backpack._cli.other_python import ask_python
from backpack._gst.elements import ELEMENTS
from backpack._ipc.interpreter import candidates
from backpack._lib.packages import PACKAGES, packages_for
from backpack._outputs.kvs.worker.kvssink.probe import probe_element
from backpack._registry import OUTPUTS, output_types
from backpack._version import VERSION
from backpack.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from backpack._registry import OutputType

_PYTHON: Final = "BACKPACK_PYTHON"

_TRIALS_SECONDS: Final = 180.0

Facts = dict[str, Any]


def run(asked: argparse.Namespace) -> int:
    """
    Print what is found.

    Args:
        asked: What `backpack._cli.arguments` made of the command line.

    Returns:
        0 if streaming works here, else 1. With ``--install``: 0 if nothing is missing,
        or was installed.

    """
    facts = examine(asked.dotenv)
    if asked.install:
        return _install(facts, run_it=asked.yes)
    print(json.dumps(facts, indent=2) if asked.json else render(facts))
    return 0 if facts["ok"] else CANNOT


def _install(facts: Facts, *, run_it: bool) -> int:
    """Print the command that installs what is missing, or run it."""
    if not facts["packages"]:
        print("Nothing is missing that could be installed.", file=sys.stderr)
        return 0 if facts["ok"] else CANNOT
    if run_it:
        return install(facts["packages"])
    print(facts["install"])
    return CANNOT


def examine(dotenv_path: str | None = None) -> Facts:
    """
    Find everything out. Starts other Pythons, and tries each encoder: takes seconds.

    Args:
        dotenv_path: A `.env` that says where kvssink is.

    """
    pythons = [{"path": path, **_ask(path)} for path in candidates()]
    used = next((python for python in pythons if python["gstreamer"] is not None), None)
    if used is not None:
        used.update(ask_python(used["path"], "encoders", seconds=_TRIALS_SECONDS))
    spare = _spare() if used is None and os.environ.get(_PYTHON) else None
    facts: Facts = {
        "version": VERSION,
        "python": {
            "path": sys.executable,
            "version": platform.python_version(),
            "numpy": _numpy_here(),
            "botocore": _version_here("botocore"),
        },
        "pythons": pythons,
        "used": None if used is None else used["path"],
        "spare": spare,
        "encoder": _chosen(used),
        "advice": advice_for(used["encoders"]) if used is not None else {},
        "others": other_owners(),
        "variables": disturbing_variables(),
        "outputs": [_output(one) for one in output_types()],
        "kvssink": None if used is None else _kvssink(used["path"], dotenv_path),
    }
    return facts | judge(facts)


def _ask(path: str) -> Facts:
    answer = {"gstreamer": None, "python": None, "error": None, "encoders": [], **ask_python(path)}
    if answer["python"] is None:
        answer["python"] = _version_of(path)
    return answer


def _output(one: OutputType) -> Facts:
    """Return what is known of a type of output, and for other packages' whether it loads."""
    facts = {"name": one.name, "schemes": one.schemes, "package": one.package, "error": None}
    if one.folder:
        try:
            one.load("output")
        except Exception as error:  # noqa: BLE001 - another package's code
            facts["error"] = f"{type(error).__name__}: {error}"
    elif one.package:
        facts["error"] = f"there is no package {one.package}"
    return facts


def _spare() -> str | None:
    """Find a Python that would do if ``BACKPACK_PYTHON`` did not name another one."""
    return next((path for path in candidates({}) if _ask(path)["gstreamer"] is not None), None)


def _version_of(path: str) -> str | None:
    """Ask a Python that could not answer for its version: it may be too old."""
    try:
        done = subprocess.run(  # noqa: S603 - of the list of candidates, no shell
            [path, "-V"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = (done.stdout or done.stderr).decode(errors="replace").split()
    return words[1] if len(words) > 1 else None


def _numpy_here() -> str | None:
    try:
        import numpy as np  # noqa: PLC0415 - that it may be missing is the question
    except ImportError:
        return None
    return str(np.__version__)


def _version_here(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _kvssink(python: str, dotenv_path: str | None) -> Facts:
    try:
        return asdict(probe_element(dotenv_path=dotenv_path, python=python))
    except SettingsError as error:
        return {"found": False, "version": "", "path": "", "why": str(error)}


def _chosen(used: Facts | None) -> str | None:
    encoders = [] if used is None else used["encoders"]
    return next((each["name"] for each in encoders if each["verdict"] == "works"), None)


def judge(facts: Facts) -> Facts:
    """
    Return whether streaming can run, what keeps it, and what to install.

    Args:
        facts: What was found.

    Returns:
        ``ok``, ``problems`` that keep the main job from running, ``remarks``
        on what is only worse for it, ``install``: one line or None.

    """
    problems: list[str] = []
    remarks: list[str] = []
    packages: list[str] = []
    if facts["python"]["numpy"] is None:
        problems.append(
            f"{facts['python']['path']}, the application's Python, has no numpy: "
            "python -m pip install numpy"
        )
    used = next((python for python in facts["pythons"] if python["path"] == facts["used"]), None)
    if used is None:
        problems.append(_why_none(facts["pythons"], facts["spare"]))
        if facts["spare"] is None:
            packages += _packages_for_none(facts["pythons"])
    else:
        _judge_used(used, facts["encoder"], problems, remarks, packages)
    if any(variable["name"] == "BACKPACK_DISABLE" for variable in facts["variables"]):
        remarks.append("BACKPACK_DISABLE is set: a SpyGlass does nothing until it is unset.")
    remarks += [
        f"{other['name']} {other['version']}".strip()
        + f" is imported as `backpack`, too ({other['place']}). {other['remedy']}"
        for other in facts["others"]
    ]
    return {
        "ok": not problems,
        "problems": problems,
        "remarks": remarks,
        "packages": [package.debian for package in PACKAGES if package.debian in packages],
        "install": install_line(packages),
    }


def _why_none(pythons: list[Facts], spare: str | None) -> str:
    if os.environ.get(_PYTHON):
        remedy = f"Unset it: {spare} can." if spare else "Name one that has gi and GStreamer."
        named = f"{_PYTHON} names {pythons[0]['path']}"
        return f"{named}, which cannot run the streaming process. {remedy}"
    if not pythons:
        return "There is no Python to run the streaming process: install the system's python3."
    return "No Python here can run the streaming process: none has GStreamer."


def _packages_for_none(pythons: list[Facts]) -> list[str]:
    """Return the packages that one candidate lacks, or all where there is nothing at all."""
    missing = pythons[-1].get("missing", []) if pythons else []
    if missing and missing != ["python3-gi"]:
        return list(missing)
    return [package.debian for package in packages_for()]


def _judge_used(
    used: Facts, encoder: str | None, problems: list[str], remarks: list[str], packages: list[str]
) -> None:
    lacking = [each for each in ALL_ELEMENTS if not used["elements"].get(each.name)]
    for_outputs = {element for one in OUTPUTS for element in one.elements}
    required = [each for each in lacking if each.required or each.name in for_outputs]
    problems += [f"GStreamer's element {each.name} is missing." for each in required]
    packages += [each.package for each in required]
    if used["rtsp_server"] is None:
        problems.append(used["rtsp_error"] or "GStreamer's RTSP server library is missing.")
        packages.append("gir1.2-gst-rtsp-server-1.0")
    if used["error"] is not None:
        problems.append(f"Trying the encoders failed: {used['error']}")
    if encoder is None:
        problems.append("No H.264 encoder works here.")
        packages.append("gstreamer1.0-plugins-ugly")
    if used["libyuv"] is None:
        remarks.append("libyuv is missing: colours are converted several times as slowly.")
        packages.append("libyuv0")
    if not used["tls"]:
        remarks.append("glib-networking is missing: no rtsps:// cameras for `spyglass serve`.")
        packages.append("glib-networking")
    _judge_outputs(used, remarks, packages)
    if not used["webrtc"]:
        remarks.append(f"{used['webrtc_error']} The page works without it, over TCP.")
        packages += ["gir1.2-gst-plugins-bad-1.0", "gstreamer1.0-nice"]
    if used["numpy"] is None and used["path"] != sys.executable:
        remarks.append(f"{used['path']} has no numpy: `spyglass serve` reads no files there.")
        packages.append("python3-numpy")
    worse = [each for each in lacking if each not in ELEMENTS]
    remarks += [f"{each.name} is missing ({each.needed_for})." for each in worse]
    packages += [each.package for each in worse]


def _judge_outputs(used: Facts, remarks: list[str], packages: list[str]) -> None:
    for one in OUTPUTS:
        for module in one.requires:
            if not used[module]:
                urls = " and no ".join(f"{scheme}://" for scheme in one.schemes)
                what = "no page for the browser, " if one.page else ""
                remarks.append(f"{module} is missing: {what}no {urls}.")
                packages.append(f"python3-{module}")
