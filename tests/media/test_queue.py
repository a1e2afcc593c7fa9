from __future__ import annotations

import threading

from backpack._media.access_unit import AccessUnit
from backpack._media.queue import DropPolicy, UnitQueue


def unit(number: int, *, key: bool = False, size: int = 1) -> AccessUnit:
    """Make a unit by its number."""
    return AccessUnit(bytes(size), key, number * 1000, number * 1000, number)


def numbers(queue: UnitQueue) -> list[int]:
    """Empty a queue, and give the numbers of what was in it."""
    found = []
    while (got := queue.get(0)) is not None:
        found.append(got.number)
    return found


def test_a_full_queue_loses_all_until_the_next_key_frame() -> None:
    """Full means to skip to a key frame, and to count every unit lost."""
    queue = UnitQueue(DropPolicy(max_units=2))

    assert [queue.put(unit(1, key=True)), queue.put(unit(2)), queue.put(unit(3))] == [
        True,
        True,
        False,
    ]
    assert numbers(queue) == [1, 2]
    # There is room again, but 4 refers to 3.
    assert not queue.put(unit(4))
    assert queue.put(unit(5, key=True))
    assert queue.put(unit(6))

    assert numbers(queue) == [5, 6]
    assert queue.lost == 2


def test_a_key_frame_does_not_enter_a_full_queue() -> None:
    """The bound holds for key frames too."""
    queue = UnitQueue(DropPolicy(max_units=1))
    queue.put(unit(1, key=True))

    assert not queue.put(unit(2, key=True))
    assert numbers(queue) == [1]


def test_bytes_are_bounded_too() -> None:
    """A queue of few large units is full as well."""
    queue = UnitQueue(DropPolicy(max_units=100, max_bytes=10))
    assert queue.put(unit(1, key=True, size=6))

    assert not queue.put(unit(2, size=5))
    assert queue.lost == 1


def test_a_unit_larger_than_the_queue_passes_an_empty_one() -> None:
    """One huge key frame is not lost for ever."""
    queue = UnitQueue(DropPolicy(max_units=10, max_bytes=10))

    assert queue.put(unit(1, key=True, size=100))
    assert not queue.put(unit(2, size=1))
    assert numbers(queue) == [1]


def test_a_gap_counts_once_however_long_it_is() -> None:
    """Gaps tell how often viewers saw a jump, losses how much was missing."""
    policy = DropPolicy(max_units=1)
    for _ in range(2):
        assert policy.admit(1, key=True, waiting_units=0, waiting_bytes=0)
        for _ in range(3):
            assert not policy.admit(1, key=False, waiting_units=1, waiting_bytes=1)

    assert policy.gaps == 2
    assert policy.lost == 6


def test_a_queue_with_room_again_asks_once_for_a_key_frame() -> None:
    """A key frame is asked for when half of the queue is free, not before, and not twice."""
    asked: list[None] = []
    queue = UnitQueue(DropPolicy(max_units=4), on_room=lambda: asked.append(None))
    for number in range(1, 6):
        queue.put(unit(number, key=number == 1))

    queue.get(0)
    assert len(asked) == 0
    queue.get(0)
    assert len(asked) == 1
    queue.get(0)
    assert len(asked) == 1

    # Lost again later, asked again.
    queue.put(unit(6, key=True))
    for number in range(7, 12):
        queue.put(unit(number))
    numbers(queue)
    assert len(asked) == 2


def test_a_queue_that_lost_nothing_asks_for_nothing() -> None:
    """Emptying a healthy queue is no reason for a key frame."""
    asked: list[None] = []
    queue = UnitQueue(DropPolicy(max_units=4), on_room=lambda: asked.append(None))
    queue.put(unit(1, key=True))
    numbers(queue)

    assert not asked


def test_closing_wakes_the_reader_and_keeps_what_waits() -> None:
    """A closed queue takes nothing, gives what it has, and then None at once."""
    queue = UnitQueue()
    queue.put(unit(1, key=True))
    queue.close()
    queue.close()

    assert not queue.put(unit(2))
    assert queue.closed
    assert queue.get() is not None
    assert queue.get() is None


def test_a_waiting_reader_is_woken() -> None:
    """A reader that waits gets the unit, or the end, from another thread."""
    queue = UnitQueue()
    got: list[AccessUnit | None] = []
    thread = threading.Thread(target=lambda: got.extend([queue.get(20), queue.get(20)]))
    thread.start()

    queue.put(unit(1, key=True))
    queue.close()
    thread.join(20)

    assert [one.number if one else None for one in got] == [1, None]


def test_clearing_empties_the_queue() -> None:
    """What is thrown away makes room, and its number is told."""
    queue = UnitQueue(DropPolicy(max_units=2, max_bytes=2))
    queue.put(unit(1, key=True))
    queue.put(unit(2))

    assert queue.clear() == 2
    assert len(queue) == 0
    assert queue.put(unit(3, key=True))
