from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from backpack._cli.doctor import judge
from backpack._cli.doctor_needs import ALL_ELEMENTS
from backpack._cli.doctor_report import render
from backpack._worker.encoding.encoders import ENCODERS
from tests.cli.commands import environment, run


def test_the_doctor_finds_what_the_tests_run_with() -> None:
    """Where streaming works the doctor says so, names the encoder, and ends with 0."""
    done = run("doctor")

    assert done.process.returncode == 0
    assert "Streaming works here" in done.out[-1]
    text = "\n".join(done.out)
    assert all(spec.name in text for spec in ENCODERS)
    assert all(element.name in text for element in ALL_ELEMENTS)


def test_machines_get_the_same_as_json() -> None:
    """--json: versions, each element, and each encoder with a verdict that was found by trying."""
    done = run("doctor", "--json")
    facts = json.loads("\n".join(done.out))
    used = next(one for one in facts["pythons"] if one["path"] == facts["used"])
    verdicts = {one["name"]: one["verdict"] for one in used["encoders"]}

    assert facts["ok"] is True
    assert facts["problems"] == []
    assert used["gstreamer"].startswith("1.")
    assert used["rtsp_server"]
    assert set(verdicts) == {spec.name for spec in ENCODERS}
    assert set(verdicts.values()) <= {"works", "failed", "missing"}
    assert verdicts[facts["encoder"]] == "works"
    first = next(name for name, verdict in verdicts.items() if verdict == "works")
    assert facts["encoder"] == first


def test_another_python_does_where_this_one_has_no_gi(plain_python: str) -> None:
    """From an environment without gi, the system's Python is found and used."""
    done = run("doctor", "--json", python=plain_python)
    facts = json.loads("\n".join(done.out))

    assert done.process.returncode == 0
    assert facts["python"]["path"] == plain_python
    assert facts["used"] != plain_python


def test_a_wrong_backpack_python_is_told(plain_python: str) -> None:
    """Where BACKPACK_PYTHON has no gi the doctor fails, names it and one that would do."""
    done = run("doctor", env=environment(BACKPACK_PYTHON=plain_python))
    text = "\n".join(done.out)

    assert done.process.returncode == 1
    assert f"BACKPACK_PYTHON names {plain_python}" in text
    assert "No module named 'gi'" in text
    assert "Unset it" in text
    assert done.err == []


def test_a_backpack_python_that_is_none_is_told() -> None:
    """A path that cannot be started is a finding, not a crash."""
    done = run("doctor", env=environment(BACKPACK_PYTHON="/no/such/python"))

    assert done.process.returncode == 1
    assert "/no/such/python" in "\n".join(done.out)
    assert done.err == []


def test_the_doctor_runs_without_numpy(bare_python: str) -> None:
    """Numpy for the application is what is missing then."""
    done = run("doctor", python=bare_python)

    assert done.process.returncode == 1
    assert any("has no numpy" in line for line in done.out)


@pytest.fixture(scope="module")
def healthy() -> dict[str, Any]:
    """What the doctor finds where all is well."""
    facts: dict[str, Any] = json.loads("\n".join(run("doctor", "--json").out))
    facts["pythons"] = [one for one in facts["pythons"] if one["path"] == facts["used"]]
    return facts


@pytest.mark.parametrize(
    ("change", "problem", "package"),
    [
        ({"rtsp_server": None}, "RTSP server", "gir1.2-gst-rtsp-server-1.0"),
        ({"elements": {"h264parse": None}}, "h264parse", "gstreamer1.0-plugins-bad"),
        ({"elements": {"rtph264pay": None}}, "rtph264pay", "gstreamer1.0-plugins-good"),
        ({"encoder": None}, "No H.264 encoder", "gstreamer1.0-plugins-ugly"),
        ({"libyuv": None}, None, "libyuv0"),
        ({"webrtc": False, "webrtc_error": "nicesink is missing."}, None, "gstreamer1.0-nice"),
        ({"tls": False}, None, "glib-networking"),
        ({"elements": {"avdec_h264": None}}, None, "gstreamer1.0-libav"),
    ],
)
def test_what_is_missing_is_judged(
    healthy: dict[str, Any], change: dict[str, Any], problem: str | None, package: str
) -> None:
    """What the main job needs is a problem, the rest a remark; both get their package."""
    facts = copy.deepcopy(healthy)
    used = facts["pythons"][0]
    used["elements"].update(change.pop("elements", {}))
    facts |= {name: value for name, value in change.items() if name in facts}
    used |= {name: value for name, value in change.items() if name not in facts}

    verdict = judge(facts)

    assert verdict["ok"] is (problem is None)
    assert package in verdict["install"].split()
    said = verdict["problems"] if problem else verdict["remarks"]
    assert any((problem or "missing") in one for one in said)
    assert verdict["install"] in render(facts | verdict)


def test_where_there_is_nothing_everything_is_installed(healthy: dict[str, Any]) -> None:
    """Without any Python that has gi, one line installs all that streaming needs."""
    lost: dict[str, Any] = {"path": "/usr/bin/python3", "python": "3.11.2", "gstreamer": None}
    lost |= {"error": "No module named 'gi'.", "missing": ["python3-gi"], "encoders": []}
    facts = healthy | {"pythons": [lost], "used": None, "spare": None, "encoder": None}

    verdict = judge(facts)

    assert not verdict["ok"]
    assert {"python3-gi", "gstreamer1.0-plugins-ugly"} <= set(verdict["install"].split())
    assert "Streaming cannot run here." in render(facts | verdict)


def test_install_prints_nothing_but_the_command() -> None:
    """Where nothing is missing, standard output stays empty and the status is 0."""
    done = run("doctor", "--install")

    assert done.process.returncode == 0
    assert done.out == []
    assert "Nothing is missing" in done.err[0]
