from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.output import KVSOutput
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

REGION = "us-east-1"


def output(**settings: Any) -> KVSOutput:
    """Make an output that nobody opens."""
    return KVSOutput(REGION, "door", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"fragment_seconds": 0.5},
        {"buffer_seconds": -5},
        {"buffer_seconds": 5.0, "fragment_seconds": 4.0},
        {"buffer_seconds": "abc"},
        {"buffer_bytes": 128},
        {"metadata": {"AWS": "x"}},
    ],
    ids=str,
)
def test_settings_that_would_lose_video_are_errors_of_the_constructor(
    settings: dict[str, Any],
) -> None:
    """They are not found out by the streaming process, nor only by what is missing."""
    with pytest.raises(SettingsError, match=next(iter(settings))):
        output(**settings)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (40, "They are in buffer_path"),
        (30, "30 of them are in buffer_path"),
        (0, "They are lost: buffer_path could not take them"),
    ],
)
def test_what_went_with_the_streaming_process_is_said_by_what_was_on_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stored: int, said: str
) -> None:
    """A buffer_path that could not be written to has kept nothing, and that is told."""
    output(buffer_path=tmp_path).on_worker_exit({"buffered_frames": 40, "frames_stored": stored})

    assert "40 frames" in caplog.text
    assert said in caplog.text


@pytest.mark.parametrize("producer", ["native", "kvssink"])
def test_what_went_with_the_streaming_process_is_lost_where_there_is_no_buffer_path(
    caplog: pytest.LogCaptureFixture, producer: str
) -> None:
    """And the log says what would have kept it."""
    output(producer=producer).on_worker_exit({"buffered_frames": 40})

    assert "They are lost; " in caplog.text
    assert "buffer_path=" in caplog.text
    assert ("native" in caplog.text) is (producer == "kvssink")
