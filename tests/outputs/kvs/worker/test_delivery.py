from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker import executor as duties
from backpack._outputs.kvs.worker.producer import patience, retries
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.faults import AckError, AckForm, Connections, HttpError
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.signature import Key
from tests.outputs.kvs.worker.producer.video import unit
from tests.outputs.kvs.worker.rig import Rig, Signer, tries, weather
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kvs_server.server import KVSServer

RETRYABLE = tuple(
    AckError(error_id, "X", after_blocks=blocks, with_timecode=error_id != 5000)
    for error_id, blocks in ((4000, 1), (4003, 3), (5000, 5), (5001, 9), (4999, 2))
)
REFUSALS = tuple(
    HttpError(*one)
    for one in (
        (500, ""),
        (503, ""),
        (400, "ClientLimitExceeded"),
        (400, "ConnectionLimitExceeded"),
        (400, "InvalidEndpoint"),
        (401, "NotAuthorized"),
        (403, "AccessDenied"),
        (404, "ResourceNotFound"),
    )
)


# Decoders throw such data away (ITU-T H.264, 7.3.2.7).
FILLER = b"\0\0\1\x0c" + bytes([0xFF]) * 60_000 + b"\x80"


def assert_all_arrived(rig: Rig, last: int) -> None:
    """Every frame is there, in order, and none twice in the timeline."""
    assert frame_numbers(rig.stream.timeline()) == list(range(1, last + 1))
    assert rig.stream.overlaps() == []


def test_every_frame_arrives_once_and_in_order(rig: Rig) -> None:
    """Nothing to complain of, for a server that looks at every element."""
    rig.frames(1, 35)
    rig.finish()

    assert_all_arrived(rig, 35)
    assert rig.stream.complaints == []
    (session,) = rig.stream.sessions
    # The last acknowledgement comes before the body's end is read.
    assert rig.stream.wait_for(lambda: session.closed is not None)
    assert (session.ended, session.said_end) == (True, True)
    numbers = rig.numbers()
    assert (numbers["state"], numbers["buffered_frames"]) == ("STOPPED", 0)
    assert numbers["fragments_persisted"] == numbers["fragments_sent"] == 4


@pytest.mark.parametrize("connections", list(Connections))
def test_over_tls_and_through_rotations(
    tls_server: KVSServer, certificate: Path, connections: Connections
) -> None:
    """The same, encrypted; whether a second connection is taken, or only after a while."""
    faults = tls_server.faults
    faults.connections, faults.release_seconds = connections, 0.3
    signer = Signer()
    signer.expires_in_seconds = 0.5
    with Rig(tls_server, signer, ca_bundle=str(certificate)) as rig:
        rig.frames(1, 55)
        rig.finish()

        assert_all_arrived(rig, 55)
        assert rig.stream.complaints == []
        assert len(rig.stream.sessions) > 1
        assert {session.error for session in rig.stream.sessions} == {None}


@pytest.mark.parametrize("form", [AckForm.SEVERAL, AckForm.PARTS])
def test_acknowledgements_in_every_form_free_the_buffer(
    server: KVSServer, rig: Rig, form: AckForm
) -> None:
    """Late, too."""
    server.faults.ack_form = form
    server.faults.ack_delay_seconds = 0.2
    rig.frames(1, 25)
    rig.finish()

    assert rig.numbers()["buffered_frames"] == 0
    assert len(rig.stream.sessions) == 1


def test_an_outage_costs_nothing(
    server: KVSServer, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """The port is refused while frames come: that is told, and they arrive afterwards."""
    caplog.set_level(logging.INFO, "backpack._outputs.kvs.worker")
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"])
    server.refuse()
    rig.frames(16, 35)
    rig.wait(lambda numbers: "connection refused" in numbers["trouble"])
    assert rig.numbers()["state"] == "BUFFERING"
    rig.wait(lambda numbers: tries(numbers) >= 12)
    assert rig.numbers()["buffered_frames"] == 25
    server.listen()
    rig.frames(36, 60)
    rig.wait(lambda numbers: numbers["fragments_persisted"] == 5)
    rig.finish()

    assert_all_arrived(rig, 60)
    assert "STREAMING" in rig.states[rig.states.index("BUFFERING") :]
    for words in ("connected", "no connection: ", "recovered: 1 fragments were sent once more"):
        assert words in caplog.text
    assert caplog.text.count("times in a row") == 1
    assert "not persisted" not in caplog.text


def test_a_server_that_hangs_is_left(
    server: KVSServer, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel takes what it can; nothing of it is acknowledged, and nothing is lost."""
    monkeypatch.setattr("backpack._outputs.kvs.worker.producer.session.STALE_SECONDS", 1.0)
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"])
    server.faults.freeze()
    rig.frames(16, 35)
    rig.wait(lambda numbers: "no acknowledgements" in numbers["reconnects"])
    server.faults.thaw()
    rig.finish()

    assert_all_arrived(rig, 35)


def test_a_server_that_reads_and_never_answers_is_left(
    server: KVSServer, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That its kernel takes all that is sent excuses no missing answer."""
    monkeypatch.setattr("backpack._outputs.kvs.worker.producer.session.STALE_SECONDS", 1.0)
    monkeypatch.setattr(duties, "LOOK_SECONDS", 0.05)
    server.faults.silent = True
    over = threading.Event()

    def encode() -> None:
        number = 0
        while not over.wait(0.02):
            number += 1
            rig.frames(number, number)

    encoder = threading.Thread(target=encode)
    encoder.start()
    try:
        rig.wait(lambda numbers: "no acknowledgements" in numbers["reconnects"])
    finally:
        over.set()
        encoder.join()


def test_resets_cost_nothing(server: KVSServer, rig: Rig) -> None:
    """In the middle of a fragment, three times; each is counted by its cause."""
    server.faults.reset_after_blocks = 5
    server.faults.resets = 3
    # One fragment: before the reset is noticed the next one may have been begun, too.
    rig.frames(1, 10)
    rig.wait(lambda numbers: sum(numbers["reconnects"].values()) == 3)
    rig.frames(11, 25)
    rig.finish()

    assert_all_arrived(rig, 25)
    assert rig.numbers()["reconnects"] == {"connection reset": 3}
    assert rig.numbers()["fragments_resent"] == 3


def test_half_a_connection_is_noticed_at_once(server: KVSServer, rig: Rig) -> None:
    """The server ends its answers and reads on; nobody waits for what will not come."""
    server.faults.half_close_after_fragments = 1
    rig.frames(1, 15)
    before = time.monotonic()
    rig.wait(lambda numbers: numbers["reconnects"])
    # Each connection brings one fragment; the producer would wait for 20 s.
    assert time.monotonic() - before < 10
    server.faults.half_close_after_fragments = None
    rig.finish()

    assert_all_arrived(rig, 15)
    assert set(rig.numbers()["reconnects"]) <= {"answers ended", "closed by the service"}


def test_a_connection_that_is_too_old_for_the_service_costs_nothing(
    server: KVSServer, rig: Rig
) -> None:
    """It ends them after 45 minutes, whatever they are at."""
    server.faults.close_after_seconds = 0.5
    rig.frames(1, 55)
    rig.finish()

    assert_all_arrived(rig, 55)
    assert len(rig.stream.sessions) > 1


def test_errors_of_the_service_cost_nothing(server: KVSServer, rig: Rig) -> None:
    """Each of those that can be tried again, and each refusal before a connection."""
    server.faults.acks = deque(RETRYABLE)
    server.faults.http["/putMedia"] = deque(REFUSALS)
    server.faults.http["/describeStream"] = deque([HttpError(400, "ClientLimitExceeded")])
    rig.frames(1, 25)
    rig.finish()

    assert_all_arrived(rig, 25)
    assert rig.upload.trouble == ""
    assert set(rig.numbers()["reconnects"]) >= {"4000 X", "503", "400 ClientLimitExceeded"}


def test_an_error_that_lasts_ends_with_a_sentence(server: KVSServer, rig: Rig) -> None:
    """Nothing is encoded for it any more, and what waited is told."""
    server.faults.acks = deque([AckError(4010, "TRACK_NUMBER_MISMATCH")])
    rig.frames(1, 5)
    wait_for(lambda: rig.upload.failed)

    assert "track" in rig.upload.trouble
    assert (rig.upload.viewers, rig.hub.subscriber_count) == (0, 0)
    assert rig.upload.finished


def test_a_stream_that_is_made_anew_goes_on(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While there is none it is FAILED and told once; it goes on encoding, and nothing is lost."""
    monkeypatch.setattr(retries, "MENDING_SECONDS", 0.2)
    server.streams._streams.clear()
    with Rig(server) as rig:
        rig.frames(1, 5)
        rig.wait(lambda numbers: numbers["state"] == "FAILED")
        wait_for(lambda: len(server.requests) >= 4)
        assert "create_stream=True" in rig.upload.trouble
        assert (rig.upload.failed, rig.upload.viewers) == (False, 1)
        server.streams.add("test")
        rig.wait(lambda numbers: numbers["state"] == "STREAMING")
        rig.frames(6, 10)
        rig.finish()
        assert_all_arrived(rig, 10)
        assert rig.upload.trouble == ""
    assert caplog.text.count("does not exist") == 1


def test_credentials_that_have_run_out_are_renewed(server: KVSServer) -> None:
    """The application is asked for others, and goes on with them."""
    server.keys[ACCESS_KEY] = Key(SECRET_KEY, "old", time.time() - 1)
    signer = Signer()
    signer.signing["token"] = "old"

    def renew() -> None:
        server.keys[ACCESS_KEY] = Key(SECRET_KEY, "new")
        signer.signing["token"] = "new"

    signer.on_renew = renew
    with Rig(server, signer) as rig:
        rig.frames(1, 15)
        rig.finish()

        assert_all_arrived(rig, 15)
        assert [message.renew for message in signer.asked].count(True) == 1


def test_without_credentials_video_waits(server: KVSServer) -> None:
    """The application says why it cannot sign; that is what the operator reads."""
    signer = Signer()
    signer.trouble = "Unable to locate credentials."
    with Rig(server, signer) as rig:
        rig.frames(1, 15)
        wait_for(lambda: signer.trouble in rig.upload.trouble)
        assert rig.numbers()["state"] == "BUFFERING"
        assert server.requests == []
        signer.trouble = ""
        rig.finish()

        assert_all_arrived(rig, 15)


def test_an_answer_is_due_from_the_signature_on(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hangs is asked again after the time for an answer, not the longer one for signatures."""
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.3)
    server.faults.freeze()
    with Rig(server) as rig:
        rig.frames(1, 15)
        wait_for(lambda: len(rig.signer.asked) > 1)
        server.faults.thaw()
        rig.finish()

        assert_all_arrived(rig, 15)


def test_a_slow_reader_fills_no_memory(server: KVSServer, rig: Rig) -> None:
    """At most one frame waits beside the queue; and a slow line is no dead one."""
    server.faults.bytes_a_second = 4_000_000
    units = [dataclasses.replace(one, data=one.data + FILLER) for one in map(unit, range(1, 101))]
    for one in units:
        rig.hub.publish(one)
    largest = 0

    def unsent() -> int:
        # The thread makes them first of all.
        executor = getattr(rig.upload._uploader, "_executor", None)
        exchange = None if executor is None else executor._exchange
        line = None if exchange is None else exchange.connection._line
        return 0 if line is None else line.get_write_buffer_size()

    while rig.numbers()["frames_persisted"] < 90:
        largest = max(largest, unsent())
        time.sleep(0.0005)
    rig.finish()

    assert 0 < largest <= max(len(one.data) for one in units) + 1000
    assert_all_arrived(rig, 100)
    assert rig.numbers()["reconnects"] == {}


@pytest.mark.parametrize("seed", range(3))
def test_any_weather(server: KVSServer, rig: Rig, seed: int) -> None:
    """Everything that can be tried again, by chance: each frame arrives once and in order."""
    faults = server.faults
    faults.random = weather(seed)
    faults.ack_chance, faults.ack_choices = 0.25, RETRYABLE
    faults.http_chance, faults.http_choices = 0.2, REFUSALS
    faults.ack_form = list(AckForm)[seed]
    faults.reset_every_seconds = 0.7
    faults.ack_delay_seconds = 0.02 * seed
    for first in range(1, 101, 10):
        rig.frames(first, first + 9)
        rig.wait(lambda numbers, first=first: numbers["frames_persisted"] >= first - 21)
    faults.random = faults.reset_every_seconds = None
    rig.finish()

    assert_all_arrived(rig, 100)
    assert rig.numbers()["frames_persisted"] == 100
    assert len(rig.stream.sessions) > 2
