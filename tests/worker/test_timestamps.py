from __future__ import annotations

from backpack._ipc.ring import RingFrame
from backpack._ipc.settings import PixelFormat
from backpack._worker.timestamps import PictureTimes, Tag, Tags

MS = 1_000_000
SECOND = 1_000_000_000
BORN = 1_700_000_000 * SECOND
"""What the wall clock shows when the monotonic one shows zero."""


def frame(number: int, mono_ns: int, *, epoch: int = 0) -> RingFrame:
    """Make a frame as it lies in the ring."""
    return RingFrame(
        number, mono_ns, BORN + mono_ns, epoch, 320, 240, PixelFormat.BGR, 0, slot=0, sequence=2
    )


def test_a_frame_carries_its_own_times() -> None:
    """It is shown as what it is."""
    times = PictureTimes()
    tag = times.of_frame(frame(1, 5 * SECOND, epoch=2))
    assert tag == Tag(5 * SECOND, 5 * SECOND, BORN + 5 * SECOND, 1, repeat=False, epoch=2)


def test_a_repeat_is_as_late_as_its_frame_was() -> None:
    """A second later, a second is added to both times; number and epoch stay."""
    times = PictureTimes()
    times.went_in(times.of_frame(frame(1, 5 * SECOND, epoch=2)), 5 * SECOND + 40 * MS)
    tag = times.of_repeat(6 * SECOND + 40 * MS, 0)
    assert (tag.pts_ns, tag.wall_ns) == (6 * SECOND, BORN + 6 * SECOND)
    assert (tag.number, tag.repeat, tag.epoch) == (1, True, 2)


def test_times_only_grow_in_whole_microseconds() -> None:
    """Whatever comes: a frame from before the last repeat, a repeat at the same time."""
    times = PictureTimes()
    times.went_in(times.of_frame(frame(1, SECOND)), SECOND + 10 * MS)
    last_ns = SECOND
    for now_ns in (2 * SECOND + 7, 2 * SECOND + 8, 2 * SECOND - MS):
        tag = times.of_repeat(now_ns, 0)
        times.went_in(tag, now_ns)
        assert tag.pts_ns > last_ns
        assert tag.pts_ns % 1000 == 0
        last_ns = tag.pts_ns
    late = times.of_frame(frame(2, SECOND + MS))
    assert late.pts_ns == last_ns + 1000
    assert late.wall_ns == BORN + SECOND + MS


def test_a_frame_of_long_ago_is_shown_as_of_now() -> None:
    """Its repeats go on from the time that it was shown with."""
    times = PictureTimes()
    old = frame(7, SECOND)
    tag = times.of_old_frame(old, 100 * SECOND, BORN + 100 * SECOND)
    assert (tag.pts_ns, tag.wall_ns, tag.number) == (100 * SECOND, BORN + 100 * SECOND, 7)
    assert tag.repeat
    times.went_in(tag, 100 * SECOND)
    again = times.of_repeat(101 * SECOND, 0)
    assert (again.pts_ns, again.wall_ns) == (101 * SECOND, BORN + 101 * SECOND)


def test_before_any_frame_there_is_the_cards_time() -> None:
    """Now, on both clocks, and no number."""
    tag = PictureTimes().of_repeat(3 * SECOND, BORN)
    assert (tag.pts_ns, tag.wall_ns, tag.number, tag.repeat) == (3 * SECOND, BORN, 0, True)


def test_frames_between_are_replaced_unless_nobody_was_there() -> None:
    """What a newer one replaced is counted; what was put for nobody is not."""
    times = PictureTimes()
    times.pass_over(9)
    assert not times.is_new(frame(9, SECOND))
    assert times.is_new(frame(10, SECOND))
    assert times.replaced_by(frame(10, SECOND)) == 0
    times.went_in(times.of_frame(frame(10, SECOND)), SECOND)
    assert times.replaced_by(frame(14, 2 * SECOND)) == 3
    times.pass_over(3)
    assert not times.is_new(frame(10, SECOND))


def test_a_picture_that_did_not_go_in_changes_nothing() -> None:
    """The next one gets the same times."""
    times = PictureTimes()
    assert times.of_frame(frame(1, SECOND)) == times.of_frame(frame(1, SECOND))
    assert times.of_repeat(SECOND, 0).pts_ns == times.of_repeat(SECOND, 0).pts_ns


def test_tags_are_given_once_and_do_not_pile_up() -> None:
    """What an encoder has dropped is forgotten after some time."""
    tags = Tags()
    made = [Tag(pts, pts, 0, pts, repeat=False, epoch=0) for pts in range(100)]
    for tag in made:
        tags.add(tag)
    assert tags.take(99) is made[99]
    assert tags.take(99) is None
    assert tags.take(0) is None
