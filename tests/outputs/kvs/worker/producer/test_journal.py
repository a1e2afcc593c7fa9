from __future__ import annotations

import contextlib
import fcntl
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.worker.producer import journal as module
from backpack._outputs.kvs.worker.producer.commands import ProducerState
from backpack._outputs.kvs.worker.producer.filesets import FileSets
from backpack._outputs.kvs.worker.producer.journal import Journal
from backpack._outputs.kvs.worker.producer.records import MAGIC, read_fragment
from backpack.errors import SettingsError
from tests.outputs.kvs.worker.producer.service import Service, stamped
from tests.outputs.kvs.worker.producer.video import START_WALL_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[5]


@pytest.fixture(autouse=True)
def no_descriptor_stays() -> Iterator[None]:
    """Whatever was opened is closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Open a journal."""
    with opened(tmp_path) as made:
        yield made


def opened(path: Path) -> Journal:
    """Open another one for the same stream."""
    return Journal(path, "us-east-1", "test")


def away(journal: Journal, **settings: Any) -> Service:
    """Have a producer whose service is away."""
    service = Service(journal=journal, buffer_seconds=600.0, **settings)
    service.gone = True
    return service


def after(service: Service, journal: Journal, **settings: Any) -> Service:
    """Have the producer of the next process, and a service that is there."""
    following = Service(journal=journal, buffer_seconds=600.0, **settings)
    following.stream = service.stream
    following.number, following.now = service.number, service.now
    return following


def files(path: Path) -> list[Path]:
    """List the fragments on disk, oldest first."""
    return sorted(path.rglob("*.fragment"))


def stored(path: Path) -> list[list[int]]:
    """Name the frames in each file."""
    found = [read_fragment(file.read_bytes()) for file in files(path)]
    return [
        [int(block.rpartition(b"#")[2]) for block in one.fragment.blocks] for one in found if one
    ]


def frames_on_disk(path: Path) -> list[int]:
    """Name all frames that are on disk."""
    return [number for frames in stored(path) for number in frames]


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: what the kernel refuses is the same."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_every_frame_is_on_disk_as_it_joins(journal: Journal, tmp_path: Path) -> None:
    """Nothing waits for a fragment's end; who is killed has kept all that it took."""
    service = away(journal)
    for last in range(1, 26):
        service.frames(1)
        assert frames_on_disk(tmp_path) == list(range(1, last + 1))

    assert [len(frames) for frames in stored(tmp_path)] == [10, 10, 5]
    assert (service.status.frames_stored, service.status.frames_unstored) == (25, 0)


def test_what_is_persisted_dropped_or_given_up_is_deleted(journal: Journal, tmp_path: Path) -> None:
    """The disk holds what the queue holds."""
    service = Service(journal=journal, buffer_seconds=5.0)
    service.frames(25)
    assert frames_on_disk(tmp_path) == list(range(21, 26))
    service.gone = True
    service.frames(100)
    waiting = [len(fragment.blocks) for fragment in service.producer.queue]
    assert [len(frames) for frames in stored(tmp_path)] == waiting
    assert service.status.queue.frames_dropped > 50
    first = next(iter(service.producer.queue))
    service.producer.queue.skip(first)
    assert len(stored(tmp_path)) == len(waiting) - 1
    service.gone = False
    service.stop()

    assert files(tmp_path) == []
    assert service.status.frames_stored == 0


def test_the_next_process_sends_what_is_left_before_its_own(tmp_path: Path) -> None:
    """In order, at its own time, on a connection of its own; and the files go."""
    with opened(tmp_path) as first:
        service = away(first, metadata={"door": "open"})
        service.frames(95)
    with opened(tmp_path) as second:
        following = after(service, second)
        assert following.status.queue.frames_recovered == following.status.buffered_frames == 95
        following.number = 100
        following.frames(45)
        following.stop()
        status = following.status

    assert following.played() == [*range(1, 96), *range(101, 146)]
    assert following.times() == {number: (number - 1) * 100 for number in following.played()}
    assert len(following.stream.sessions) == 2
    tagged = [fragment.metadata != [] for fragment in following.stream.fragments]
    assert tagged == [True] * 10 + [False] * 5
    assert (status.queue.frames_persisted, status.queue.frames_taken) == (140, 45)
    assert following.complaints() == set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_left_is_sent_though_no_frame_comes(tmp_path: Path) -> None:
    """The application is back, but silent. How long that took is no latency."""
    with opened(tmp_path) as first:
        service = away(first)
        service.frames(25)
    with opened(tmp_path) as second:
        following = after(service, second)
        following.pass_time(5.0)

        assert following.played() == list(range(1, 26))
        assert following.status.latency_seconds is None
        assert files(tmp_path) == []


def test_what_is_left_is_left_again(tmp_path: Path) -> None:
    """Three processes that reach nobody; the fourth sends all of it, in order."""
    service = Service()
    for _ in range(3):
        with opened(tmp_path) as kept:
            service = after(service, kept)
            service.gone = True
            service.frames(30)
            service.stop(5.0)
            assert service.status.frames_unstored == 0
            assert service.status.frames_stored == service.number
    with opened(tmp_path) as last:
        following = after(service, last)
        following.stop()

    assert following.played() == list(range(1, 91))
    assert following.producer.state is ProducerState.STOPPED


CHILD = """
import sys, time
from backpack._outputs.kvs.worker.producer.journal import Journal
from tests.outputs.kvs.worker.producer.test_journal import away
service = away(Journal(sys.argv[1], "us-east-1", "test"))
service.frames(37)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL, from one moment to the next; its lock is free at once."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    with opened(tmp_path) as kept:
        service = Service(journal=kept)
        service.stop()

    assert service.played() == list(range(1, 38))
    assert service.times() == {number: (number - 1) * 100 for number in range(1, 38)}


def test_a_torn_end_is_cut(tmp_path: Path) -> None:
    """Half a frame is none; what stands before it is sent, and a file without any is deleted."""
    with opened(tmp_path) as first:
        service = away(first)
        service.frames(15)
        first._sets.next_path().write_bytes(MAGIC[:4])
        first._sets.next_path().touch()
    torn = files(tmp_path)[1]
    os.truncate(torn, torn.stat().st_size - 1)
    with opened(tmp_path) as second:
        following = after(service, second)
        assert second.numbers().files_cut == 2
        assert stored(tmp_path) == [[*range(1, 11)], [*range(11, 15)]]
        assert len(files(tmp_path)) == 2
        found = read_fragment(torn.read_bytes())
        assert found is not None
        assert found.whole_bytes == torn.stat().st_size
        following.stop()

    assert following.played() == list(range(1, 15))


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    """Counted, logged, and never in the way; not even a pipe that nobody writes."""
    with opened(tmp_path) as first:
        away(first).frames(5)
        (kept,) = files(tmp_path)
        others = [first._sets.next_path() for _ in range(4)]
        others += [kept.with_name("notes.txt"), kept.with_name("folder")]
    others[0].write_bytes(b"a file of somebody else")
    others[1].write_bytes(MAGIC.replace(b"1", b"2") + b"of another version")
    os.mkfifo(others[2])
    with others[3].open("wb") as huge:
        huge.write(MAGIC)
        huge.truncate(module.LARGEST_FILE_BYTES + 1)
    others[4].touch()
    others[5].mkdir()
    with opened(tmp_path) as second:
        service = Service(journal=second)
        service.stop()
        assert second.numbers().files_ignored == 6

    assert service.played() == list(range(1, 6))
    assert all(other.exists() for other in others)


def test_nobody_else_can_read_it(journal: Journal, tmp_path: Path) -> None:
    """It is video, and not encrypted: 0700 and 0600, whatever the umask and whatever was there."""
    service = away(journal)
    service.frames(5)
    (tmp_path / "us-east-1").chmod(0o755)
    with opened(tmp_path):
        pass
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()}
    assert modes == {0o700}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {path.stat().st_size for path in tmp_path.rglob("*.lock")} == {0}


def test_streams_are_kept_apart(tmp_path: Path) -> None:
    """By region and name, however odd or long; a name stays within its directory."""
    names = [".", "..", "a", "x" * 256, "x" * 255 + "y"]
    for region in ("us-east-1", "eu-west-1"):
        for name in names:
            with Journal(tmp_path, region, name) as kept:
                assert list(kept.recover()) == []
                service = Service(journal=kept)
                service.gone = True
                service.frames(1)

    assert len(files(tmp_path)) == 2 * len(names)
    assert {path.parent.parent.parent for path in files(tmp_path)} == {tmp_path}
    for bad in ("../x", "a/b", ""):
        with pytest.raises(SettingsError):
            Journal(tmp_path, "us-east-1", bad)


def test_what_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A file in the way, a disk without room, a directory of somebody else; nothing stays open."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"buffer_path='.*file'"):
        opened(tmp_path / "file")
    with full_disk(1000), pytest.raises(SettingsError, match="room for buffer_bytes"):
        opened(tmp_path / "full")
    with pytest.raises(SettingsError):
        opened(Path("/proc/self"))


def test_a_directory_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a place like /tmp anybody may have made it before us, to read along."""
    opened(tmp_path).close()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)

    with pytest.raises(SettingsError, match="another user"):
        opened(tmp_path)


def test_a_disk_that_our_own_video_fills_is_no_error(tmp_path: Path) -> None:
    """It has to be sent to make room."""
    with opened(tmp_path) as first:
        service = away(first)
        service.frames(25)
    # The kernel says EFBIG for such a limit.
    with full_disk(1000), pytest.MonkeyPatch.context() as patch:
        patch.setattr("errno.EDQUOT", 27)
        second = opened(tmp_path)
    with second:
        assert "Look at the disk" in second.numbers().trouble
        following = after(service, second)
        following.stop()

    assert following.played() == list(range(1, 26))


def test_a_disk_that_is_full_later_costs_nothing_but_safety(
    journal: Journal, tmp_path: Path
) -> None:
    """The rest of the fragment waits in memory; that is counted and told until it is well."""
    service = away(journal)
    service.frames(5)
    room = files(tmp_path)[0].stat().st_size + 100
    with full_disk(room):
        service.frames(8)
    assert journal.numbers().failures == 1
    assert "memory only" in journal.numbers().trouble
    assert (service.status.buffered_frames, service.status.frames_lost) == (13, 0)
    # The next fragment is tried again; what the disk has can be decoded.
    assert stored(tmp_path) == [[1, 2, 3, 4, 5], [11, 12, 13]]
    assert (service.status.frames_stored, service.status.frames_unstored) == (8, 5)
    service.frames(10)
    assert journal.numbers().trouble == ""
    with full_disk(10):
        service.frames(10)
    assert len(files(tmp_path)) == 3
    assert journal.numbers().trouble
    service.gone = False
    service.stop()

    assert service.played() == list(range(1, 34))
    assert files(tmp_path) == []


def test_a_directory_that_goes_away_costs_nothing_but_safety(
    journal: Journal, tmp_path: Path
) -> None:
    """Nothing is raised, whatever is asked of it."""
    service = away(journal, metadata={"door": "open"})
    service.frames(25)
    (tmp_path / "us-east-1").rename(tmp_path / "gone")
    service.frames(25)
    service.frames(25, wall_ns=START_WALL_NS + 3_600_000_000_000, epoch=1)
    service.producer.queue.strip_tags()
    assert journal.numbers().failures > 5
    service.gone = False
    service.stop()

    assert sorted(service.played()) == list(range(1, 76))
    assert service.producer.state is ProducerState.STOPPED


def test_what_is_loaded_counts_against_the_same_bounds(tmp_path: Path) -> None:
    """The oldest goes, from disk too, and is counted."""
    with opened(tmp_path) as first:
        service = away(first)
        service.frames(100)
    assert len(frames_on_disk(tmp_path)) == service.number
    with opened(tmp_path) as second:
        bounded = Service(journal=second, buffer_seconds=5.0)
        status = bounded.status
        assert (status.queue.frames_recovered, status.queue.frames_dropped) == (100, 50)
        assert frames_on_disk(tmp_path) == list(range(51, 101))
        assert status.frames_stored == 50
        sizes = [fragment.size for fragment in bounded.producer.queue]
        assert status.buffered_bytes == sum(sizes) > 0
        bounded.gone = True
        bounded.number = 100
        bounded.frames(30)
        assert frames_on_disk(tmp_path)[-1] == 130
        assert len(frames_on_disk(tmp_path)) <= 50


def test_another_boot_has_another_clock(tmp_path: Path) -> None:
    """Its times since the start tell nothing about ours, forward or backward."""
    with opened(tmp_path) as first:
        service = away(first)
        for number in range(1, 31):
            service.producer.frame(stamped(number, seconds=1e6 + number / 10), service.now)
    with opened(tmp_path) as second:
        following = after(service, second)
        following.gone = True
        following.number = 30
        following.frames(30)

        assert following.status.buffered_seconds == pytest.approx(6, abs=0.5)


def test_times_that_move_with_the_clock_move_on_disk(journal: Journal, tmp_path: Path) -> None:
    """What an outage holds is where it belongs, also for the process that sends it."""
    hour_ns = 3_600_000_000_000
    service = away(journal)
    service.frames(25)
    service.frames(20, wall_ns=START_WALL_NS + hour_ns, epoch=1)
    journal.close()
    with opened(tmp_path) as second:
        following = after(service, second)
        following.stop()

    assert following.played() == list(range(1, 46))
    assert set(following.times().values()) == {3_600_000 + number * 100 for number in range(45)}
    assert len(following.stream.sessions) == 1


def test_metadata_that_kvs_refuses_is_taken_off_on_disk(journal: Journal, tmp_path: Path) -> None:
    """The next process would be refused, too."""
    service = away(journal, metadata={"door": "open"})
    service.frames(25)
    service.producer.queue.strip_tags()
    service.frames(1)
    journal.close()

    assert not any(b"door" in file.read_bytes()[-500:] for file in files(tmp_path)[:2])
    with opened(tmp_path) as second:
        assert [fragment.tags for fragment in second.recover()] == [b"", b"", b""]


def test_timelines_stay_apart(tmp_path: Path) -> None:
    """Each needs a connection of its own; so do two whose times do not follow each other."""
    with opened(tmp_path) as first:
        service = away(first)
        service.frames(10)
        # A recording begins anew: its dates go back.
        service.frames(20, wall_ns=START_WALL_NS - 5_037_000_000)
    with opened(tmp_path) as second:
        assert [fragment.timeline for fragment in second.recover()] == [-1, -2, -2]
    with opened(tmp_path) as third:
        following = after(service, third)
        following.stop()

    assert sorted(following.played()) == list(range(1, 31))
    assert len(following.stream.sessions) == 2


def test_times_that_were_being_moved_are_no_order(tmp_path: Path) -> None:
    """The process was killed between two files: what goes back needs another connection."""
    with opened(tmp_path) as first:
        service = away(first)
        service.frames(30)
        newest, *_ = list(service.producer.queue)[::-1]
        newest.timecode_ms -= 5_037
        first.amend(newest)
    with opened(tmp_path) as second:
        assert [fragment.timeline for fragment in second.recover()] == [-1, -1, -2]


def test_a_process_that_still_flushes_keeps_what_is_its_own(tmp_path: Path) -> None:
    """Its successor does not wait for it, and takes over what it leaves when it has ended."""
    first = opened(tmp_path)
    service = away(first)
    service.frames(45)
    with opened(tmp_path) as second:
        following = after(service, second)
        following.gone = True
        following.frames(5)
        following.number = 50
        following.frames(20)
        assert following.status.queue.frames_recovered == 0
        service.stop(1.0)
        first.close()
        following.number = 70
        following.frames(20)
        assert following.status.queue.frames_recovered == 45
        following.gone = False
        following.frames(30)
        following.stop()

    assert following.played() == [*range(1, 46), *range(51, 121)]
    assert following.times() == {number: (number - 1) * 100 for number in following.played()}
    assert len(following.stream.sessions) == 3
    assert following.complaints() == set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_taken_over_late_does_not_undo_a_connection(tmp_path: Path) -> None:
    """It lines up between two fragments; what is being sent is sent to its end."""
    first = opened(tmp_path)
    service = away(first)
    service.frames(25)
    with opened(tmp_path) as second:
        following = after(service, second)
        following.number = 30
        following.frames(25)
        first.close()
        following.frames(55)
        assert following.status.queue.frames_persisted >= 25 + 25 + 30
        following.stop()

    assert following.played() == [*range(1, 26), *range(31, 111)]
    assert following.status.reconnects == {}
    assert following.status.fragments_resent == 0


def test_sets_are_never_shared(tmp_path: Path) -> None:
    """However many come and go at a time, each number has one owner."""
    owners: list[int] = []
    lock = threading.Lock()
    troubles: list[str] = []

    def come_and_go() -> None:
        for _ in range(60):
            sets = FileSets(tmp_path)
            held = [sets.own, *sets.claim()]
            with lock:
                troubles.extend(f"{number} twice" for number in held if number in owners)
                owners.extend(held)
            with lock:
                for number in held:
                    owners.remove(number)
                # Within this lock: from here on it may be somebody else's.
                sets.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert troubles == []
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_taken_over_once(tmp_path: Path) -> None:
    """When its process has ended; the number of one's own is above it."""
    first, second = FileSets(tmp_path), FileSets(tmp_path)
    assert (second.own, second.others, second.claim()) == (first.own + 1, [first.own], [])
    first.close()
    assert (second.claim(), second.others, second.claim()) == ([first.own], [], [])
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_deleted_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking its owner may end; the name then belongs to nobody, or others."""
    real = fcntl.flock
    deleted: list[Path] = []

    def flock(descriptor: int, operation: int) -> None:
        if not deleted:
            deleted.extend(tmp_path.glob("*.lock"))
            deleted[0].unlink()
        real(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", flock)
    first = FileSets(tmp_path)
    second = FileSets(tmp_path)

    assert len(deleted) == 1
    assert first.own != second.own
    first.close()
    second.close()


@pytest.mark.parametrize("seed", range(4))
def test_however_often_it_is_killed_everything_arrives_once(tmp_path: Path, seed: int) -> None:
    """Processes come and go by chance, and so does the service; some end after their successor."""
    chance = random.Random(seed)
    service = Service()
    put: list[int] = []
    lingering: list[Journal] = []
    for _ in range(12):
        kept = opened(tmp_path)
        service = after(service, kept)
        # An encoder begins with a key frame.
        service.number += -service.number % 10
        for _ in range(chance.randrange(1, 5)):
            service.gone = chance.random() < 0.6
            put += range(service.number + 1, service.number + 1 + (count := chance.randrange(40)))
            service.frames(count)
        if chance.random() < 0.3:
            lingering.append(kept)
        else:
            kept.close()
    for kept in lingering:
        kept.close()
    with opened(tmp_path) as kept:
        service = after(service, kept)
        service.stop()

    assert service.played() == put
    assert service.times() == {number: (number - 1) * 100 for number in put}
    assert service.complaints() == set()
    assert files(tmp_path) == []


def test_a_stop_says_what_stays_and_what_is_lost(journal: Journal) -> None:
    """On disk: kept. In memory only: lost."""
    service = away(journal)
    service.frames(15)
    service.stop(2.0)
    assert service.producer.state is ProducerState.STOPPED
    assert (service.status.frames_stored, service.status.frames_unstored) == (15, 0)

    alone = Service()
    alone.gone = True
    alone.frames(15)
    alone.stop(2.0)
    assert (alone.status.frames_stored, alone.status.frames_unstored) == (0, 15)
    assert alone.status.journal is None
