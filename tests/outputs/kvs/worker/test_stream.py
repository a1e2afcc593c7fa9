from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._media.hub import Hub
from backpack._outputs.kvs.messages import Signed, write_message
from backpack._outputs.kvs.settings import UploadSettings
from backpack._outputs.kvs.worker import uploader as driver
from backpack._outputs.kvs.worker.stream import KVSUpload
from backpack.errors import SettingsError
from tests.kvs_server.decoding import frame_numbers
from tests.outputs.kvs.worker.producer.video import unit
from tests.outputs.kvs.worker.rig import Rig, Signer, tries
from tests.waiting import open_descriptors, stays_true, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.messages import Sign
    from tests.kvs_server.server import KVSServer


def test_the_end_says_what_has_not_arrived(
    server: KVSServer, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, in fragments, frames and seconds."""
    server.refuse()
    rig.frames(1, 25)
    rig.finish(0.3)
    rig.close()

    assert rig.numbers()["state"] == "STOPPED"
    assert rig.numbers()["buffered_frames"] == 25
    assert caplog.text.count("3 fragments (25 frames, 2.4 s) were not persisted.") == 1


def test_a_stop_ends_in_time_though_the_line_is_blocked(server: KVSServer, rig: Rig) -> None:
    """Who reads nothing cannot hold it up."""
    rig.frames(1, 10)
    rig.wait(lambda numbers: numbers["state"] == "STREAMING")
    server.faults.freeze()
    for number in range(11, 61):
        one = unit(number)
        filler = b"\0\0\1\x0c" + bytes([0xFF]) * 200_000 + b"\x80"
        rig.hub.publish(type(one)(one.data + filler, one.key, one.pts_ns, one.wall_ns, number))
    wait_for(lambda: blocked(rig))
    rig.upload.finish(0.5)
    wait_for(lambda: rig.upload.finished, 10.0)
    server.faults.thaw()


def blocked(rig: Rig) -> bool:
    """Tell whether the kernel takes no more."""
    running = rig.upload._uploader
    exchange = running._executor._exchange if running is not None else None
    return exchange is not None and exchange.connection.blocked


def test_without_an_application_a_spare_head_opens_the_next_connection(
    server: KVSServer, rig: Rig
) -> None:
    """Also after the port was refused, when the endpoint would be asked for anew."""
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"])
    spare_is_there(rig)
    rig.signer.is_silent = True
    rig.upload.on_app_exit()
    server.refuse()
    rig.frames(16, 25)
    rig.wait(lambda numbers: tries(numbers) >= 3)
    asked = len(rig.signer.asked)
    server.listen()
    rig.finish()

    assert frame_numbers(rig.stream.timeline()) == list(range(1, 26))
    assert len(rig.signer.asked) == asked


def test_a_spare_head_helps_who_waits_for_a_signature(server: KVSServer, rig: Rig) -> None:
    """The application died without answering."""
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"])
    spare_is_there(rig)
    rig.signer.is_silent = True
    asked = len(rig.signer.asked)
    server.faults.reset_after_blocks, server.faults.resets = 3, 1
    rig.frames(16, 25)
    wait_for(lambda: len(rig.signer.asked) > asked)
    rig.upload.on_app_exit()
    rig.finish()

    assert frame_numbers(rig.stream.timeline()) == list(range(1, 26))
    assert "no answer" not in rig.numbers()["reconnects"]


def test_without_a_good_spare_head_the_end_says_what_was_lost(
    server: KVSServer, caplog: pytest.LogCaptureFixture
) -> None:
    """AWS would not take it any more."""
    signer = Signer()
    signer.good_seconds = 0.0
    with Rig(server, signer) as rig:
        rig.frames(1, 15)
        rig.wait(lambda numbers: numbers["fragments_persisted"])
        rig.upload.on_app_exit()
        server.faults.reset_after_blocks, server.faults.resets = 3, 1
        rig.frames(16, 25)
        rig.finish(1.0)

    # The reset may overtake the acknowledgement of the fragment before.
    assert re.search(r"[12] fragments \((5|15) frames", caplog.text)
    assert "application has gone" in caplog.text


def spare_is_there(rig: Rig) -> None:
    """Wait until the spare head is."""
    running = rig.upload._uploader
    assert running is not None
    wait_for(lambda: running._executor._signatures._spare is not None)


def test_pushing_never_waits_and_skips_to_a_key_frame(server: KVSServer) -> None:
    """A thread that hangs costs its own frames, counted; then a key frame is asked for."""
    signer, held = Signer(), threading.Event()
    signer.on_asked = lambda _letter: held.wait(30.0)
    with Rig(server, signer, fragment_seconds=8.0) as rig:
        wait_for(lambda: signer.asked)
        before = time.monotonic()
        rig.frames(1, 415)
        assert time.monotonic() - before < 5.0
        assert rig.upload.lost == 115
        assert not rig.hub.take_key_request(0)
        held.set()
        wait_for(lambda: rig.hub.next_key_request_ns is not None)
        rig.frames(416, 425)
        rig.finish()

        taken = 300 + 5
        assert (rig.numbers()["frames_persisted"], rig.numbers()["frames_lost"]) == (taken, 120)


def test_a_key_frame_is_asked_for_where_a_fragment_should_begin(rig: Rig) -> None:
    """The encoder makes one every few seconds only if it is told to."""
    rig.frames(1, 10)
    rig.wait(lambda numbers: numbers["frames_taken"] == 10)
    assert rig.hub.next_key_request_ns is None
    rig.hub.publish(unit(12))
    wait_for(lambda: rig.hub.next_key_request_ns is not None)


def test_frames_are_gathered_and_a_key_frame_waits_for_nobody(
    server: KVSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept on disk is written at once."""
    monkeypatch.setattr(driver, "GATHER_SECONDS", 20.0)
    # Whatever else wakes the thread lets it look for frames as well.
    monkeypatch.setattr(driver, "TELL_SECONDS", 20.0)
    signer = Signer()
    signer.is_silent = True
    with Rig(server, signer) as rig:
        wait_for(lambda: signer.asked)
        rig.frames(1, 1)
        wait_for(lambda: len(rig.upload._units) == 0 and sleeps(rig))
        rig.frames(2, 10)
        assert stays_true(lambda: len(rig.upload._units) == 9, 0.3)
        rig.frames(11, 11)
        wait_for(lambda: len(rig.upload._units) == 0)
        # Whoever stops waits for nobody, either.
        rig.frames(12, 15)
        rig.finish(0.0)
        assert rig.numbers()["buffered_frames"] == 15
    with Rig(server, signer, buffer_path=str(tmp_path)) as rig:
        for number in range(1, 6):
            rig.frames(number, number)
            wait_for(lambda: len(rig.upload._units) == 0, 10.0)


def sleeps(rig: Rig) -> bool:
    """Tell whether the thread sleeps: awake, it would take what comes."""
    running = rig.upload._uploader
    return running is not None and running._asleep


def test_pictures_that_were_made_for_viewers_do_not_go_in(rig: Rig) -> None:
    """A recording shows what was put."""
    rig.frames(1, 5)
    rig.hub.publish(unit(6, repeat=True))
    rig.frames(11, 15)
    rig.finish()

    assert frame_numbers(rig.stream.timeline()) == [*range(1, 6), *range(11, 16)]


def test_the_numbers_are_ready_for_json(rig: Rig) -> None:
    """All of them, from the beginning."""
    numbers = rig.upload.numbers()
    assert json.loads(json.dumps(numbers)) == numbers
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"] and numbers["frames_taken"] == 15)
    numbers = json.loads(json.dumps(rig.upload.numbers()))

    assert numbers["state"] == "STREAMING"
    assert (rig.upload.viewers, rig.upload.lost, rig.upload.failed) == (1, 0, False)
    assert (numbers["buffered_frames"], numbers["buffered_seconds"]) == (5, 0.5)
    assert numbers["buffered_bytes"] > 0
    assert len(numbers["last_fragment"]) == 47
    assert 0 <= numbers["last_fragment_age_seconds"] < 30
    counters = numbers["counters"]
    assert (counters["frames_taken"], counters["fragments_sent"]) == (15, 2)
    assert "STREAMING" in rig.states
    rig.finish()
    assert rig.states[-1] == "STOPPED"
    assert rig.upload.viewers == 0


def test_waiting_costs_nothing(rig: Rig) -> None:
    """Nobody looks around while nothing happens: the thread does not wake up once."""
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"])
    (thread,) = threads_named("spyglass-kvs")
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def wakes() -> str:
        return next(line for line in status.read_text().splitlines() if "voluntary" in line)

    def is_calm() -> bool:
        calm = wakes()
        return stays_true(lambda: wakes() == calm, 1.0, every=0.1)

    # What was sent last is acknowledged sooner or later.
    wait_for(is_calm)


def never_signed(_server: KVSServer, rig: Rig) -> None:
    """Wait for a signature."""
    rig.signer.is_silent = True


def refused(server: KVSServer, rig: Rig) -> None:
    """Wait before the next try."""
    server.refuse()
    wait_for(lambda: rig.numbers()["state"] == "BUFFERING")


def frozen(server: KVSServer, rig: Rig) -> None:
    """Wait for an answer."""
    server.faults.freeze()
    wait_for(lambda: rig.signer.asked)


def streaming(_server: KVSServer, rig: Rig) -> None:
    """Wait for frames."""
    rig.frames(1, 15)
    rig.wait(lambda numbers: numbers["fragments_persisted"])


def finishing(server: KVSServer, rig: Rig) -> None:
    """Wait for the last fragment."""
    server.faults.ack_delay_seconds = 20.0
    rig.frames(1, 15)
    rig.upload.finish(20.0)


def over(_server: KVSServer, rig: Rig) -> None:
    """Wait for nothing."""
    rig.finish()


def at_once(_server: KVSServer, _rig: Rig) -> None:
    """Wait for nothing, not even the thread's beginning."""


@pytest.mark.parametrize(
    "moment", [never_signed, refused, frozen, streaming, finishing, over, at_once]
)
def test_it_closes_at_any_moment(
    server: KVSServer, rig: Rig, moment: Callable[[KVSServer, Rig], None]
) -> None:
    """At once, twice, and nothing is left; who calls it then does no harm."""
    moment(server, rig)
    rig.close()
    wait_for(lambda: not threads_named("spyglass-kvs"))
    server.faults.thaw()
    server.faults.ack_delay_seconds = 0.0

    rig.close()
    rig.upload.finish(1.0)
    rig.upload.on_app_exit()
    rig.upload.push(unit(1))
    rig.upload.on_message(write_message(Signed(1)))
    assert rig.upload.finished
    assert (rig.upload.viewers, rig.hub.subscriber_count) == (0, 0)


def test_a_name_that_cannot_be_found_is_told(server: KVSServer) -> None:
    """At the first try, and the stream goes on waiting."""

    def lookup(*_values: Any, **_more: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with Rig(server, lookup=lookup, endpoint="https://kinesisvideo.invalid") as rig:
        rig.frames(1, 5)
        wait_for(lambda: "kinesisvideo.invalid" in rig.upload.trouble)
        assert rig.numbers()["state"] == "BUFFERING"
        assert not rig.upload.failed


def test_a_certificate_that_is_not_trusted_is_told(tls_server: KVSServer) -> None:
    """With what to do about it; nothing is sent meanwhile."""
    with Rig(tls_server) as rig:
        rig.frames(1, 5)
        wait_for(lambda: "AWS_CA_BUNDLE" in rig.upload.trouble)

    assert tls_server.heads == []


WITHOUT_H11 = """
import sys
sys.modules["h11"] = None
from backpack._media.hub import Hub
from backpack._outputs.kvs.settings import UploadSettings
from backpack._outputs.kvs.worker import stream
from backpack._outputs.kvs.worker.kvssink import output
from backpack.errors import MissingDependencyError
settings = UploadSettings.from_dict({"region": "us-east-1", "stream_name": "test"})
upload = stream.KVSUpload(Hub(), settings, say=print, on_stats_changed=print)
try:
    upload.open()
except MissingDependencyError as error:
    print(error)
"""


def test_without_h11_the_error_says_what_to_install() -> None:
    """The streaming process may run under a Python that lacks it; kvssink needs none of it."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_H11], capture_output=True, text=True, check=True
    )

    assert "python3-h11" in done.stdout


def test_what_cannot_be_sent_waits_on_disk(
    server: KVSServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For the next start, which sends it first."""
    server.refuse()
    with Rig(server, buffer_path=str(tmp_path)) as rig:
        rig.frames(1, 15)
        rig.finish(0.3)
    assert "15 of the frames are in buffer_path" in caplog.text
    server.listen()
    with Rig(server, buffer_path=str(tmp_path)) as rig:
        rig.frames(21, 25)
        rig.finish()

        assert frame_numbers(rig.stream.timeline()) == [*range(1, 16), *range(21, 26)]
        assert rig.numbers()["fragments_recovered"] == 2


def test_no_secret_is_logged(server: KVSServer, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens: no head, no token, no signature."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="botocore")
    signatures: list[str] = []
    signer = Signer()

    def remember(message: Sign) -> None:
        signatures.append(signer.sign(message).head.partition("Signature=")[2][:64])

    signer.on_asked = remember
    with Rig(server, signer) as rig:
        server.faults.reset_after_blocks, server.faults.resets = 3, 2
        rig.frames(1, 15)
        rig.wait(lambda numbers: numbers["fragments_persisted"])
        rig.upload.on_message({"type": "Signed", "nonsense": "secret"})
        server.refuse()
        rig.finish(0.5)

    assert len(signatures) > 2
    for secret in (*signatures, "AWS4-HMAC-SHA256", "AKID"):
        assert secret not in caplog.text


def test_nonsense_from_the_application_is_survived(rig: Rig) -> None:
    """Another version may run there."""
    for body in ({}, {"type": "Signed"}, {"type": "Sign", "number": 1}, {"type": 1}):
        rig.upload.on_message(body)
    rig.frames(1, 5)
    rig.finish()

    assert rig.numbers()["frames_persisted"] == 5


def test_a_mistake_in_here_is_told_and_ends_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread does not die silently, and leaves nothing open."""
    monkeypatch.setattr(rig.upload._uploader, "_take_units", lambda _now: 1 / 0)
    rig.frames(1, 1)
    wait_for(lambda: rig.upload.failed)

    assert "report" in rig.upload.trouble
    assert "ZeroDivisionError" in caplog.text
    wait_for(lambda: rig.upload.finished)
    wait_for(lambda: rig.hub.subscriber_count == 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"speed": 1}, "speed"),
        ({"region": "mars"}, "mars"),
        ({"ca_bundle": "/nowhere"}, "/nowhere"),
        ({"ca_bundle": __file__}, "AWS_CA_BUNDLE"),
        ({"fragment_seconds": 99.0}, "fragment_seconds"),
        ({"buffer_path": "/dev/null/x"}, "buffer_path"),
    ],
)
def test_what_cannot_be_is_refused(server: KVSServer, wrong: dict[str, Any], words: str) -> None:
    """When it is opened, with the setting's name."""
    with pytest.raises(SettingsError, match=words):
        Rig(server, **wrong)


def test_an_upload_that_gets_no_thread_leaves_nothing_behind(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are too many threads it fails when it is opened, and gives everything back."""
    upload = KVSUpload(
        Hub(linger_ns=0, on_change=lambda: None),
        UploadSettings("us-east-1", "test", server.url),
        say=lambda _letter: None,
        on_stats_changed=lambda: None,
    )
    before = open_descriptors()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            upload.open()
    upload.close()
    upload.close()

    assert upload.finished
    assert open_descriptors() <= before


def test_settings_are_all_that_the_producer_knows_and_more() -> None:
    """A description has a kind, and may leave out what has a default."""
    description = {"kind": "kvs", "region": "us-east-1", "stream_name": "x", "ca_bundle": None}
    settings = UploadSettings.from_dict(description)

    assert (settings.region, settings.buffer_path) == ("us-east-1", None)
    with pytest.raises(SettingsError, match="stream_name"):
        UploadSettings.from_dict({"region": "us-east-1"})
