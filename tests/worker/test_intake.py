from __future__ import annotations

import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._app.frame import ring_view
from backpack._app.timeline import Stamp
from backpack._ipc.ring import Ring, RingReader, RingWriter
from backpack._ipc.settings import PixelFormat, StreamSettings
from backpack._lib.timing import Backoff
from backpack._worker import encoder_choice as choice_module
from backpack._worker import feeder as feeder_module
from backpack._worker import intake as stream_module
from backpack._worker.cadence import KEY_INTERVAL_NS
from backpack._worker.encoding.encoders import ENCODERS, find_spec
from backpack._worker.intake import LOOK_INTERVAL_NS, Stream
from backpack.errors import EncoderError
from tests.waiting import open_descriptors, stays_true, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backpack._media.access_unit import AccessUnit
    from backpack.errors import BackpackError

SECOND = 1_000_000_000


class Viewer:
    """Be a reader of a hub that keeps what it gets."""

    def __init__(self, *, takes_repeats: bool = True) -> None:
        self.takes_repeats = takes_repeats
        self.units: list[AccessUnit] = []
        self.times: list[float] = []

    def push(self, unit: AccessUnit) -> None:
        """Keep a unit."""
        self.units.append(unit)
        self.times.append(time.monotonic())

    def on_lost(self, error: Exception) -> None:
        """Not expected."""
        raise AssertionError(error)

    def put_frames(self) -> list[AccessUnit]:
        """Give the units that are no repeats."""
        return [unit for unit in self.units if not unit.repeat]


class Rig:
    """A stream with a ring whose other end the test holds."""

    def __init__(self, **settings: Any) -> None:
        self.answers: list[BackpackError | None] = []
        self.passed_over: set[str] = set()
        self.news = 0
        self.stream = Stream(
            StreamSettings(**{"linger_seconds": 0.0, **settings}),
            passed_over=self.passed_over,
            on_ready=self.answers.append,
            on_stats_changed=self._count_news,
        )
        self.writer: RingWriter | None = None

    def _count_news(self) -> None:
        self.news += 1

    def put(self, value: int = 90, *, size: tuple[int, int] = (240, 320), **given: Any) -> int:
        """Write a frame as the application does."""
        frame = np.full((*size, 3), value, np.uint8)
        if self.writer is None or self.writer.ring.slot_bytes < frame.nbytes:
            number = 1
            if self.writer is not None:
                number = self.writer.next_number
                self.writer.close()
            self.writer = RingWriter(Ring(frame.nbytes), ring_view, np.copyto, number)
            ring = self.writer.ring
            self.stream.attach_ring(RingReader(os.dup(ring.memory_fd), os.dup(ring.wake_read_fd)))
            # Who comes in the middle of the intake's turn would be shown the placeholder.
            wait_for(lambda: self.stream._new_ring is None)
        now_ns = time.monotonic_ns() // 1000 * 1000 - given.get("age_ns", 0)
        stamp = Stamp(now_ns, time.time_ns(), given.get("epoch", 0))
        return self.writer.write(frame, PixelFormat.BGR, stamp)

    def watch(self, *, takes_repeats: bool = True) -> Viewer:
        """Come to watch."""
        viewer = Viewer(takes_repeats=takes_repeats)
        self.stream.hub.subscribe(viewer)
        return viewer

    def close(self) -> None:
        """End everything."""
        self.stream.close()
        if self.writer is not None:
            self.writer.close()


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give a stream that has found its encoder, and see that nothing of it stays."""
    # What GStreamer keeps for good is opened by the first encoder.
    warm = Rig()
    first = warm.watch()
    wait_for(lambda: first.units)
    warm.close()
    descriptors, threads = open_descriptors(), threading.active_count()
    made = Rig(**getattr(request, "param", {}))
    wait_for(lambda: made.answers)
    assert made.answers == [None]
    yield made
    made.close()
    made.stream.close()
    wait_for(lambda: threading.active_count() <= threads)
    wait_for(lambda: open_descriptors() <= descriptors)
    assert not threads_named("spyglass-intake")


def test_while_nobody_watches_there_is_no_encoder(rig: Rig) -> None:
    """Frames stay in the ring, which says that none are wanted; the thread sleeps."""
    for value in range(5):
        rig.put(value)
    assert rig.writer is not None
    assert stays_true(lambda: rig.stream._feeder._encoder is None, 0.3)
    assert not rig.writer.wanted
    assert rig.stream.numbers()["encoded"] == 0


@pytest.fixture
def long_look(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Want frames for snapshots until this is undone: a busy machine takes its time to look."""
    monkeypatch.setattr(stream_module, "LOOK_NS", 60 * SECOND)
    return monkeypatch


def test_for_snapshots_a_few_frames_are_put_and_none_encoded(
    rig: Rig, long_look: pytest.MonkeyPatch
) -> None:
    """For as long as they are asked for, and a moment longer."""
    rig.put()
    assert rig.writer is not None
    made: list[bytes | None] = []
    for number in range(3):
        rig.put(number)
        rig.stream.snapshot(64, made.append)
        wait_for(lambda expected=number + 1: len(made) == expected)
        # Said in the same turn of the intake, which may take longer than the snapshot.
        wait_for(lambda: rig.writer.wanted)  # type: ignore[union-attr]
        assert rig.writer.least_interval_ns == LOOK_INTERVAL_NS

    long_look.undo()
    rig.stream.snapshot(64, made.append)
    wait_for(lambda: len(made) == 4)
    wait_for(lambda: not rig.writer.wanted)  # type: ignore[union-attr]
    assert None not in made
    assert rig.stream.numbers()["encoded"] == 0
    assert rig.stream._feeder._encoder is None


@pytest.mark.usefixtures("long_look")
def test_snapshots_do_not_slow_a_viewer(rig: Rig) -> None:
    """Who watches has every frame, also while somebody else looks at some."""
    rig.put()
    assert rig.writer is not None
    rig.stream.snapshot(64, lambda _: None)
    wait_for(lambda: rig.writer.wanted)  # type: ignore[union-attr]
    viewer = rig.watch()
    wait_for(lambda: viewer.units)

    rig.stream.snapshot(64, lambda _: None)

    wait_for(lambda: not rig.writer.least_interval_ns)  # type: ignore[union-attr]
    assert rig.writer.wanted


def test_a_newcomer_gets_a_key_frame_at_once(rig: Rig) -> None:
    """Also without any frame: the placeholder says what the viewer waits for."""
    come = time.monotonic()
    viewer = rig.watch()
    unit = wait_for(lambda: viewer.units)[0]

    assert unit.key
    assert unit.repeat
    assert unit.number == 0
    assert viewer.times[0] - come < 2
    assert rig.stream.numbers()["width"] == 640


def test_a_second_viewer_gets_a_key_frame_at_once(rig: Rig) -> None:
    """The encoder that runs makes one for the second, of the last picture."""
    rig.put()
    first = rig.watch()
    wait_for(lambda: first.units)
    second = rig.watch()
    unit = wait_for(lambda: second.units)[0]

    assert unit.key
    assert unit.number == 1


def test_the_last_frame_is_what_a_newcomer_sees(rig: Rig) -> None:
    """A frame of a moment ago is shown as it was put; one of long ago as a repeat, now."""
    rig.put(age_ns=100_000_000)
    viewer = rig.watch()
    assert not wait_for(lambda: viewer.units)[0].repeat
    rig.stream.hub.unsubscribe(viewer)
    wait_for(lambda: not rig.stream.is_wanted)

    number = rig.put(age_ns=60 * SECOND)
    viewer = rig.watch()
    unit = wait_for(lambda: viewer.units)[0]
    assert unit.repeat
    assert unit.number == number
    assert time.monotonic_ns() - unit.pts_ns < 5 * SECOND


def test_put_frames_come_out_with_their_times(rig: Rig) -> None:
    """Each unit has its frame's number and times, and pts only grow."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    for value in range(20):
        number = rig.put(value * 10)
        wait_for(lambda number=number: viewer.units[-1].number == number)
    units = viewer.put_frames()

    assert [unit.number for unit in units] == list(range(1, 21))
    times = [unit.pts_ns for unit in viewer.units]
    assert times == sorted(set(times))
    for unit in units:
        offset_ns = unit.wall_ns - unit.pts_ns
        assert abs(offset_ns - (time.time_ns() - time.monotonic_ns())) < SECOND // 10
    # Counted once the encoder has it, which may be after the picture came out.
    wait_for(lambda: rig.stream.numbers()["encoded"] == 20)


def test_a_silent_application_is_repeated_once_a_second(rig: Rig) -> None:
    """Repeats are a second apart and carry the number of the frame that they show."""
    viewer = rig.watch()
    number = rig.put()
    wait_for(lambda: viewer.units and viewer.units[-1].number == number)
    # A new viewer is greeted with some quick ones first.
    wait_for(
        lambda: (
            len(viewer.units) > 1
            and viewer.units[-1].pts_ns - viewer.units[-2].pts_ns > 0.7 * SECOND
        )
    )
    repeats = [unit for unit in viewer.units if unit.number == number]
    gaps = [(b.pts_ns - a.pts_ns) / SECOND for a, b in itertools.pairwise(repeats)]

    assert [unit.repeat for unit in repeats] == [False, *[True] * (len(repeats) - 1)]
    # A key frame that was asked for may come sooner; a busy machine makes it later.
    assert 0.7 < gaps[-1] < 5
    wall = [(b.wall_ns - a.wall_ns) / SECOND for a, b in itertools.pairwise(repeats)]
    assert wall == pytest.approx(gaps, abs=0.001)


def test_what_follows_a_repeat_can_be_decoded_without_it(rig: Rig) -> None:
    """Where a reader refuses repeats the next put frame is a key frame."""
    viewer, recording = rig.watch(), rig.watch(takes_repeats=False)
    first = rig.put()
    wait_for(lambda: any(unit.number == first for unit in recording.units))
    wait_for(lambda: viewer.units[-1].repeat and viewer.units[-1].number == first)
    second = rig.put()
    wait_for(lambda: recording.units[-1].number == second)

    assert recording.units[-1].key
    assert not any(unit.repeat for unit in recording.units)


def test_without_such_a_reader_it_is_no_key_frame(rig: Rig) -> None:
    """Key frames cost bits: what follows a repeat is one only where that is needed or due."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    followers = []
    for _ in range(3):
        number = rig.put()
        wait_for(lambda number=number: viewer.units[-1].number == number)
        followers += [unit for unit in viewer.put_frames() if unit.number == number]
        wait_for(lambda: viewer.units[-1].repeat)

    assert not all(unit.key for unit in followers)


def test_key_frames_come_every_two_seconds(rig: Rig) -> None:
    """By elapsed time, not by count."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        number = rig.put()
        wait_for(lambda number=number: viewer.units[-1].number == number)
        time.sleep(0.03)
    units = list(viewer.units)
    # Not the placeholder's, nor that of the first frame, whose size makes a new encoder.
    places = [place for place, unit in enumerate(units) if unit.key][1:]
    assert len(places) > 1
    for before, after in itertools.pairwise(places):
        assert units[after].pts_ns - units[before].pts_ns >= KEY_INTERVAL_NS
        # However far apart frames are, it is the first one that is due.
        assert units[after - 1].pts_ns - units[before].pts_ns < KEY_INTERVAL_NS


def test_a_step_of_the_clock_makes_a_key_frame(rig: Rig) -> None:
    """The new epoch begins where decoding can start."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    for epoch in (0, 0, 1, 1):
        number = rig.put(epoch=epoch)
        wait_for(lambda number=number: viewer.units[-1].number == number)
    units = viewer.put_frames()

    assert units[2].key
    assert [unit.epoch for unit in units] == [0, 0, 1, 1]


def test_the_size_is_fixed_by_the_first_frame(rig: Rig) -> None:
    """The card gives way to it; later frames, of a larger ring as well, are scaled."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    for size in ((241, 321), (100, 100), (600, 800), (241, 321)):
        number = rig.put(size=size)
        wait_for(lambda number=number: viewer.units[-1].number == number)
        assert (rig.stream.numbers()["width"], rig.stream.numbers()["height"]) == (320, 240)
    assert len(viewer.put_frames()) == 4


@pytest.mark.parametrize("rig", [{"width": 640, "height": 480}], indirect=True)
def test_a_size_that_was_asked_for_holds(rig: Rig) -> None:
    """From the placeholder on."""
    viewer = rig.watch()
    rig.put()
    wait_for(viewer.put_frames)
    assert (rig.stream.numbers()["width"], rig.stream.numbers()["height"]) == (640, 480)


def test_torn_frames_are_not_encoded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that was overwritten while it was converted is thrown away, and counted."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    lost = rig.put() + 1
    wait_for(viewer.put_frames)
    real = RingReader.still_valid

    # Until the end: as long as nothing newer is put, it is tried again.
    def still_valid(self: RingReader, frame: Any) -> bool:
        return frame.number != lost and real(self, frame)

    monkeypatch.setattr(RingReader, "still_valid", still_valid)
    assert rig.put() == lost
    wait_for(lambda: rig.stream.numbers()["torn"])
    good = rig.put()
    wait_for(lambda: viewer.units[-1].number == good)
    assert lost not in {unit.number for unit in viewer.put_frames()}


def test_a_newcomer_whose_picture_is_torn_still_gets_one_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for is owed until it is there."""
    rig.put()
    real = RingReader.still_valid
    asked: list[int] = []

    def torn_twice(self: RingReader, frame: Any) -> bool:
        asked.append(frame.number)
        return len(asked) > 2 and real(self, frame)

    monkeypatch.setattr(RingReader, "still_valid", torn_twice)
    come = time.monotonic()
    viewer = rig.watch()
    unit = wait_for(lambda: viewer.units)[0]

    assert unit.key
    assert len(asked) == 3
    assert viewer.times[0] - come < 2


def test_a_key_frame_that_is_torn_is_made_of_the_next_frame(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for it does not have to ask again."""
    viewer = rig.watch()
    lost = rig.put() + 1
    wait_for(viewer.put_frames)
    spent_ns = rig.stream.hub._key_spent_ns or 0
    wait_for(lambda: time.monotonic_ns() > spent_ns)
    take, valid = RingReader.take, RingReader.still_valid
    torn: list[int] = []

    # Asked for in the intake's own turn: else a repeat may be made into the key frame.
    def take_and_ask(self: RingReader) -> Any:
        frame = take(self)
        if frame is not None and frame.number == lost and not torn:
            rig.stream.hub.request_key_frame()
        return frame

    def torn_once(self: RingReader, frame: Any) -> bool:
        torn.append(frame.number)
        return len(torn) > 1 and valid(self, frame)

    monkeypatch.setattr(RingReader, "take", take_and_ask)
    monkeypatch.setattr(RingReader, "still_valid", torn_once)
    assert rig.put() == lost
    wait_for(lambda: torn)
    number = rig.put()
    wait_for(lambda: viewer.units[-1].number == number)

    # What was under way before has an earlier number. The torn one is tried again itself
    # where that is sooner than the next.
    assert next(unit for unit in viewer.units if unit.number >= lost).key


def test_an_encoder_that_fails_is_passed_over(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one of the table goes on, with a key frame."""
    viewer = rig.watch()
    rig.put()
    wait_for(viewer.put_frames)
    first = rig.stream.numbers()["encoder"]
    make = feeder_module.Encoder
    before: list[int] = []

    # The old encoder is closed by then, and the new one has made no picture yet.
    def make_and_note(*arguments: Any, **options: Any) -> Any:
        before.append(len(viewer.units))
        return make(*arguments, **options)

    monkeypatch.setattr(feeder_module, "Encoder", make_and_note)
    rig.stream._note_failure(EncoderError("It has broken."))
    wait_for(lambda: rig.stream.numbers()["encoder"] not in (first, None))
    number = rig.put()
    wait_for(lambda: viewer.units[-1].number == number)

    assert rig.passed_over == {first}
    assert viewer.units[before[0]].key
    assert rig.stream.numbers()["error"] == "It has broken."


@pytest.mark.parametrize("rig", [{"encoder": "x264enc"}], indirect=True)
def test_an_encoder_that_was_asked_for_is_started_again(rig: Rig) -> None:
    """No other one takes its place."""
    viewer = rig.watch()
    rig.put()
    wait_for(viewer.put_frames)
    broken = rig.stream._feeder._encoder
    rig.stream._note_failure(EncoderError("It has broken."))
    # The old one may take a picture more before the intake hears of it.
    wait_for(lambda: rig.stream._feeder._encoder not in (broken, None))
    number = rig.put()
    wait_for(lambda: viewer.units[-1].number == number)
    assert rig.stream.numbers()["encoder"] == "x264enc"
    assert rig.passed_over == set()


def test_without_any_encoder_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What kept all of them from working may be over later."""
    spec = find_spec("x264enc")
    tries: list[int] = []

    def choose(*_: Any, **__: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise EncoderError("None works.")
        return spec

    monkeypatch.setattr(choice_module, "choose", choose)
    monkeypatch.setattr(choice_module, "Backoff", lambda *_: Backoff(0.05, 0.1))
    rig = Rig()
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    assert [type(one) for one in rig.answers] == [EncoderError, EncoderError, type(None)]
    rig.close()


def test_hardware_is_tried_for_the_first_frames_size_before_anybody_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first frame tells the size; later ones wake nobody up, and viewers do not wait."""
    hardware = next(spec for spec in ENCODERS if spec.hardware)
    sizes: list[tuple[int, int]] = []

    def choose(*_: Any, width: int, height: int) -> Any:
        sizes.append((width, height))
        # What passes for a small picture is too small for the real one.
        return find_spec("x264enc") if len(sizes) > 1 else hardware

    monkeypatch.setattr(choice_module, "choose", choose)
    rig = Rig()
    wait_for(lambda: rig.answers)
    assert rig.stream._choice.spec is hardware
    rig.put(size=(601, 800))
    wait_for(lambda: len(sizes) == 2)
    rig.put(size=(241, 321))
    assert stays_true(lambda: sizes == [(640, 360), (800, 600)], 0.3)
    assert rig.stream.numbers()["width"] == 0
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    assert rig.stream.numbers()["encoder"] == "x264enc"
    rig.close()


def test_a_stream_that_nobody_watches_has_no_rate(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures and bits a second are zero at once, and not those of the last viewer."""
    # Else they would also be zero once those pictures are old.
    monkeypatch.setattr("backpack._worker.encoding.meter._WINDOW_NS", 600 * SECOND)
    viewer = rig.watch()
    wait_for(lambda: rig.put() and rig.stream.numbers()["fps"] > 0)
    rig.stream.hub.unsubscribe(viewer)
    wait_for(lambda: not rig.stream.is_wanted and rig.stream.numbers()["encoder"] is None)
    wait_for(lambda: rig.stream.numbers()["fps"] == rig.stream.numbers()["bitrate_kbps"] == 0)


def test_the_end_delivers_what_was_put_before(rig: Rig) -> None:
    """The last frame comes out before the stream says that it has finished."""
    viewer = rig.watch()
    rig.put()
    wait_for(viewer.put_frames)
    for _ in range(5):
        number = rig.put()
    rig.stream.finish(5.0)
    wait_for(lambda: rig.stream.finished)
    assert viewer.units[-1].number == number


def test_the_end_delivers_to_whoever_came_since_the_last_turn(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end may come before the intake has seen that somebody watches."""
    number = rig.put()
    turned = threading.Event()
    monkeypatch.setattr(rig.stream, "_turn", turned.set)
    rig.stream._waker.wake()
    assert turned.wait(30)
    viewer = rig.watch()
    assert not rig.stream.is_wanted
    rig.stream.finish(5.0)
    wait_for(lambda: rig.stream.finished)
    assert [unit.number for unit in viewer.put_frames()] == [number]


def test_an_end_without_viewers_is_quick(rig: Rig) -> None:
    """Nothing is encoded for nobody."""
    rig.put()
    begun = time.monotonic()
    rig.stream.finish(5.0)
    rig.stream.join()
    assert time.monotonic() - begun < 3
    assert rig.stream.numbers()["encoded"] == 0


def test_after_the_last_viewer_the_encoder_goes(rig: Rig) -> None:
    """And the application is told that nobody watches; the next one finds everything again."""
    rig.put()
    assert rig.writer is not None
    for _ in range(3):
        viewer = rig.watch()
        wait_for(lambda viewer=viewer: viewer.units)
        wait_for(lambda: rig.writer and rig.writer.wanted)
        rig.stream.hub.unsubscribe(viewer)
        wait_for(lambda: not rig.writer or not rig.writer.wanted)
        wait_for(lambda: rig.stream.numbers()["encoder"] is None)


@pytest.mark.parametrize("rig", [{"linger_seconds": 0.6}], indirect=True)
def test_a_viewer_who_comes_back_finds_the_encoder_running(rig: Rig) -> None:
    """Encoding lingers after the last viewer, then it ends."""
    viewer = rig.watch()
    rig.put()
    wait_for(viewer.put_frames)
    encoder = rig.stream._feeder._encoder
    rig.stream.hub.unsubscribe(viewer)
    assert rig.stream.is_wanted
    again = rig.watch()
    wait_for(lambda: again.units)
    assert rig.stream._feeder._encoder is encoder
    rig.stream.hub.unsubscribe(again)
    wait_for(lambda: rig.stream._feeder._encoder is None)
    assert not rig.stream.is_wanted


def test_fewer_frames_can_be_asked_for(rig: Rig) -> None:
    """What the governor wants reaches the writer, in a new ring as well."""
    rig.put()
    rig.stream.ask_for(SECOND // 8)
    wait_for(lambda: rig.writer and rig.writer.least_interval_ns == SECOND // 8)
    rig.put(size=(600, 800))
    wait_for(lambda: rig.writer and rig.writer.least_interval_ns == SECOND // 8)
    rig.stream.ask_for(0)
    wait_for(lambda: rig.writer and rig.writer.least_interval_ns == 0)


def test_replaced_frames_are_counted(rig: Rig) -> None:
    """A frame that a newer one replaced before it was taken is not encoded, and told."""
    viewer = rig.watch()
    wait_for(lambda: viewer.units)
    for _ in range(200):
        number = rig.put()
    wait_for(lambda: viewer.units[-1].number == number)

    def fates() -> int:
        numbers = rig.stream.numbers()
        return int(numbers["encoded"] + numbers["replaced"])

    # Counted once the encoder has the last one, which may be after it came out.
    wait_for(lambda: fates() >= 200)
    assert fates() == 200
