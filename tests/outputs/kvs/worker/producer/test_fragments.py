from __future__ import annotations

from backpack._outputs.kvs.worker.producer.fragments import (
    BLOCK_COST_BYTES,
    Fragment,
    FragmentQueue,
)
from backpack._outputs.kvs.worker.producer.matroska import Track

TRACK = Track(320, 240, b"\x01")
SECOND_NS = 1_000_000_000


def add(
    queue: FragmentQueue, sequence: int, *, seconds: float = 2.0, begin: float | None = None,
    frames: int = 3, size: int = 100, timeline: int = 0,
) -> Fragment:  # fmt: skip
    """Add a fragment of so many frames over so many seconds, one after the other."""
    begin_ns = round((begin if begin is not None else sequence * seconds) * SECOND_NS)
    fragment = Fragment(sequence, timeline, begin_ns // 1_000_000, TRACK, begin_ns, begin_ns)
    queue.begin(fragment, bytes(size))
    for number in range(1, frames):
        queue.extend(bytes(size), begin_ns + round(number * seconds * SECOND_NS / frames))
    return fragment


def sequences(queue: FragmentQueue) -> list[int]:
    """Name what is there."""
    return [fragment.sequence for fragment in queue]


def test_only_the_newest_fragment_is_open() -> None:
    """The next one completes it; so does the end."""
    queue = FragmentQueue()
    first, second = add(queue, 1), add(queue, 2)

    assert (first.complete, second.complete, queue.open) == (True, False, second)
    queue.complete()
    assert queue.open is None


def test_persisted_frees_all_before_it() -> None:
    """An answer that was lost does not keep its fragment for ever."""
    queue = FragmentQueue()
    _, second, _ = add(queue, 1), add(queue, 2), add(queue, 3)

    assert queue.free(second.sequence) is second
    assert sequences(queue) == [3]
    assert queue.counters.fragments_persisted == 2
    assert queue.counters.frames_persisted == 6
    assert queue.free(second.sequence) is None


def test_the_oldest_whole_fragments_go_when_bytes_run_out() -> None:
    """What is left begins with a key frame; what went is counted."""
    each = 3 * (100 + BLOCK_COST_BYTES)
    queue = FragmentQueue(buffer_bytes=3 * each)
    for sequence in range(1, 6):
        add(queue, sequence)

    assert sequences(queue) == [3, 4, 5]
    assert queue.size == 3 * each
    assert (queue.counters.fragments_dropped, queue.counters.frames_dropped) == (2, 6)
    assert queue.counters.frames_taken == 15


def test_the_oldest_whole_fragments_go_when_time_runs_out() -> None:
    """The bound in seconds holds as the one in bytes does."""
    queue = FragmentQueue(buffer_seconds=10)
    for sequence in range(1, 20):
        add(queue, sequence)

    assert 8 <= queue.seconds <= 10
    assert sequences(queue)[-1] == 19


def test_the_silence_of_a_source_is_no_video() -> None:
    """An hour without frames pushes nothing out."""
    queue = FragmentQueue(buffer_seconds=30)
    add(queue, 1, begin=0)
    queue.complete()
    add(queue, 2, begin=3600)

    assert sequences(queue) == [1, 2]
    assert queue.seconds < 15
    queue.free(1)
    assert queue.counters.fragments_dropped == 0


def test_seconds_and_bytes_are_nothing_once_all_is_gone() -> None:
    """Whatever way fragments go, the sums stay right."""
    queue = FragmentQueue(buffer_seconds=12)
    made = [add(queue, sequence, begin=sequence * 2.5) for sequence in range(1, 9)]
    queue.skip(made[5])
    queue.free(made[6].sequence)
    queue.complete()
    queue.free(made[7].sequence)

    assert (len(queue), queue.size, queue.seconds, queue.frames) == (0, 0, 0, 0)


def test_the_fragment_being_sent_stays() -> None:
    """A cluster cannot be taken back: the next oldest goes."""
    each = 3 * (100 + BLOCK_COST_BYTES)
    queue = FragmentQueue(buffer_bytes=3 * each)
    queue.busy = add(queue, 1)
    for sequence in range(2, 6):
        add(queue, sequence)

    assert sequences(queue) == [1, 4, 5]


def test_a_fragment_larger_than_the_buffer_is_closed() -> None:
    """Memory is bounded even where no key frame comes."""
    queue = FragmentQueue(buffer_bytes=1000)
    fragment = add(queue, 1, frames=8, size=100)

    assert fragment.complete
    assert queue.open is None


def test_what_kvs_refuses_is_given_up() -> None:
    """A skipped fragment is counted, wherever it stands, and once."""
    queue = FragmentQueue()
    _, second, third = add(queue, 1), add(queue, 2), add(queue, 3)

    assert queue.skip(second)
    assert not queue.skip(second)
    assert queue.skip(third)
    assert queue.open is None
    assert sequences(queue) == [1]
    assert (queue.counters.fragments_skipped, queue.counters.frames_skipped) == (2, 6)


def test_what_was_not_sent_moves_with_the_clock() -> None:
    """What a connection has seen keeps its time, so that sent again it replaces itself."""
    queue = FragmentQueue()
    first, second, other = add(queue, 1), add(queue, 2), add(queue, 3, timeline=7)
    first.sent = True

    assert queue.shift(-1500, 0, 8) == 1
    assert (first.timecode_ms, first.timeline) == (2000, 0)
    assert (second.timecode_ms, second.timeline) == (2500, 8)
    assert (other.timecode_ms, other.timeline) == (6000, 7)


def test_fragments_are_found_by_what_stands_before_them() -> None:
    """Sequences may be missing."""
    queue = FragmentQueue()
    _, second, third = add(queue, 1), add(queue, 2), add(queue, 3)
    queue.skip(second)

    assert queue.after(1) is third
    assert (queue.find(3), queue.find(2)) == (third, None)
    assert queue.after(3) is None
