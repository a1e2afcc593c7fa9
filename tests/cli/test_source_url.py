from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backpack._cli.failure import Failure
from backpack._cli.source_url import Kind, Origin, find_origin

if TYPE_CHECKING:
    from pathlib import Path


def test_each_kind_of_source_is_recognised(tmp_path: Path) -> None:
    """A file, a device, an RTSP address and the test picture are told apart."""
    file = tmp_path / "a clip.mp4"
    file.touch()

    assert find_origin(str(file)).kind is Kind.FILE
    assert find_origin(file.as_uri()) == Origin(Kind.FILE, str(file))
    assert find_origin("/dev/null").kind is Kind.CAMERA
    assert find_origin("rtsp://camera/door").kind is Kind.RTSP
    assert find_origin("RTSPS://camera/door").kind is Kind.RTSP
    assert find_origin("testsrc").kind is Kind.SCENE


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("no such file.mp4", 1, "no file"),
        ("/dev/video4711", 1, "no camera"),
        ("/", 1, "folder"),
        ("\0", 1, "no file"),
        ("http://host/clip.mp4", 2, "SOURCE is"),
        ("rtsp:///door", 2, "rtsp://host"),
        ("rtsp://host:many/door", 2, "rtsp://host"),
        ("rtsp://[::1/door", 2, "rtsp://host"),
    ],
)
def test_what_is_no_source_is_refused(source: str, status: int, words: str) -> None:
    """What cannot be read ends with 1, what can never be a source with 2."""
    with pytest.raises(Failure, match=words) as caught:
        find_origin(source)

    assert caught.value.status == status


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """A lack of permission is told before anything starts."""
    file = tmp_path / "clip.mp4"
    file.touch(0o000)

    with pytest.raises(Failure, match="may not be read"):
        find_origin(str(file))


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin(Kind.FILE, "/videos/Front door (1).mp4"), "Front_door_1"),
        (Origin(Kind.FILE, "ä.mp4"), "video"),
        (Origin(Kind.CAMERA, "/dev/video0"), "video0"),
        (Origin(Kind.RTSP, "rtsp://ann:secret@camera:554/main%20door/"), "main_door"),
        (Origin(Kind.RTSP, "rtsp://camera.local"), "camera_local"),
        (Origin(Kind.SCENE, "testsrc"), "testsrc"),
    ],
)
def test_the_name_of_a_source_fits_into_a_url(origin: Origin, name: str) -> None:
    """The default path is made of the source's name, without what URLs would escape."""
    assert origin.name == name


def test_a_source_is_shown_without_its_password() -> None:
    """What is shown of a source holds no password."""
    assert "secret" not in Origin(Kind.RTSP, "rtsp://ann:secret@camera/door").shown
