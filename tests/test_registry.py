from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from backpack._registry import OUTPUTS, described_type, output_types, type_named, type_of_scheme
from backpack.errors import SettingsError
from tests.apps import SOURCE, start_app
from tests.cli.commands import environment, run

EXAMPLE = Path(__file__).parents[1] / "examples" / "discard_output"


def install(folder: Path, *, package: str = "spyglass_discard") -> Path:
    """Put a package with an output where installers put one, with its entry point."""
    shutil.copytree(EXAMPLE / "spyglass_discard", folder / "spyglass_discard")
    described = folder / "spyglass_discard-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Name: spyglass-discard\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[backpack.outputs]\ndiscard = {package}\n")
    return folder


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Give an environment in which the example is installed."""
    return environment(PYTHONPATH=f"{SOURCE}:{install(tmp_path)}")


def test_every_scheme_belongs_to_one_output() -> None:
    """And every name to one, which the streaming process finds again."""
    schemes = [scheme for one in OUTPUTS for scheme in one.schemes]
    assert len(schemes) == len(set(schemes))
    for one in OUTPUTS:
        assert type_named(one.name) is described_type({"kind": one.name}) is one
        assert all(type_of_scheme(scheme) is one for scheme in one.schemes)
    with pytest.raises(SettingsError, match="no output of the kind 'nothing'"):
        described_type({"kind": "nothing"})


def test_ports_are_those_of_their_schemes() -> None:
    """The one with TLS has another one."""
    rtsp = type_named("rtsp")
    assert (rtsp.port_of("rtsp"), rtsp.port_of("rtsps")) == (8554, 8322)
    assert not type_named("gstreamer").listens


def test_no_package_adds_an_output_here() -> None:
    """What the other tests see is what this project has."""
    assert output_types() == OUTPUTS


def test_an_output_of_another_package_streams_and_talks_with_the_application(
    installed: dict[str, str],
) -> None:
    """One folder and one entry point; the streaming process finds it though it sees no packages."""
    code = """
import sys, time
import numpy as np
from backpack import SpyGlass
with SpyGlass("discard://here", fps=30) as spyglass:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        spyglass.put(np.zeros((120, 160, 3), np.uint8))
        (told,) = spyglass.stats().outputs
        if told.get("units", 0) > 5 and told["greeting"]:
            break
        time.sleep(0.01)
    print(spyglass.urls(), told["kind"], told["name"], told["viewers"], told["greeting"])
    assert told["bytes"] > 100, spyglass.stats()
"""
    with start_app(code, env=installed) as app:
        out, err = app.communicate(timeout=100)
    assert app.returncode == 0, err
    assert out.strip() == "['discard://here'] discard here 1 {'answer': 'here'}"


def test_the_command_line_streams_to_outputs_of_other_packages(installed: dict[str, str]) -> None:
    """Its help names them, and `serve` takes their URLs."""
    assert "discard://" in "\n".join(run("serve", "--help", env=installed).out)
    served = run("serve", "testsrc", "discard://here", "--seconds", "3", "--json", env=installed)
    told = served.objects()
    assert told[0]["urls"] == ["discard://here"]
    assert told[-1]["viewers"] == 1
    assert told[-1]["bitrate_kbps"] > 0


def test_the_doctor_lists_outputs_of_other_packages(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """And says what is wrong with one that cannot be loaded."""
    (told,) = [one for one in doctor(installed)["outputs"] if one["package"]]
    assert told == {
        "name": "discard",
        "schemes": ["discard"],
        "package": "spyglass_discard",
        "error": None,
    }
    (tmp_path / "spyglass_discard" / "output.py").write_text("import nothing_of_this_name\n")
    (told,) = [one for one in doctor(installed)["outputs"] if one["package"]]
    assert "nothing_of_this_name" in told["error"]


def doctor(env: dict[str, str]) -> Any:
    """Ask the doctor."""
    return json.loads("\n".join(run("doctor", "--json", env=env).out))


def test_a_package_that_cannot_be_loaded_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Where its URL is used, not before."""
    folder = install(tmp_path, package="spyglass_nowhere")
    code = (
        "from backpack import SpyGlass; SpyGlass('rtsp://127.0.0.1:0/a'); SpyGlass('discard://x')"
    )
    with start_app(code, env=environment(PYTHONPATH=f"{SOURCE}:{folder}")) as app:
        _, err = app.communicate(timeout=60)
    assert err.splitlines()[-1].startswith(
        "backpack.errors.MissingDependencyError: discard:// is an output of the package "
        "'spyglass_nowhere', which cannot be loaded"
    )
