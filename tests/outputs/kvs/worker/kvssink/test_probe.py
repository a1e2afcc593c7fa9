from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.kvssink.probe import probe_element
from backpack.errors import SettingsError
from tests.waiting import children, open_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.kvssink.build import Build


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = children(), open_descriptors()
    yield
    # Of earlier tests there may be one that is about to end.
    assert children() <= before[0]
    assert open_descriptors() <= before[1]


def test_found_by_a_dotenv(stand_in: Build, dotenv: Path) -> None:
    """Its version and its file."""
    found = probe_element(dotenv_path=os.fspath(dotenv))
    assert found.found
    assert found.version == "1.0"
    assert found.path == str(stand_in.plugins / "libgstkvssink.so")


def test_found_by_the_applications_environment(stand_in: Build) -> None:
    """Both variables of it reach the child, though the streaming process gets only one."""
    environ = {
        **os.environ,
        "GST_PLUGIN_PATH": str(stand_in.plugins),
        "LD_LIBRARY_PATH": str(stand_in.libraries),
    }
    assert probe_element(environ).found


def test_missing_with_the_reason(stand_in: Build, tmp_path: Path) -> None:
    """No variable, no file, no library, no GStreamer plugin: each is said."""
    assert "GST_PLUGIN_PATH is not set" in probe_element().why
    path = tmp_path / "other.env"

    path.write_text(f"GST_PLUGIN_PATH={tmp_path}")
    assert "names no folder that holds libgstkvssink.so" in probe_element(dotenv_path=str(path)).why
    path.write_text(f"GST_PLUGIN_PATH={stand_in.plugins}")
    assert "libkvsstandin.so" in probe_element(dotenv_path=str(path)).why
    (tmp_path / "libgstkvssink.so").write_bytes(
        (stand_in.libraries / "libkvsstandin.so").read_bytes()
    )
    path.write_text(f"GST_PLUGIN_PATH={tmp_path}")
    assert "does not take it" in probe_element(dotenv_path=str(path)).why


def test_a_python_that_cannot_say(tmp_path: Path) -> None:
    """One that is not there, ends at once, has no GStreamer, or hangs: told in time."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho no gi here >&2\nexit 5\n")
    script.chmod(0o700)
    assert probe_element(python=str(tmp_path / "none")).why
    assert "status 5: no gi here" in probe_element(python=str(script)).why

    script.write_text("#!/bin/sh\nexec sleep 60\n")
    began = time.monotonic()
    assert "within 0 s" in probe_element(python=str(script), seconds=0.3).why
    assert time.monotonic() - began < 30


def test_a_dotenv_that_cannot_be_read() -> None:
    """The caller decides what that means."""
    with pytest.raises(SettingsError, match="dotenv_path"):
        probe_element(dotenv_path="/nowhere/.env")
