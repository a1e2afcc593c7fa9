"""What an application puts is in Kinesis Video Streams, after minutes of bad weather, too."""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING

import pytest

from backpack.spyglass import SpyGlass
from tests.end_to_end.kvs import ShortLived, is_streaming, kvs, taken
from tests.end_to_end.long import camera, memory, scaled
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.faults import AckError, HttpError
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack.kvs import KVSSpyGlass
    from tests.end_to_end.apps import Putter
    from tests.end_to_end.conftest import Stage
    from tests.kvs_server.server import KVSServer
    from tests.kvs_server.streams import Stream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 + scaled(900, 0))]

SEED = 3
DELIVERY_SECONDS = 60.0

ACK_ERRORS = (
    AckError(4002, "MAX_FRAGMENT_DURATION_REACHED"),
    AckError(4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"),
    AckError(4006, "INVALID_MKV_DATA"),
    AckError(5000, "INTERNAL_ERROR", after_blocks=10),
)
HTTP_ERRORS = (
    HttpError(400, "ClientLimitExceeded"),
    HttpError(401, "NotAuthorized"),
    HttpError(403, "AccessDenied"),
    HttpError(404, "ResourceNotFound"),
    HttpError(500, "InternalFailure"),
    HttpError(503, "ServiceUnavailable"),
)


def arrived(stream: Stream) -> list[int | None]:
    """Give the numbers of the frames in the final timeline, decoded fragment by fragment."""
    assert stream.overlaps() == []
    # What was sent with a fifth of a second in between may be read at once after an outage.
    assert set(stream.complaints) <= {"more than 5 fragments in a second"}
    # Raw pictures of minutes would fill the memory.
    return [number for one in stream.timeline() for number in frame_numbers([one])]


def catch_up(spyglass: KVSSpyGlass) -> None:
    """Wait until nothing waits any more but what is new."""
    wait_for(
        lambda: is_streaming(spyglass) and spyglass.kvs_stats().buffered_seconds < 3,
        DELIVERY_SECONDS,
        what="everything's arrival",
    )


def end(spyglass: KVSSpyGlass, putter: Putter) -> None:
    """Stop, and let everything arrive."""
    catch_up(spyglass)
    assert spyglass.state is SpyGlass.State.STREAMING
    putter.stop()
    spyglass.stop_streaming(timeout=30)
    assert not putter.failures
    assert spyglass.kvs_stats().buffered_frames == 0


def gone(server: KVSServer, seconds: float) -> None:
    """Have the port refused."""
    server.refuse()
    time.sleep(seconds)
    server.listen()


def silent(server: KVSServer, seconds: float) -> None:
    """Have nothing read or answered."""
    server.faults.freeze()
    time.sleep(seconds)
    server.faults.thaw()


def reset(server: KVSServer, seconds: float) -> None:
    """Have connections reset that are three seconds old."""
    server.faults.reset_every_seconds = 3.0
    time.sleep(seconds)
    server.faults.reset_every_seconds = None


@pytest.mark.parametrize("outage", [gone, silent, reset])
def test_an_outage_of_a_minute_loses_nothing(
    server: KVSServer, stream: Stream, stage: Stage, outage: Callable[[KVSServer, float], None]
) -> None:
    """At 1080p30, persisted = put - not due - replaced, in order and none twice."""
    spyglass = kvs(stage)
    putter = camera(stage, spyglass, 1920, 1080, 16)
    wait_for(lambda: is_streaming(spyglass))

    # Silence is noticed after 20 s.
    outage(server, scaled(60, 25 if outage is silent else 8))
    end(spyglass, putter)

    stats = spyglass.stats()
    numbers = arrived(stream)
    assert numbers == sorted(numbers)  # type: ignore[type-var]
    assert len(numbers) == len(set(numbers)) == stats.put - stats.not_due - stats.replaced
    assert sum(spyglass.kvs_stats().reconnects.values()) >= 1


def test_credentials_of_a_minute_lose_nothing(
    server: KVSServer, stream: Stream, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """For ten minutes: no frame is lost, and each renewal is logged without a secret in it."""
    caplog.set_level("INFO")
    lasts = scaled(60, 6)
    spyglass = kvs(stage, credentials_handler=ShortLived(server, lasts))
    putter = stage.putter(spyglass, 30)

    time.sleep(10 * lasts)
    end(spyglass, putter)

    stats, told = spyglass.stats(), spyglass.kvs_stats()
    numbers = arrived(stream)
    assert numbers == sorted(numbers)  # type: ignore[type-var]
    assert len(numbers) == len(taken(putter)) - stats.replaced
    assert told.frames_lost == told.frames_dropped == told.frames_skipped == 0
    assert told.credentials_renewed >= 10
    renewals = [one for one in caplog.messages if "renewed" in one]
    assert len(renewals) == told.credentials_renewed
    assert not re.search(r"(secret|token)\d", caplog.text)


def test_ten_minutes_of_errors_by_chance_lose_only_what_was_refused(
    server: KVSServer, stream: Stream, stage: Stage
) -> None:
    """Refused fragments are skipped; all else arrives, and it goes on streaming."""
    # A stream that is said not to exist is then created, and found to exist.
    spyglass = kvs(stage, create_stream=True)
    putter = stage.putter(spyglass, 30)
    wait_for(lambda: is_streaming(spyglass))
    faults = server.faults
    faults.ack_chance, faults.ack_choices = 0.1, ACK_ERRORS
    faults.http_chance, faults.http_choices = 0.3, HTTP_ERRORS
    faults.random = random.Random(SEED)

    time.sleep(scaled(600, 30))
    faults.random = None
    end(spyglass, putter)

    stats, told = spyglass.stats(), spyglass.kvs_stats()
    numbers = arrived(stream)
    assert numbers == sorted(numbers)  # type: ignore[type-var]
    assert told.fragments_skipped > 0
    assert told.frames_dropped == 0
    # The rest of a fragment that is refused while it grows has no key frame to begin with.
    assert told.frames_lost <= 30 * told.fragments_skipped
    refused = told.frames_skipped + told.frames_lost
    expected = stats.put - stats.not_due - stats.replaced - refused
    assert len(numbers) == len(set(numbers)) == expected


def test_an_outage_of_five_minutes_takes_no_more_memory_than_its_buffer(
    server: KVSServer, stream: Stream, stage: Stage
) -> None:
    """The streaming process grows by buffer_bytes and a fifth; what had to go is counted."""
    buffer_bytes = 32 << 20
    spyglass = kvs(stage, buffer_bytes=buffer_bytes, buffer_seconds=600, bitrate_kbps=20_000)
    putter = camera(stage, spyglass, 1280, 720, 96)
    # Until the encoder's memory is what it will be.
    wait_for(lambda: stream.persisted() > 5)
    pid = spyglass.stats().streamer_pid
    assert pid is not None
    before = memory(pid)

    server.refuse()
    largest = before
    deadline = time.monotonic() + scaled(300, 45)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        largest = max(largest, memory(pid))
    assert spyglass.kvs_stats().buffered_bytes > 0.9 * buffer_bytes
    assert spyglass.stats().streamer_pid == pid
    server.listen()
    end(spyglass, putter)

    stats, told = spyglass.stats(), spyglass.kvs_stats()
    assert largest - before <= 1.2 * buffer_bytes
    assert told.frames_dropped > 0
    kept = stats.put - stats.not_due - stats.replaced - told.frames_dropped
    # What the answer has not come of any more counts as dropped, and may have arrived.
    assert len(arrived(stream)) >= told.frames_persisted == kept
