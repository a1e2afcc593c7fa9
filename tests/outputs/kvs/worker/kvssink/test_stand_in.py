from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.kvssink import network

if TYPE_CHECKING:
    from tests.fakes.kvssink.build import Build

REFERENCE = Path(network.__file__).with_name("properties.txt")
TIME = re.compile(r"(Integer64\. Range: 0 - 18446744073709551615 Default: )\d+")
SIGNAL = re.compile(r'^(  "[\w-]+") +(:|->) .*\(.*')


def run(stand_in: Build, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of GStreamer's own tools, with the stand-in found as the real one is."""
    found = {
        "GST_PLUGIN_PATH": str(stand_in.plugins),
        "LD_LIBRARY_PATH": str(stand_in.libraries),
        "GST_REGISTRY": str(stand_in.plugins / "registry.bin"),
    }
    return subprocess.run(
        command,
        env={**os.environ, **found, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_is_described_as_the_real_one_is(stand_in: Build) -> None:
    """Properties, their types, ranges, defaults and flags, pads, caps and signals, word by word."""
    found = run(stand_in, "gst-inspect-1.0", "--no-colors", "kvssink").stdout
    # GStreamer 1.26's tool says of a sink that it is one.
    found = found.replace("Element Flags:\n  - SINK\n", "")
    lines = [line for line in found.splitlines() if not line.startswith("  Filename ")]
    reference = REFERENCE.read_text().splitlines()

    assert plain(lines) == plain(reference)


def plain(lines: list[str]) -> list[str]:
    """
    Give what is the same whenever an element was made, and whichever tool describes it.

    The time is the default of one property. How a signal's handler is declared in C, before
    its arguments, and how lines are indented depends on the tool.
    """
    bare = [SIGNAL.sub(r"\1", TIME.sub(r"\1", line)) for line in lines]
    return [" ".join(line.split()) for line in bare if line.strip()]


def test_without_its_libraries_it_is_not_there(stand_in: Build) -> None:
    """LD_LIBRARY_PATH is as needed as GST_PLUGIN_PATH."""
    registry = str(stand_in.plugins / "other.bin")
    for variables in ({"LD_LIBRARY_PATH": ""}, {"GST_PLUGIN_PATH": ""}):
        done = run(stand_in, "gst-inspect-1.0", "kvssink", GST_REGISTRY=registry, **variables)
        assert done.returncode != 0


def test_it_takes_no_byte_stream(stand_in: Build) -> None:
    """Caps as strict as the real one's."""
    pipeline = "fakesrc num-buffers=1 ! video/x-h264,stream-format=byte-stream,alignment=au,"
    pipeline += "width=320,height=240 ! kvssink"
    done = run(stand_in, "gst-launch-1.0", *pipeline.split())
    assert done.returncode != 0
    assert "could not link" in done.stderr


def expiry(seconds: float) -> str:
    """Write a time as the file has it."""
    at = dt.datetime.fromtimestamp(time.time() + seconds, dt.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("CREDENTIALS AKID SECRET", ""),
        ("CREDENTIALS\nAKID\tSECRET\n\n", ""),
        ("CREDENTIALS AKID {36} SECRET TOKEN", "TOKEN"),
        ("CREDENTIALS AKID {3600} SECRET " + "T" * 2000, "T" * 2000),
        ("CREDENTIALS AKID {3600} SECRET", None),
        ("CREDENTIALS AKID {20} SECRET TOKEN", None),
        ("CREDENTIALS AKID {-20} SECRET TOKEN", None),
        ("CREDENTIALS AKID 2099-11-22T09:13:50+00:00 SECRET TOKEN", None),
        ("CREDENTIALS AKID 2099-11-22T09:13:50.000Z SECRET TOKEN", None),
        ("CREDENTIALS AKID 4098990000 SECRET TOKEN", None),
        ("credentials AKID SECRET", None),
        ("[default]\naws_access_key_id=AKID\naws_secret_access_key=SECRET", None),
        ("CREDENTIALS AKID {3600} SECRET " + "T" * 2049, None),
        ("", None),
    ],
)
def test_the_credentials_file_has_one_form(text: str, token: str | None, tmp_path: Path) -> None:
    """What the real one took is taken, and what it refused is refused."""
    path = tmp_path / "credentials"
    path.write_text(re.sub(r"\{(-?\d+)\}", lambda found: expiry(float(found[1])), text))
    if token is None:
        with pytest.raises(network.Failed):
            network.read_file(str(path))
    else:
        key = network.read_file(str(path))
        assert (key.access, key.secret, key.token) == ("AKID", "SECRET", token)


def test_no_credentials_at_all(tmp_path: Path) -> None:
    """Said in its words."""
    with pytest.raises(network.Failed, match="Could not find any AWS credentials!"):
        network.read_file(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("property_", "environment", "expected"),
    [("PROPERTY", "ENVIRONMENT", "PROPERTY"), ("access_key", "ENVIRONMENT", "ENVIRONMENT"),
     ("access_key", "", "FILE")],
)  # fmt: skip
def test_the_order_of_credentials(
    property_: str, environment: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Properties beat the environment, which beats the file."""
    path = tmp_path / "credentials"
    path.write_text("CREDENTIALS FILE SECRET")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", environment)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    settings = {
        "access-key": property_,
        "secret-key": "SECRET",
        "session-token": "session_token",
        "credential-path": str(path),
    }
    assert network.read_key(settings).access == expected
