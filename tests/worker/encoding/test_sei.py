from __future__ import annotations

import json
import subprocess

import pytest

from backpack._media.h264 import nal_types, read_sps
from backpack._worker.encoding.encoders import find_spec
from backpack._worker.encoding.sei import REPEAT, SEI_UUID, with_user_data
from tests.pictures import Recorder, patches

KEY = bytes.fromhex("00000001 0910 00000001 6742 00000001 68ce 000001 65b8")
DELTA = bytes.fromhex("00000001 41b8")


@pytest.mark.parametrize(("unit", "types"), [(KEY, [9, 7, 8, 6, 5]), (DELTA, [6, 1])])
def test_the_message_stands_before_the_first_slice(unit: bytes, types: list[int]) -> None:
    """Behind delimiter and parameter sets, and nothing else changes."""
    marked = with_user_data(unit, REPEAT)

    assert nal_types(marked) == types
    assert SEI_UUID + REPEAT + b"\x80" in marked
    begin = marked.index(b"\x00\x00\x00\x01\x06\x05")
    assert marked[:begin] + marked[begin + 7 + 16 + len(REPEAT) + 1 :] == unit


def test_data_without_a_picture_stays_as_it_is() -> None:
    """Parameter sets alone are no picture."""
    assert with_user_data(KEY[:18], REPEAT) == KEY[:18]


def test_a_message_that_is_too_long_is_refused() -> None:
    """Its length has one byte."""
    with pytest.raises(ValueError, match="238"):
        with_user_data(KEY, b"x" * 239)


def test_another_decoder_reads_the_message_and_the_picture() -> None:
    """User data of our kind is found by ffmpeg, which decodes as before."""
    spec = find_spec("x264enc")
    assert spec is not None
    recorder = Recorder(spec, 320, 240)
    recorder.put(patches(320, 240), 0)
    unit = recorder.finish()[0].data
    sps = read_sps(unit)
    assert sps is not None
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-f", "h264", "-show_frames", "-of", "json", "-"],
        input=with_user_data(unit, REPEAT),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    (frame,) = json.loads(done.stdout)["frames"]
    assert (frame["width"], frame["height"], frame["key_frame"]) == (320, 240, 1)
    kinds = [one["side_data_type"] for one in frame["side_data_list"]]
    assert any("User Data Unregistered" in kind for kind in kinds), kinds
