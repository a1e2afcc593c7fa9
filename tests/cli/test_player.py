from __future__ import annotations

import contextlib
import gc
import time
import wave
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._cli.failure import Failure
from backpack._cli.rtsp_source import RtspSource
from backpack._cli.run import EndOfSource
from backpack._cli.sources import CameraSource, FileSource
from backpack._cli.stop import StopRequest
from tests.waiting import open_descriptors, wait_for

if TYPE_CHECKING:
    from pathlib import Path


def _play(source: FileSource, count: int) -> list[Any]:
    frames: list[Any] = []
    try:
        while len(frames) < count:
            source.read(lambda frame: frames.append(frame.copy()), 0.1)
    except EndOfSource:
        pass
    finally:
        source.close()
    return frames


def test_a_file_gives_its_pictures_as_bgr_arrays(clip: Path) -> None:
    """Every picture arrives, in the right size and colour, also where rows are padded."""
    frames = _play(FileSource(str(clip), loop=False), 1000)

    # A busy machine may leave pictures out.
    assert 1 < len(frames) <= 20
    assert {frame.shape for frame in frames} == {(242, 322, 3)}
    blue, green, red = np.mean(frames[-1], axis=(0, 1))
    assert blue < 12
    assert green < 12
    assert red > 240


def test_a_file_plays_at_its_own_pace(clip: Path) -> None:
    """Two seconds of video take two seconds, and no less."""
    begin = time.monotonic()
    _play(FileSource(str(clip), loop=False), 1000)

    assert time.monotonic() - begin > 1.7


def test_a_looping_file_begins_again(clip: Path) -> None:
    """With loop=True the end of the file is not the end."""
    assert len(_play(FileSource(str(clip), loop=True), 25)) == 25


def test_playing_leaves_nothing_behind(clip: Path) -> None:
    """After a close the file is closed and the player forgotten; a second close does no harm."""
    _play(FileSource(str(clip), loop=False), 2)
    before = open_descriptors()
    players = []
    for _ in range(3):
        source = FileSource(str(clip), loop=False)
        players.append(weakref.ref(source._player))
        _play(source, 2)
        source.close()
    del source
    gc.collect()

    # GStreamer's threads let go of the last ones.
    wait_for(lambda: open_descriptors() <= before)
    assert [player() for player in players] == [None] * 3


def test_sound_is_not_decoded(clip: Path) -> None:
    """Nobody hears it, so it costs nothing."""
    source = FileSource(str(clip), loop=True)
    elements: list[Any] = []
    with contextlib.closing(source):
        for _ in range(3):
            source.read(lambda _: None, 30)
        source._player._pipeline.iterate_recurse().foreach(elements.append)
        kinds = [one.get_factory().get_metadata("klass") for one in elements]

    assert "Codec/Decoder/Video" in kinds
    assert not any("Decoder/Audio" in kind for kind in kinds)


def test_gstreamer_does_not_see_the_login_in_an_address() -> None:
    """GStreamer's messages show the address, so the login is handed over apart from it."""
    with StopRequest(None) as ending:
        source = RtspSource("rtsp://ann:p%40ss@host:554/door", None, print, ending)

    assert source._address == "rtsp://host:554/door"
    assert source._login == ("ann", "p@ss")


def _read_for_ever(source: CameraSource) -> None:
    while True:
        source.read(lambda _: None, 0.1)


def _text(path: Path) -> None:
    path.write_text("This is no video. " * 100)


def _nothing(path: Path) -> None:
    path.touch()


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(32000))


@pytest.mark.parametrize("make", [_text, _nothing, _sound])
def test_what_is_no_video_is_told(tmp_path: Path, make: Any) -> None:
    """A file without pictures is refused in one sentence that names it."""
    path = tmp_path / "clip"
    make(path)

    with pytest.raises(Failure, match=r"clip cannot be played: it (is|has) no video") as caught:
        _play(FileSource(str(path), loop=False), 1)

    assert "\n" not in str(caught.value)


def test_what_is_no_camera_is_told() -> None:
    """A device that is no camera is refused in one sentence that names it."""
    with (
        contextlib.closing(CameraSource("/dev/null")) as source,
        pytest.raises(Failure, match="camera /dev/null cannot be read"),
    ):
        _read_for_ever(source)
