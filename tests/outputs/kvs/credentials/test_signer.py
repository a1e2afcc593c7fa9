from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.file import CredentialsFile
from backpack._outputs.kvs.credentials.handlers import (
    KVSCredentialsHandler,
    KVSInlineCredentialsHandler,
)
from backpack._outputs.kvs.credentials.signer import PATIENCE_SECONDS, Signer
from backpack._outputs.kvs.shared.api import Operation, SignedHead, write_request
from backpack.errors import MissingDependencyError, SettingsError, SigningError
from tests.kvs_server.client import HandClient
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.signature import Key
from tests.outputs.kvs.credentials.stand_ins import SECRET, TOKEN, Answers, Scripted, made
from tests.waiting import PATIENCE, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kvs_server.server import KVSServer
    from tests.outputs.kvs.credentials.stand_ins import Clock

AWS = "https://kinesisvideo.us-east-1.amazonaws.com"
REQUEST = write_request(Operation.DESCRIBE_STREAM, AWS, {"StreamName": "test"})


@pytest.fixture
def start(clock: Clock) -> Iterator[Callable[..., Signer]]:
    """Start signers, and close them."""
    signers = []

    def started(handler: KVSCredentialsHandler, **options: Any) -> Signer:
        signer = Signer("us-east-1", handler, wall=clock.wall, clock=clock.now, **options)
        signers.append(signer)
        signer.start()
        return signer

    yield started
    for signer in signers:
        signer.close()
    assert threads_named("spyglass-kvs-signer") == []


def signed(signer: Signer, **options: Any) -> Any:
    """Have a request signed, and wait for the answer."""
    answers = Answers()
    signer.sign(REQUEST, then=answers, **options)
    return answers.next()


def signed_by(answer: Any) -> str:
    """Give the access key of a head."""
    assert isinstance(answer, SignedHead)
    return answer.head.decode().partition("Credential=")[2].partition("/")[0]


def test_the_server_takes_what_it_signs(start: Callable[..., Signer], server: KVSServer) -> None:
    """From the handler's keys to the service's answer."""
    signer = start(KVSInlineCredentialsHandler(ACCESS_KEY, SECRET_KEY), endpoint=server.url)
    answers = Answers()
    body = {"StreamName": "test", "DataRetentionInHours": 2}
    request = write_request(Operation.CREATE_STREAM, server.url, body)
    signer.sign(request, then=answers)
    answer = answers.next()

    assert answer.good_seconds == 240
    assert answer.expires_in_seconds is None
    with HandClient(server) as client:
        client.sock.sendall(answer.head + request.body)
        assert client.answer().status == 200
    assert answers.threads == ["spyglass-kvs-signer"]


@pytest.mark.usefixtures("container")
def test_a_containers_role_signs(server: KVSServer) -> None:
    """The real chain: short-lived credentials, with their token, on real clocks."""
    server._clock = time.time
    signer = Signer("us-east-1", KVSCredentialsHandler(), endpoint=server.url)
    signer.start()
    try:
        answers = Answers()
        request = write_request(Operation.DESCRIBE_STREAM, server.url, {"StreamName": "none"})
        signer.sign(request, then=answers)
        answer = answers.next()
        server.keys[signed_by(answer)] = Key(SECRET, TOKEN)
        with HandClient(server) as client:
            client.sock.sendall(answer.head + request.body)
            assert client.answer().status == 404

        assert 0 < answer.good_seconds <= 60
        assert answer.expires_in_seconds == answer.good_seconds
        numbers = signer.numbers()
        assert numbers["credentials_source"] == "container-role"
        assert 0 < numbers["credentials_expire_in_seconds"] <= 60

        signer.sign(request, renew=True, then=answers)
        assert signed_by(answers.next()) != signed_by(answer)
        assert signer.numbers()["credentials_renewed"] == 1
    finally:
        signer.close()


def test_nothing_is_looked_up_before_it_starts(clock: Clock) -> None:
    """Neither making a handler, nor making a signer, asks for credentials."""
    handler = Scripted(made())
    Signer("us-east-1", handler, wall=clock.wall, clock=clock.now)

    assert handler.calls == 0
    assert threads_named("spyglass-kvs") == []


def test_credentials_are_looked_up_when_it_starts(start: Callable[..., Signer]) -> None:
    """So that the first request need not wait for them."""
    handler = Scripted(made())
    signer = start(handler)

    wait_for(lambda: signer.numbers()["credentials_good"])
    assert handler.threads == ["spyglass-kvs-credentials"]


def test_requests_wait_for_the_first_credentials(start: Callable[..., Signer]) -> None:
    """`sign` returns at once; the answer comes with the credentials."""
    gate = threading.Event()
    answers = Answers()
    signer = start(Scripted(gate, made()))
    for _ in range(3):
        signer.sign(REQUEST, then=answers)
    assert answers.queue.empty()

    gate.set()
    assert {signed_by(answers.next()) for _ in range(3)} == {made().access_key}


def test_without_credentials_the_error_says_why(start: Callable[..., Signer], clock: Clock) -> None:
    """It is told at once while the next try is not due, and forgotten when there are some."""
    handler = Scripted(OSError("no route"), made())
    signer = start(handler)

    for _ in range(2):
        answer = signed(signer)
        assert isinstance(answer, SigningError)
        assert "OSError: no route" in str(answer)
    assert handler.calls == 1

    clock.seconds = 1
    assert signed_by(signed(signer)) == made().access_key


def test_old_credentials_sign_until_they_run_out(
    start: Callable[..., Signer], clock: Clock
) -> None:
    """A renewal that fails or hangs holds no request up; only then is there an error."""
    gate = threading.Event()
    handler = Scripted(made(1, lasts=60), OSError("no route"), gate, made(2, lasts=120))
    signer = start(handler)
    assert signed_by(signed(signer)) == made(1).access_key
    clock.seconds = 30
    assert signed(signer).expires_in_seconds == 30
    wait_for(lambda: signer.numbers()["credentials_failures"])
    clock.seconds = 45
    assert signed_by(signed(signer)) == made(1).access_key
    wait_for(lambda: handler.calls == 3)
    clock.seconds = 59
    assert signed(signer).good_seconds == 1

    clock.seconds = 60
    answers = Answers()
    signer.sign(REQUEST, then=answers)
    assert not signer.numbers()["credentials_good"]
    gate.set()
    assert signed_by(answers.next()) == made(2).access_key


def test_what_never_answers_is_told_after_a_while(
    start: Callable[..., Signer], clock: Clock
) -> None:
    """A request waits for credentials half a minute."""
    gate = threading.Event()
    signer = start(Scripted(gate, made()))
    answers = Answers()
    signer.sign(REQUEST, then=answers)
    clock.seconds = PATIENCE_SECONDS + 1
    signer._wake()

    assert "does not answer" in str(answers.next())
    gate.set()


def test_renewing_waits_for_fresh_ones(start: Callable[..., Signer], clock: Clock) -> None:
    """Others go on with the old ones meanwhile; forced ones are kept apart."""
    gate = threading.Event()
    handler = Scripted(made(1), gate, made(2), made(3))
    signer = start(handler)
    assert signed_by(signed(signer)) == made(1).access_key
    answers = Answers()
    signer.sign(REQUEST, renew=True, then=answers)
    assert signed_by(signed(signer)) == made(1).access_key
    assert answers.queue.empty()

    gate.set()
    assert signed_by(answers.next()) == made(2).access_key
    assert signed_by(signed(signer, renew=True)) == made(2).access_key
    clock.seconds = 10
    assert signed_by(signed(signer, renew=True)) == made(3).access_key


def test_a_failed_forced_renewal_signs_with_the_old_ones(start: Callable[..., Signer]) -> None:
    """A refusal may have other reasons, and they are not run out."""
    signer = start(Scripted(made(1), OSError("no route")))
    signed(signer)

    assert signed_by(signed(signer, renew=True)) == made(1).access_key
    assert signer.numbers()["credentials_trouble"] == "OSError: no route"


def test_streams_that_share_a_handler_do_not_fight(start: Callable[..., Signer]) -> None:
    """Whoever forces renewals, and from how many threads: they are got once for all."""
    handler = Scripted(made(1), made(2), made(3))
    signers = [start(handler) for _ in range(4)]
    for signer in signers:
        signed(signer)
    answers = Answers()
    for signer in signers * 5:
        signer.sign(REQUEST, renew=True, then=answers)

    assert {signed_by(answers.next()) for _ in range(20)} == {made(2).access_key}
    assert handler.calls == 2
    signers[0].close()
    assert signed_by(signed(signers[1])) == made(2).access_key


def test_what_is_refused_is_answered(start: Callable[..., Signer]) -> None:
    """A foreign endpoint gets an error instead of a signature."""
    signer = start(Scripted(made()))
    answers = Answers()
    signer.sign(write_request(Operation.PUT_MEDIA, "https://example.com"), then=answers)
    answer = answers.next()

    assert isinstance(answer, SigningError)
    assert "example.com" in str(answer)


def test_a_region_that_cannot_be_is_refused() -> None:
    """It is found when the signer is made."""
    with pytest.raises(SettingsError, match="stream_region"):
        Signer("nowhere", Scripted(made()))


def test_without_botocore_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application hears of it at once."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    signer = Signer("us-east-1", Scripted(made()))
    with pytest.raises(MissingDependencyError, match="pip install"):
        signer.start()
    assert threads_named("spyglass-kvs") == []


def test_closing_answers_what_is_open(start: Callable[..., Signer]) -> None:
    """And what is asked later; it may be closed twice, and started again."""
    gate = threading.Event()
    signer = start(Scripted(gate, made()))
    answers = Answers()
    signer.sign(REQUEST, then=answers)
    gate.set()
    answers.next()
    signer.close()
    signer.close()
    assert "closed" in str(signed(signer))

    signer.start()
    signer.start()
    assert signed_by(signed(signer)) == made().access_key


def test_what_hangs_does_not_hold_up_close(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its daemon thread is left behind, and that is logged; open requests are answered."""
    # Enough for the thread that does not hang, on a busy machine too.
    monkeypatch.setattr("backpack._outputs.kvs.credentials.signer._CLOSE_SECONDS", 1.0)
    gate = threading.Event()
    signer = Signer("us-east-1", Scripted(gate, made()), wall=clock.wall, clock=clock.now)
    signer.start()
    wait_for(lambda: threads_named("spyglass-kvs-credentials"))
    answers = Answers()
    signer.sign(REQUEST, then=answers)
    signer.close()

    assert "closed" in str(answers.next())
    assert caplog.messages == ["Thread spyglass-kvs-credentials hangs and is left behind."]
    [left] = threads_named("spyglass-kvs")
    assert left.daemon
    gate.set()
    left.join(PATIENCE)


def test_an_answer_that_is_not_taken_ends_nothing(
    start: Callable[..., Signer], caplog: pytest.LogCaptureFixture
) -> None:
    """The thread lives on, and the log shows the mistake, but no head."""
    signer = start(Scripted(made()))

    def refuse(_: object) -> None:
        raise RuntimeError("mine")

    signer.sign(REQUEST, then=refuse)
    assert signed_by(signed(signer)) == made().access_key
    assert "RuntimeError: mine" in caplog.text
    assert "Credential=" not in caplog.text


def test_it_may_be_closed_from_an_answer(start: Callable[..., Signer]) -> None:
    """Nothing waits for itself."""
    signer = start(Scripted(made()))
    done = threading.Event()

    def close(_: object) -> None:
        signer.close()
        done.set()

    signer.sign(REQUEST, then=close)
    assert done.wait(PATIENCE)
    wait_for(lambda: not threads_named("spyglass-kvs-signer"))


def test_the_file_is_kept(start: Callable[..., Signer], clock: Clock) -> None:
    """It is there when the credentials are given, and rewritten when they are renewed."""
    file = CredentialsFile()
    signer = start(Scripted(made(1, lasts=600), made(2, lasts=1200)), file=file)
    answers = Answers()
    signer.give(answers)
    assert answers.next() == made(1, lasts=600)
    path = Path(file.path)
    assert f"{TOKEN}1" in path.read_text()

    clock.seconds = 300
    signer._wake()
    wait_for(lambda: f"{TOKEN}2" in path.read_text())
    signer.close()
    assert not path.parent.exists()


def test_a_file_that_cannot_be_written_is_an_error(
    start: Callable[..., Signer], tmp_path: Path, clock: Clock
) -> None:
    """Requests are signed all the same; the file is tried again."""
    (tmp_path / "file").mkdir()
    signer = start(Scripted(made()), file=CredentialsFile(str(tmp_path / "file")))
    answers = Answers()
    signer.give(answers)

    assert "cannot be written" in str(answers.next())
    assert signed_by(signed(signer)) == made().access_key
    assert signer.numbers()["credentials_file_failures"] == 1
    (tmp_path / "file").rmdir()
    clock.seconds = 1
    signer.give(answers)
    assert isinstance(answers.next(), Credentials)


def test_no_secret_is_told_anywhere(
    start: Callable[..., Signer], caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """Not by a log at DEBUG, botocore's included, a repr or the numbers, whatever happens."""
    caplog.set_level(logging.DEBUG)
    handler = Scripted(
        made(1, lasts=60), ValueError(f"{SECRET} {TOKEN}"), made(2, lasts=600), made(3)
    )
    signer = start(handler, file=CredentialsFile())
    answers = Answers()
    shown = []
    for clock.seconds in (0, 30, 40, 700):
        signer.sign(REQUEST, then=answers)
        shown.append(repr(answers.next()))
        signer.sign(REQUEST, renew=True, then=answers)
        shown.append(repr(answers.next()))
        shown += [repr(signer), repr(handler), repr(signer.numbers()), repr(vars(handler))]
        shown += [
            repr(vars(signer)),
            repr(vars(handler.credentials_cache)),
            repr(vars(signer._file)),
        ]

    assert signer.numbers()["credentials_renewed"] >= 1
    assert "botocore" not in caplog.text
    for hidden in (SECRET, TOKEN, made(1).access_key, "Security-Token"):
        assert hidden not in caplog.text
        assert hidden not in " ".join(shown)
