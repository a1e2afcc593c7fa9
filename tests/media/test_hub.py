from __future__ import annotations

import threading

import pytest

from backpack._media.access_unit import AccessUnit
from backpack._media.hub import KEY_FRAME_SPACING_NS, Hub

SECOND = 1_000_000_000


class Clock:
    """A clock that the test winds."""

    def __init__(self) -> None:
        self.now_ns = 100 * SECOND

    def __call__(self) -> int:
        """Tell the time."""
        return self.now_ns


class Collector:
    """A reader that keeps what it is given."""

    def __init__(self, *, takes_repeats: bool = True) -> None:
        self.takes_repeats = takes_repeats
        self.units: list[AccessUnit] = []
        self.lost: list[Exception] = []

    def push(self, unit: AccessUnit) -> None:
        """Keep it."""
        self.units.append(unit)

    def on_lost(self, error: Exception) -> None:
        """Keep it."""
        self.lost.append(error)

    @property
    def numbers(self) -> list[int]:
        """Give the numbers of what came."""
        return [unit.number for unit in self.units]


class Broken(Collector):
    """A reader that fails at its second unit."""

    def push(self, unit: AccessUnit) -> None:
        """Keep it, and fail at the second."""
        super().push(unit)
        if len(self.units) == 2:
            raise OSError("the disk is full")


class HopelesslyBroken(Broken):
    """A reader that cannot even be told."""

    def on_lost(self, error: Exception) -> None:
        """Keep it, and fail."""
        super().on_lost(error)
        raise RuntimeError("and again")


def unit(number: int, *, key: bool = False, repeat: bool = False) -> AccessUnit:
    """Make a unit by its number."""
    return AccessUnit(b"\0", key, number * 1000, number * 1000, number, repeat)


def test_every_reader_gets_every_unit_from_its_first_key_frame_on() -> None:
    """One unit that is published reaches all readers; a new viewer's first is a key frame."""
    hub = Hub()
    early, late = Collector(), Collector()

    hub.subscribe(early)
    hub.publish(unit(1, key=True))
    hub.publish(unit(2))
    hub.subscribe(late)
    hub.publish(unit(3))
    hub.publish(unit(4, key=True))
    hub.publish(unit(5))

    assert early.numbers == [1, 2, 3, 4, 5]
    assert late.numbers == [4, 5]
    assert hub.counters.published == 5
    assert hub.counters.delivered == 7
    assert hub.counters.withheld == 1


def test_attaching_twice_gives_one_place() -> None:
    """A reader that is attached already gets nothing twice."""
    hub = Hub()
    reader = Collector()

    hub.subscribe(reader)
    hub.subscribe(reader)
    hub.publish(unit(1, key=True))

    assert reader.numbers == [1]
    assert hub.subscriber_count == 1


def test_a_reader_that_has_left_gets_nothing() -> None:
    """Detaching ends delivery, and detaching a stranger does nothing."""
    hub = Hub()
    reader, other = Collector(), Collector()

    hub.subscribe(reader)
    hub.publish(unit(1, key=True))
    hub.unsubscribe(reader)
    hub.unsubscribe(other)
    hub.publish(unit(2))

    assert reader.numbers == [1]
    assert hub.subscriber_count == 0


def test_a_reader_that_raises_is_dropped_alone() -> None:
    """The failing reader hears of it once and gets no more; the others miss nothing."""
    hub = Hub()
    before, broken, after = Collector(), Broken(), Collector()
    for reader in (before, broken, after):
        hub.subscribe(reader)

    for number in range(1, 5):
        hub.publish(unit(number, key=number == 1))

    assert before.numbers == after.numbers == [1, 2, 3, 4]
    assert broken.numbers == [1, 2]
    assert [str(error) for error in broken.lost] == ["the disk is full"]
    assert hub.counters.failed_subscribers == 1
    assert hub.subscriber_count == 2


def test_a_reader_that_fails_at_being_told_harms_nobody() -> None:
    """Publishing goes on even if a dropped reader's own clean-up raises."""
    hub = Hub()
    broken, healthy = HopelesslyBroken(), Collector()
    hub.subscribe(broken)
    hub.subscribe(healthy)

    for number in range(1, 4):
        hub.publish(unit(number, key=number == 1))

    assert healthy.numbers == [1, 2, 3]
    assert len(broken.lost) == 1


def test_nobody_wants_a_stream_before_the_first_reader() -> None:
    """A stream is wanted from its first reader on, and no earlier."""
    clock = Clock()
    hub = Hub(clock_ns=clock)

    assert not hub.wanted(clock.now_ns)
    assert hub.wanted_until(clock.now_ns) is None

    hub.subscribe(Collector())

    assert hub.wanted(clock.now_ns)
    assert hub.wanted_until(clock.now_ns) is None


def test_a_stream_stays_wanted_for_a_while_after_the_last_reader_left() -> None:
    """The stream lingers exactly as long as it was told, and says until when."""
    clock = Clock()
    hub = Hub(linger_ns=5 * SECOND, clock_ns=clock)
    first, second = Collector(), Collector()
    hub.subscribe(first)
    hub.subscribe(second)
    hub.unsubscribe(first)
    assert hub.wanted_until(clock.now_ns) is None

    left_ns = clock.now_ns
    hub.unsubscribe(second)

    assert hub.wanted(left_ns + 5 * SECOND - 1)
    assert hub.wanted_until(left_ns) == left_ns + 5 * SECOND
    assert not hub.wanted(left_ns + 5 * SECOND)
    assert hub.wanted_until(left_ns + 5 * SECOND) is None


def test_a_reader_that_comes_back_ends_the_lingering() -> None:
    """Who comes back within the time finds the stream wanted without an end."""
    clock = Clock()
    hub = Hub(clock_ns=clock)
    reader = Collector()
    hub.subscribe(reader)
    hub.unsubscribe(reader)
    hub.subscribe(reader)

    assert hub.wanted(clock.now_ns + 3600 * SECOND)
    assert hub.wanted_until(clock.now_ns) is None


def test_the_last_reader_that_fails_leaves_like_any_other() -> None:
    """Lingering starts as well when the last reader was dropped."""
    clock = Clock()
    hub = Hub(clock_ns=clock)
    hub.subscribe(Broken())
    hub.publish(unit(1, key=True))
    hub.publish(unit(2))

    assert hub.wanted_until(clock.now_ns) == clock.now_ns + 5 * SECOND


def test_a_newcomer_asks_for_a_picture_and_a_key_frame_once() -> None:
    """Attaching asks for both, and each is taken once."""
    hub = Hub()
    hub.subscribe(Collector())

    assert hub.take_new_viewer()
    assert not hub.take_new_viewer()
    assert hub.take_key_request(0)
    assert not hub.take_key_request(10 * SECOND)


def test_a_reader_without_repeats_does_not_ask_for_a_repeat() -> None:
    """A recorder's arrival repeats no picture, but asks for a key frame."""
    hub = Hub()
    hub.subscribe(Collector(takes_repeats=False))

    assert not hub.take_new_viewer()
    assert hub.take_key_request(0)


def test_who_comes_right_after_somebody_else_gets_a_key_frame_at_once() -> None:
    """One key frame more than two a second may be made; the next waits, and its time is told."""
    hub = Hub()
    hub.subscribe(Collector())
    due = [hub.next_key_request_ns, hub.take_key_request(7 * SECOND), hub.next_key_request_ns]
    assert due == [0, True, None]

    hub.request_key_frame()
    assert hub.take_key_request(7 * SECOND + 1)
    hub.request_key_frame()
    due_ns = 7 * SECOND + KEY_FRAME_SPACING_NS

    assert hub.next_key_request_ns == due_ns
    assert not hub.take_key_request(due_ns - 1)
    assert hub.take_key_request(due_ns)
    assert hub.counters.key_frames_asked == 3


def test_many_requests_in_ten_seconds_make_one_and_twenty_key_frames() -> None:
    """However often it is asked for, two a second are made, and one more."""
    hub = Hub()
    hub.subscribe(Collector())
    made = 0

    for now_ns in range(0, 10 * SECOND, SECOND // 1000):
        hub.request_key_frame()
        made += hub.take_key_request(now_ns)

    assert made == 21


def test_a_key_frame_that_comes_anyway_answers_the_request() -> None:
    """A published key frame leaves nothing to ask for."""
    hub = Hub()
    hub.subscribe(Collector())

    hub.publish(unit(1, key=True))

    assert hub.next_key_request_ns is None


def test_without_readers_no_key_frame_is_asked_for() -> None:
    """What nobody would see is not made, nor kept for later."""
    hub = Hub()
    reader = Collector()
    hub.request_key_frame()
    hub.request_picture()
    hub.subscribe(reader)
    hub.unsubscribe(reader)

    assert hub.next_key_request_ns is None
    assert not hub.take_new_viewer()


def test_repeats_are_kept_from_readers_that_refuse_them() -> None:
    """A recorder gets put frames only, and goes on at a key frame after a repeat."""
    hub = Hub()
    viewer, recorder = Collector(), Collector(takes_repeats=False)
    hub.subscribe(viewer)
    hub.subscribe(recorder)

    hub.publish(unit(1, key=True))
    hub.publish(unit(1, repeat=True))
    hub.publish(unit(2))
    hub.publish(unit(3, key=True))
    hub.publish(unit(4))

    assert viewer.numbers == [1, 1, 2, 3, 4]
    assert recorder.numbers == [1, 3, 4]


def test_a_picture_that_cannot_be_decoded_asks_for_a_key_frame() -> None:
    """A reader that lacks a reference gets a key frame without asking itself."""
    hub = Hub()
    hub.subscribe(Collector(takes_repeats=False))
    hub.publish(unit(1, key=True))
    hub.publish(unit(1, repeat=True))
    assert hub.next_key_request_ns is None

    hub.publish(unit(2))

    assert hub.next_key_request_ns is not None


def test_a_repeated_key_frame_does_not_answer_a_recorder() -> None:
    """A key frame that a reader refuses leaves its request open."""
    hub = Hub()
    hub.subscribe(Collector(takes_repeats=False))

    hub.publish(unit(0, key=True, repeat=True))

    assert hub.next_key_request_ns == 0


def test_the_hub_knows_whether_somebody_refuses_repeats() -> None:
    """The intake hears whether the frame after a repeat must be a key frame."""
    hub = Hub()
    recorder = Collector(takes_repeats=False)
    told = []
    for reader in (Collector(), recorder):
        hub.subscribe(reader)
        told.append(hub.keeps_no_repeats)
    hub.unsubscribe(recorder)
    told.append(hub.keeps_no_repeats)

    assert told == [False, True, False]


def test_every_change_wakes_the_intake() -> None:
    """Coming, asking, leaving and failing wake the intake; asking again does not."""
    told: list[None] = []
    hub = Hub(on_change=lambda: told.append(None))
    reader = Collector()

    def wakes() -> int:
        count = len(told)
        told.clear()
        return count

    hub.subscribe(reader)
    assert wakes() == 1
    hub.request_key_frame()
    assert wakes() == 0
    hub.publish(unit(1, key=True))
    hub.request_key_frame()
    assert wakes() == 1
    hub.request_picture()
    assert wakes() == 1
    hub.unsubscribe(reader)
    assert wakes() == 1
    hub.subscribe(Broken())
    hub.publish(unit(2, key=True))
    told.clear()
    hub.publish(unit(3))
    assert wakes() == 1


def test_a_reader_may_call_the_hub_while_it_is_given_a_unit() -> None:
    """Publishing holds no lock: a reader may leave from within its own push."""
    hub = Hub()

    class Leaver(Collector):
        def push(self, unit: AccessUnit) -> None:
            super().push(unit)
            hub.request_key_frame()
            hub.unsubscribe(self)

    leaver, other = Leaver(), Collector()
    hub.subscribe(leaver)
    hub.subscribe(other)

    hub.publish(unit(1, key=True))
    hub.publish(unit(2))

    assert leaver.numbers == [1]
    assert other.numbers == [1, 2]


@pytest.mark.parametrize("repeat", [False, True])
def test_readers_come_and_go_from_many_threads_while_it_publishes(repeat: bool) -> None:  # noqa: FBT001
    """Whoever stays misses nothing, whoever comes and goes upsets nobody."""
    hub = Hub()
    steady = Collector()
    hub.subscribe(steady)
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            reader = Collector(takes_repeats=not repeat)
            hub.subscribe(reader)
            hub.request_key_frame()
            hub.unsubscribe(reader)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 2001):
        hub.publish(unit(number, key=number == 1))
    stop.set()
    for thread in threads:
        thread.join(10)

    assert steady.numbers == list(range(1, 2001))
    assert hub.subscriber_count == 1
