from __future__ import annotations

from typing import Any

import pytest

from backpack._app.output import OutputOptions, as_output, mask
from backpack._outputs.serving.output import ServedOutput
from backpack.errors import SettingsError
from backpack.push import GstSink


def made(given: object) -> Any:
    """Make an output."""
    return as_output(given, OutputOptions())


def test_an_output_is_taken_as_it_is() -> None:
    """An object that describes an output is the output."""
    sink = GstSink("fakesink")
    assert made(sink) is sink


def test_a_url_makes_the_output_of_its_scheme() -> None:
    """rtsp:// listens."""
    output = made("rtsp://127.0.0.1:8571/door")
    assert isinstance(output, ServedOutput)
    assert output.urls() == ["rtsp://127.0.0.1:8571/door"]
    assert isinstance(made("RTSP://localhost:8571/other"), ServedOutput)


@pytest.mark.parametrize("given", [None, 5, GstSink, object(), b"rtsp://127.0.0.1/x"])
def test_what_is_no_output_is_refused(given: object) -> None:
    """The error says what can be given."""
    with pytest.raises(SettingsError, match="no output"):
        made(given)


@pytest.mark.parametrize("url", ["", "door", "ftp://host/x", "/dev/video0", "rtmp://u:pw@host/x"])
def test_an_unknown_scheme_is_refused(url: str) -> None:
    """The error names those that there are, and no password."""
    with pytest.raises(SettingsError, match=r"rtsp://.*GstSink") as caught:
        made(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:secret@host:8554/door", "rtsp://user:***@host:8554/door"),
        ("rtsp://user:se@cret@host/door", "rtsp://user:***@host/door"),
        ("rtsp://user:se/cret@host/door", "rtsp://user:***@host/door"),
        ("rtsp://user@host/door", "rtsp://user:***@host/door"),
        ("rtsp://host/door", "rtsp://host/door"),
        ("door", "door"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    """What goes into logs and errors holds no password."""
    assert mask(url) == shown
