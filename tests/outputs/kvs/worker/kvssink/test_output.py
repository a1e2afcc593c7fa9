from __future__ import annotations

import datetime as dt
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack.errors import SettingsError
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.faults import AckError
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.signature import Key
from tests.waiting import is_running, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.kvssink.build import Build
    from tests.kvs_server.server import KVSServer
    from tests.kvs_server.streams import Stream
    from tests.outputs.kvs.worker.kvssink.bench import Bench

ROOT = Path(__file__).parents[5]
TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN"


def environment_of(pid: int) -> dict[str, str]:
    """Read the environment that a process was started with."""
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(one.split("=", 1) for one in text.split("\0") if "=" in one)


def test_every_picture_arrives(opened: Callable[..., Bench], stream: Stream) -> None:
    """What was published is persisted once, in order, with the times of its capture."""
    bench = opened()
    bench.put(45, seconds=1)
    bench.finish()
    line = stream.timeline()

    assert frame_numbers(line) == list(range(1, 46)), bench.numbers
    began_ms = bench.began_ns // 1_000_000
    assert [one.timecode - began_ms for one in line] == pytest.approx(
        [0, 1000, 2000, 3000, 4000], abs=1
    )
    relative = [block.relative for one in line for block in one.blocks]
    assert relative == pytest.approx([number % 10 * 100 for number in range(45)], abs=1)
    assert len(stream.sessions) == 1
    assert stream.sessions[0].said_end
    numbers = bench.numbers
    assert numbers["state"] == "STOPPED"
    assert numbers["buffered_frames"] == 0
    assert numbers["last_fragment"] == line[-1].number
    assert numbers["counters"]["fragments_persisted"] == 5
    assert numbers["counters"]["frames_persisted"] == 45
    assert not bench.output.lost
    assert not bench.output.trouble
    assert bench.news.is_set()


def test_a_key_frame_for_a_newcomer_makes_no_fragment(
    opened: Callable[..., Bench], stream: Stream
) -> None:
    """Fragments are as long as they should be, however many key frames there are."""
    bench = opened(fragment_seconds=2.0)
    bench.put(60, seconds=0.5)
    bench.finish()

    assert [len(one.blocks) for one in stream.timeline()] == [20, 20, 20]


def test_numbers_while_it_streams(opened: Callable[..., Bench], server: KVSServer) -> None:
    """States and what waits, under the names of the native upload."""
    bench = opened()
    assert bench.numbers["state"] == "CONNECTING"
    assert bench.output.viewers == 1
    bench.put(25, seconds=0.5)
    wait_for(lambda: bench.counters["fragments_persisted"] == 2)
    wait_for(lambda: bench.numbers["buffered_frames"] == 5)
    numbers = bench.numbers

    assert numbers["state"] == "STREAMING"
    assert numbers["buffered_seconds"] == pytest.approx(0.4, abs=0.01)
    assert 0 <= numbers["last_fragment_age_seconds"] < 60
    assert numbers["kvssink"]["buffered_bytes"] > 0
    server.faults.silent = True
    bench.put(130)
    wait_for(lambda: bench.numbers["state"] == "BUFFERING")
    json.dumps(bench.numbers)


def test_a_control_plane_that_hangs_holds_nothing_up(
    opened: Callable[..., Bench], server: KVSServer, stream: Stream
) -> None:
    """The start returns, and what waits meanwhile arrives with its own times."""
    server.faults.freeze()
    bench = opened()
    bench.put(20)
    assert bench.numbers["state"] == "CONNECTING"
    wait_for(lambda: bench.numbers["buffered_frames"] == 20)
    assert bench.numbers["buffered_seconds"] == pytest.approx(1.9, abs=0.01)
    time.sleep(0.3)
    server.faults.thaw()
    bench.finish()

    assert frame_numbers(stream.timeline()) == list(range(1, 21))
    assert stream.timeline()[0].timecode == bench.began_ns // 1_000_000


def test_what_waits_is_bounded(
    opened: Callable[..., Bench], server: KVSServer, stream: Stream
) -> None:
    """Too much for the buffer is lost up to the next key frame, and counted."""
    server.faults.freeze()
    bench = opened(buffer_seconds=2.5)
    bench.put(32)
    # 25 and the one that the child would get next.
    wait_for(lambda: bench.numbers["buffered_frames"] in (25, 26))
    server.faults.thaw()
    wait_for(lambda: bench.counters["frames_taken"] >= 25)
    bench.put(18, seconds=0.5)
    bench.finish()
    numbers = frame_numbers(stream.timeline())

    assert numbers in ([*range(1, 26), *range(41, 51)], [*range(1, 27), *range(41, 51)])
    assert bench.output.lost == 50 - len(numbers)


def test_the_element_is_missing(opened: Callable[..., Bench], dotenv: Path, tmp_path: Path) -> None:
    """The error names the variables, the file and the producer that needs no build."""
    dotenv.write_text(f"GST_PLUGIN_PATH={tmp_path}\n")
    output = opened().output
    assert output.failed
    assert not output.viewers
    for words in ("GST_PLUGIN_PATH", "LD_LIBRARY_PATH", str(dotenv), 'producer="native"'):
        assert words in output.trouble


def test_a_library_of_the_element_is_missing(
    opened: Callable[..., Bench], dotenv: Path, stand_in: Build
) -> None:
    """The error says which; and once LD_LIBRARY_PATH is right, it is found at once."""
    good = dotenv.read_text()
    dotenv.write_text(f"GST_PLUGIN_PATH={stand_in.plugins}\n")
    assert "libkvsstandin.so" in opened().output.trouble
    dotenv.write_text(good)
    assert not opened().output.failed


def test_a_dotenv_that_cannot_be_read(opened: Callable[..., Bench], dotenv: Path) -> None:
    """An error at the start."""
    dotenv.unlink()
    with pytest.raises(SettingsError, match=r"\.env"):
        opened()


def test_what_the_child_gets(
    opened: Callable[..., Bench],
    stand_in: Build,
    server: KVSServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It alone gets the `.env`; no key is in its environment or arguments, nor in ours."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "WRONG")
    before = dict(os.environ)
    bench = opened(library_path="/app/lib")
    wait_for(bench.pid)
    environment = environment_of(bench.pid())
    arguments = Path(f"/proc/{bench.pid()}/cmdline").read_bytes()

    assert environment["GST_PLUGIN_PATH"] == str(stand_in.plugins)
    assert environment["LD_LIBRARY_PATH"] == f"/app/lib:{stand_in.libraries}"
    assert environment["CONTROL_PLANE_URI"] == server.url
    names = {name for name in environment if name.startswith("AWS_")}
    assert names == {"AWS_DEFAULT_REGION"}
    assert environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert SECRET_KEY not in str(environment)
    assert SECRET_KEY.encode() not in arguments
    assert dict(os.environ) == before
    bench.put(10)
    bench.finish()
    assert bench.counters["frames_persisted"] == 10


def test_credentials_without_an_expiry_come_by_the_childs_environment(
    opened: Callable[..., Bench], server: KVSServer, tmp_path: Path
) -> None:
    """Which the child makes itself, from a file: so they stand in no other process."""
    server.keys["AKIDSESSION"] = Key(SECRET_KEY, TOKEN)
    path = tmp_path / "variables"
    path.write_text(
        f"AWS_ACCESS_KEY_ID=AKIDSESSION\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}\n"
        f"AWS_SESSION_TOKEN={TOKEN}\nLD_PRELOAD=/evil\n"
    )
    bench = opened(credentials_path=None, environment_path=str(path))
    bench.put(10)
    wait_for(lambda: bench.counters["frames_taken"] == 10)
    assert SECRET_KEY not in str(environment_of(bench.pid()))
    bench.finish()
    assert bench.counters["frames_persisted"] == 10
    assert not any(SECRET_KEY in value for value in os.environ.values())


def test_it_waits_for_credentials(
    opened: Callable[..., Bench], credentials: Path, stream: Stream
) -> None:
    """The application finds them when it does; kvssink would look once and end."""
    text = credentials.read_text()
    credentials.unlink()
    bench = opened()
    bench.put(20)
    wait_for(lambda: "credentials" in bench.output.trouble)
    wait_for(lambda: bench.numbers["buffered_frames"] == 20)
    credentials.write_text(text)
    bench.finish()

    assert frame_numbers(stream.timeline()) == list(range(1, 21))
    assert not bench.output.trouble
    assert not bench.counters["reconnects"]


def test_a_child_that_is_killed_comes_back(
    opened: Callable[..., Bench], stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted by its cause; lost is what it had not delivered."""
    bench = opened()
    bench.put(25, seconds=0.3)
    wait_for(lambda: bench.counters["frames_persisted"] == 20)
    wait_for(lambda: bench.counters["frames_taken"] == 25)
    os.kill(bench.pid(), signal.SIGKILL)
    wait_for(lambda: bench.counters["reconnects"])
    assert "SIGKILL" in bench.output.trouble
    wait_for(lambda: "BUFFERING" in bench.states)
    bench.put(25)
    bench.finish()

    assert bench.counters["reconnects"] == {"was ended by SIGKILL": 1}
    assert frame_numbers(stream.timeline()) == [*range(1, 21), *range(31, 51)]
    assert bench.output.lost == bench.counters["frames_lost"] == 10
    assert not bench.output.trouble
    assert "SIGKILL" in caplog.text


def test_an_error_that_ends_kvssink(opened: Callable[..., Bench], server: KVSServer) -> None:
    """Told with its number, counted by it, and started again."""
    server.faults.acks.append(AckError(4500, "KMS_KEY_ACCESS_DENIED"))
    bench = opened()
    bench.put(10, seconds=0.3)
    # It fails at the picture after the one that was answered.
    wait_for(lambda: bench.put(1) or bench.counters["reconnects"], every=0.05)
    ((cause, count),) = bench.counters["reconnects"].items()

    assert cause.startswith("error 0x52000")
    assert count == 1
    assert "Stream error occurred" in bench.output.trouble
    assert bench.counters["fragments_skipped"] == 1
    wait_for(lambda: bench.put(1) or bench.counters["fragments_persisted"], every=0.05)
    bench.finish()


def test_a_stream_is_created_where_that_was_asked(
    opened: Callable[..., Bench], server: KVSServer, caplog: pytest.LogCaptureFixture
) -> None:
    """That there was none is no trouble then."""
    bench = opened(stream_name="new", create_stream=True, retention_hours=7)
    bench.put(20)
    bench.finish()

    assert server.streams["new"].retention_hours == 7
    assert frame_numbers(server.streams["new"].timeline()) == list(range(1, 21))
    assert "exist" not in caplog.text


def test_it_stops_in_time(
    opened: Callable[..., Bench], server: KVSServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Though kvssink would wait for acknowledgements for two minutes; what is missing is told."""
    server.faults.silent = True
    bench = opened()
    bench.put(20)
    wait_for(lambda: bench.counters["frames_taken"] == 20)
    began = time.monotonic()
    bench.finish(0.5)
    assert time.monotonic() - began < 10
    assert bench.output.lost == 20
    assert "20 pictures were not delivered" in caplog.text


def test_it_closes_at_once_whatever_is_left(
    opened: Callable[..., Bench], server: KVSServer
) -> None:
    """Twice without harm; nothing of it stays."""
    server.faults.freeze()
    bench = opened()
    bench.put(20)
    bench.close()
    bench.close()
    bench.put(1)
    assert bench.output.finished
    assert bench.output.lost == 20
    wait_for(lambda: not threads_named("spyglass-kvssink"))


def test_nothing_was_ever_put(opened: Callable[..., Bench], stream: Stream) -> None:
    """Then there is nothing to wait for."""
    bench = opened()
    bench.finish(60)
    assert not stream.sessions
    assert bench.numbers["state"] == "STOPPED"


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_clock_that_steps_begins_anew(
    opened: Callable[..., Bench], stream: Stream, epoch: int
) -> None:
    """No earlier time is taken by it: the old child delivers what it has, beside a new one."""
    bench = opened()
    bench.put(20)
    wait_for(lambda: bench.counters["frames_taken"] == 20)
    first = bench.pid()
    bench.began_ns -= 10_000_000_000
    bench.put(20, epoch=epoch)
    wait_for(lambda: bench.counters["frames_taken"] == 40)
    assert bench.pid() != first
    bench.finish()

    assert frame_numbers(stream.timeline()) == [*range(21, 41), *range(1, 21)]
    assert not bench.output.lost
    assert not bench.counters["reconnects"]


@pytest.fixture
def write_key(
    server: KVSServer, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, int], None]:
    """Write temporary credentials as the application does; the server knows them."""
    monkeypatch.setenv("KVS_STAND_IN_LEAST_SECONDS", "1")

    def write(name: str, seconds: int) -> None:
        expires = int(time.time()) + seconds
        server.keys[name] = Key(SECRET_KEY, TOKEN, expires)
        date = dt.datetime.fromtimestamp(expires, dt.timezone.utc)
        fresh = credentials.with_suffix(".new")
        fresh.write_text(
            f"CREDENTIALS {name} {date.strftime('%Y-%m-%dT%H:%M:%SZ')} {SECRET_KEY} {TOKEN}\n"
        )
        fresh.replace(credentials)

    return write


def keys_of(server: KVSServer, path: str) -> list[str]:
    """List the access keys that requests were signed with."""
    heads = [head.get("authorization") or "" for head in server.heads if head.target == path]
    return [head.partition("Credential=")[2].partition("/")[0] for head in heads]


def test_credentials_are_renewed_while_it_runs(
    opened: Callable[..., Bench],
    server: KVSServer,
    stream: Stream,
    write_key: Callable[[str, int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A second connection takes over with the new key, and no picture is lost."""
    caplog.set_level(logging.DEBUG)
    bench = opened()
    write_key("AKIDFIRST", 7)
    bench.put(10)
    wait_for(lambda: bench.counters["frames_taken"] == 10)
    # kvssink has read the first one, and looks again three seconds before that expires.
    write_key("AKIDSECOND", 600)
    wait_for(lambda: bench.put(2) or len(stream.sessions) == 2, every=0.2)
    bench.put(20)
    bench.finish()
    numbers = frame_numbers(stream.timeline())

    assert keys_of(server, "/describeStream") == ["AKIDFIRST"]
    assert keys_of(server, "/putMedia") == ["AKIDFIRST", "AKIDSECOND"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert bench.counters["frames_persisted"] == len(numbers)
    assert not bench.output.lost
    assert SECRET_KEY not in caplog.text
    assert TOKEN not in caplog.text


def test_credentials_that_are_renewed_too_late(
    opened: Callable[..., Bench], server: KVSServer, write_key: Callable[[str, int], None]
) -> None:
    """Are fatal to kvssink; it is started again, told and counted, and streams once it can."""
    bench = opened()
    write_key("AKIDFIRST", 6)
    wait_for(lambda: bench.put(2) or bench.counters["reconnects"], every=0.2)
    assert bench.counters["reconnects"] == {"error 0x52000049": 1}
    write_key("AKIDSECOND", 600)
    wait_for(lambda: bench.put(2) or "AKIDSECOND" in keys_of(server, "/putMedia"), every=0.2)
    bench.finish()


def test_a_dump_of_the_pipeline_holds_no_secret(
    opened: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GStreamer's dumps show every property."""
    monkeypatch.setenv("GST_DEBUG_DUMP_DOT_DIR", str(tmp_path))
    bench = opened()
    bench.put(10)
    wait_for(lambda: bench.counters["frames_taken"] == 10)
    dumps = [path.read_text() for path in tmp_path.glob("*.dot")]

    assert dumps
    assert all("stream-name" in dump for dump in dumps)
    assert not any(SECRET_KEY in dump or ACCESS_KEY in dump for dump in dumps)
    bench.finish()


def test_the_child_ends_with_the_streaming_process(
    described: dict[str, Any], stream: Stream
) -> None:
    """After it has delivered what it has got."""
    done = subprocess.Popen(
        [sys.executable, "-m", "tests.outputs.kvs.worker.kvssink.streaming", json.dumps(described)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout is not None
    with done, done.stdout:
        child = int(done.stdout.readline())
        assert is_running(child)
        done.kill()
    wait_for(lambda: not is_running(child))

    assert frame_numbers(stream.timeline()) == list(range(1, 26))
    assert stream.sessions[-1].said_end


@pytest.mark.parametrize("orphaned", [False, True])
def test_the_applications_own_folder_is_deleted_where_it_cannot_do_it(
    opened: Callable[..., Bench], credentials: Path, stream: Stream, *, orphaned: bool
) -> None:
    """Once the child has ended, which may need the credentials until then."""
    folder = credentials.parent / "folder"
    folder.mkdir()
    path = credentials.rename(folder / credentials.name)
    bench = opened(credentials_path=str(path), temporary_path=str(folder))
    bench.put(20)
    if orphaned:
        bench.output.on_app_exit()
    bench.finish()
    assert path.exists()
    bench.close()
    bench.close()

    wait_for(lambda: folder.exists() is not orphaned)
    assert frame_numbers(stream.timeline()) == list(range(1, 21))


def test_a_credentials_file_of_the_users_stays(
    opened: Callable[..., Bench], credentials: Path
) -> None:
    """Whoever has ended."""
    bench = opened()
    bench.output.on_app_exit()
    bench.close()
    assert credentials.exists()


def test_priority_is_the_streaming_processes(opened: Callable[..., Bench]) -> None:
    """A child is as nice as its parent, and in its process group."""
    bench = opened()
    wait_for(bench.pid)
    assert os.getpriority(os.PRIO_PROCESS, bench.pid()) == os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpgid(bench.pid()) == os.getpgid(0)
