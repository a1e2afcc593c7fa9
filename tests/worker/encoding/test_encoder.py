from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._media.h264 import COLOUR, has_b_slices, nal_types, read_sps
from backpack._worker.encoding.encoders import ENCODERS, find_spec
from backpack.errors import EncoderError
from tests.fakes import elements
from tests.pictures import COLOURS, START_NS, Recorder, decode, noise, patch, patches
from tests.waiting import open_descriptors, wait_for

if TYPE_CHECKING:
    from backpack._worker.encoding.encoders import EncoderSpec

IDR, SPS, PPS = 5, 7, 8

HEALTHY = ("x264enc", "openh264enc", "nvv4l2h264enc", "vah264enc", "v4l2h264enc")

pytestmark = pytest.mark.usefixtures("stand_ins")


def spec_of(name: str) -> EncoderSpec:
    """Give a row that is there."""
    spec = find_spec(name)
    assert spec is not None
    return spec


@pytest.fixture(params=HEALTHY)
def spec(request: pytest.FixtureRequest) -> EncoderSpec:
    """Give the row of each encoder that works, or stands in for one that does."""
    return spec_of(request.param)


def numbered(number: int) -> Any:
    """Make a frame that shows its number as sixteen black or white columns."""
    frame = np.zeros((96, 256, 3), np.uint8)
    for bit in range(16):
        frame[:, bit * 16 : bit * 16 + 16] = 255 * (number >> bit & 1)
    return frame


def number_in(frame: Any) -> int:
    """Read the number back."""
    return sum(int(frame[48, bit * 16 + 8, 1] > 128) << bit for bit in range(16))


def assert_patches(frame: Any, within: int = 3) -> None:
    """Check that every patch has its colour."""
    height, width = frame.shape[:2]
    for number, colour in enumerate(COLOURS):
        found = frame[patch(number, width, height, inner=True)].reshape(-1, 3).mean(axis=0)
        assert np.abs(found - colour).max() <= within, (colour, found)


@pytest.mark.parametrize("libyuv", [True, False])
def test_colours_come_out_as_they_were_put(spec: EncoderSpec, libyuv: bool) -> None:  # noqa: FBT001
    """A player sees every solid colour within three levels, at 720 lines too."""
    recorder = Recorder(spec, 1280, 720, libyuv=libyuv, bitrate_kbps=20_000)
    for number in range(4):
        recorder.put(patches(1280, 720), number)

    frames = decode(recorder.finish())

    assert len(frames) == 4
    # The quantiser of openh264 never gets finer than 12.
    within = 5 if spec.name == "openh264enc" else 3
    for _, frame in frames:
        assert_patches(frame, within)


@pytest.mark.parametrize("libyuv", [True, False])
@pytest.mark.parametrize("kind", ["bgra", "gray"])
def test_every_kind_of_pixels_comes_out_right(kind: str, libyuv: bool) -> None:  # noqa: FBT001
    """BGRA shows its colours, and gray from 0 to 255 all of its levels."""
    recorder = Recorder(spec_of("x264enc"), 640, 360, libyuv=libyuv, bitrate_kbps=10_000)
    frame = patches(640, 360)
    levels = [0, 255, 30, 60, 120, 180, 220, 128]
    if kind == "bgra":
        put = np.dstack([frame, np.zeros((360, 640), np.uint8)])
    else:
        put = np.zeros((360, 640), np.uint8)
        for number, level in enumerate(levels):
            put[patch(number, 640, 360)] = level
    recorder.put(np.ascontiguousarray(put), 0)

    ((_, seen),) = decode(recorder.finish())

    if kind == "bgra":
        assert_patches(seen)
        return
    for number, level in enumerate(levels):
        found = seen[patch(number, 640, 360, inner=True)].reshape(-1, 3).mean(axis=0)
        assert np.abs(found - level).max() <= 3, (level, found)


def test_the_stream_says_what_its_colours_mean(spec: EncoderSpec) -> None:
    """Every key frame says what players would guess otherwise, and claims no fixed rate."""
    recorder = Recorder(spec, 1280, 720)
    recorder.put(patches(1280, 720), 0)

    sps = read_sps(recorder.finish()[0].data)

    assert sps is not None
    assert sps.colour == COLOUR
    assert not sps.full_range
    assert not sps.has_fixed_rate
    assert (sps.profile, sps.width, sps.height) == (66, 1280, 720)


@pytest.mark.parametrize("decoder", ["avdec_h264", "openh264dec"])
def test_frames_keep_their_order_and_times(spec: EncoderSpec, decoder: str) -> None:
    """What is decoded shows each frame once, in order, with the time it was put at."""
    recorder = Recorder(spec, 256, 96, bitrate_kbps=4000)
    # Neither the nominal rate nor an even one.
    times = [number * 41 + (number % 3) * 5 for number in range(40)]
    for number, ms in enumerate(times):
        recorder.put(numbered(number * 1637), ms, fps=1000)

    frames = decode(recorder.finish(), decoder)

    assert [number_in(frame) for _, frame in frames] == [number * 1637 for number in range(40)]
    assert [picture.pts_ns for picture in recorder.pictures] == [
        START_NS + ms * 1_000_000 for ms in times
    ]


def test_key_frames_come_on_demand_alone(spec: EncoderSpec) -> None:
    """Only the first picture and those asked for are key frames, complete with SPS and PPS."""
    recorder = Recorder(spec, 256, 96)
    scene = [numbered(0), 255 - numbered(0)]
    for number in range(60):
        # Hard cuts, at which encoders like to make key frames of their own.
        recorder.put(scene[number // 10 % 2], number, key=number in (0, 23, 41))

    pictures = recorder.finish()

    assert [number for number, picture in enumerate(pictures) if picture.key] == [0, 23, 41]
    for number, picture in enumerate(pictures):
        types = nal_types(picture.data)
        assert (IDR in types) == picture.key
        assert {SPS, PPS} <= set(types) or not picture.key, number
        assert not has_b_slices(picture.data)


@pytest.mark.parametrize("name", ["x264enc", "openh264enc"])
def test_a_picture_comes_out_before_the_next_goes_in(name: str) -> None:
    """An encoder in software keeps no picture back."""
    recorder = Recorder(spec_of(name), 256, 96)
    came = threading.Semaphore(0)
    recorder.encoder._on_picture = lambda _: came.release()
    for number in range(5):
        recorder.put(numbered(number), number)
        assert came.acquire(timeout=20), number
    recorder.finish()


@pytest.mark.parametrize("true_fps", [3, 10, 30, 60])
@pytest.mark.parametrize(
    ("name", "nominal"),
    [
        ("x264enc", None),
        ("x264enc", 10.0),
        ("x264enc", 60.0),
        ("openh264enc", None),
        ("nvv4l2h264enc", None),
        ("v4l2h264enc", None),
    ],
)
def test_the_bit_rate_is_met_at_any_rate(name: str, nominal: float | None, true_fps: int) -> None:
    """Within a fifth of what was asked for, whatever rate was named."""
    seconds = 40 if true_fps < 30 else 12
    recorder = Recorder(spec_of(name), 320, 240, fps=nominal, bitrate_kbps=400)
    frames = noise(320, 240, 16)
    for number in range(seconds * true_fps):
        recorder.put(frames[number % 16], number, fps=true_fps)

    pictures = recorder.finish()

    # The rate is only known after some pictures.
    settled = [picture for picture in pictures if picture.pts_ns - START_NS > 4_000_000_000]
    kbps = sum(len(picture.data) for picture in settled) * 8 / 1000 / (seconds - 4)
    assert 320 < kbps < 480


def test_without_a_bit_rate_one_is_chosen() -> None:
    """The size and the true rate decide."""
    recorder = Recorder(spec_of("x264enc"), 1280, 720, fps=None)
    assert recorder.encoder.bitrate_kbps == 2500
    recorder.finish()


@pytest.mark.parametrize("libyuv", [True, False])
def test_another_size_is_scaled_with_bars(libyuv: bool) -> None:  # noqa: FBT001
    """A frame of another shape is shown whole, its aspect kept, between black bars."""
    recorder = Recorder(spec_of("x264enc"), 640, 360, libyuv=libyuv, bitrate_kbps=10_000)
    recorder.put(np.full((360, 640, 3), 200, np.uint8), 0)
    # A square: 360 by 360 in the middle.
    recorder.put(np.full((500, 500, 3), 200, np.uint8), 1)
    recorder.put(patches(320, 180), 2)

    frames = [frame for _, frame in decode(recorder.finish())]

    assert frames[0][180, 10, 0] > 190
    assert [int(frames[1][180, x, 0]) > 100 for x in (10, 130, 150, 320, 490, 510, 630)] == [
        False, False, True, True, True, False, False,
    ]  # fmt: skip
    assert_patches(frames[2], within=4)


@pytest.mark.parametrize("libyuv", [True, False])
def test_an_odd_pixel_is_cropped(libyuv: bool) -> None:  # noqa: FBT001
    """A frame of an odd size loses its last row and column, and nothing is scaled."""
    recorder = Recorder(spec_of("x264enc"), 321, 241, libyuv=libyuv, bitrate_kbps=20_000)
    frame = np.zeros((241, 321, 3), np.uint8)
    frame[:, ::2] = 255
    frame[:, 320] = 128
    recorder.put(frame, 0)

    ((_, seen),) = decode(recorder.finish())

    assert seen.shape == (240, 320, 3)
    columns = seen[:, :, 1].mean(axis=0)
    assert columns[::2].min() > 220
    assert columns[1::2].max() < 35


@pytest.mark.parametrize("libyuv", [True, False])
def test_rows_may_lie_apart(libyuv: bool) -> None:  # noqa: FBT001
    """The stride of the picture counts, not its width."""
    wide = np.full((360, 700, 3), 77, np.uint8)
    wide[:, :640] = patches(640, 360)
    recorder = Recorder(spec_of("x264enc"), 640, 360, libyuv=libyuv, bitrate_kbps=10_000)
    recorder.put(wide[:, :640], 0)

    ((_, seen),) = decode(recorder.finish())

    assert_patches(seen)


def test_a_torn_picture_is_thrown_away() -> None:
    """What changed while it was read never reaches the stream."""
    recorder = Recorder(spec_of("x264enc"), 256, 96)
    assert recorder.put(numbered(1), 0)
    assert not recorder.put(numbered(2), 1, still_valid=lambda: False)
    assert recorder.put(numbered(3), 2)

    frames = decode(recorder.finish())

    assert [number_in(frame) for _, frame in frames] == [1, 3]


def test_the_last_picture_can_be_repeated(spec: EncoderSpec) -> None:
    """A repeat shows what was last encoded, a torn picture not being that."""
    recorder = Recorder(spec, 256, 96, bitrate_kbps=4000)
    assert not recorder.encoder.repeat(START_NS, key=False)
    recorder.put(numbered(5), 1)
    recorder.put(numbered(6), 2, still_valid=lambda: False)
    assert recorder.encoder.repeat(START_NS + 100_000_000, key=True)
    recorder.put(numbered(7), 10)

    frames = decode(recorder.finish())

    assert [number_in(frame) for _, frame in frames] == [5, 5, 7]
    assert [picture.key for picture in recorder.pictures] == [True, True, False]


def test_an_encoder_that_dies_says_so_once() -> None:
    """The failure names the element and its message; from then on nothing is taken."""
    recorder = Recorder(spec_of("mpph264enc"), 256, 96)
    number = 0
    while recorder.put(numbered(number), number):
        number += 1
    assert recorder.failed.wait(20)
    recorder.encoder.close()

    (failure,) = recorder.failures
    assert isinstance(failure, EncoderError)
    assert "mpph264enc" in str(failure)
    assert "the hardware is gone" in str(failure)
    assert not recorder.put(numbered(1), number + 1)


@pytest.mark.parametrize("name", ["nvh264enc", "nvcudah264enc"])
@pytest.mark.parametrize("asks_first", [True, False])
def test_an_encoder_that_hangs_is_found_out(name: str, asks_first: bool) -> None:  # noqa: FBT001
    """Pictures go in and nothing comes out: that is told after about two seconds."""
    recorder = Recorder(spec_of(name), 256, 96)
    begin = time.monotonic()
    for number in range(10_000):
        if asks_first and not recorder.encoder.wait_until_ready(0.1):
            if recorder.failures:
                break
            continue
        if not recorder.put(numbered(number), number):
            break
    taken = time.monotonic() - begin
    elements.release.set()
    recorder.encoder.close()

    (failure,) = recorder.failures
    assert "hangs" in str(failure)
    assert taken >= 2


def test_an_encoder_that_cannot_be_set_up_raises() -> None:
    """A missing element is an EncoderError that says what is missing."""
    with pytest.raises(EncoderError, match="vtenc_h264_hw"):
        Recorder(spec_of("vtenc_h264_hw"), 256, 96)


def test_close_leaves_nothing_behind() -> None:
    """Threads and descriptors are as many as before, also after a second close."""
    Recorder(spec_of("x264enc"), 256, 96).finish()

    def tasks() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    gc.collect()
    # What earlier tests have left may go meanwhile, or stay for good.
    descriptors, threads, before = open_descriptors(), threading.active_count(), tasks()
    for _ in range(20):
        recorder = Recorder(spec_of("x264enc"), 256, 96)
        recorder.put(numbered(1), 0)
        recorder.finish()
        recorder.encoder.close()
        del recorder
    gc.collect()
    wait_for(lambda: open_descriptors() <= descriptors)
    wait_for(lambda: threading.active_count() <= threads)
    # GStreamer's idle threads end by themselves.
    wait_for(lambda: tasks() <= before + 2, 60)


def test_a_row_never_names_b_frames() -> None:
    """No row of the table asks for pictures that refer to later ones."""
    for row in ENCODERS:
        settings = dict(row.settings)
        for name in ("bframes", "b-frames", "max-bframes", "num-B-Frames"):
            assert settings.get(name, 0) == 0
