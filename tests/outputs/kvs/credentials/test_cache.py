from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

import botocore.credentials
import pytest

from backpack._outputs.kvs.credentials.handlers import KVSCredentialsHandler
from backpack.errors import CredentialsError
from tests.outputs.kvs.credentials.stand_ins import SECRET, START, TOKEN, Clock, Scripted, iso, made
from tests.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from backpack._outputs.kvs.credentials.cache import CacheStatus, CredentialsCache
    from backpack._outputs.kvs.credentials.credentials import Credentials


def refresh_if_due(cache: CredentialsCache, clock: Clock, *, renew: bool = False) -> CacheStatus:
    """Attend now."""
    return cache.refresh_if_due(wall=clock.wall(), now=clock.now(), renew=renew)


class Watched:
    """A cache of a script, which is waited for."""

    def __init__(self, clock: Clock, *script: Credentials | Exception | threading.Event) -> None:
        self.handler = Scripted(*script)
        self.cache = self.handler.credentials_cache
        self.clock = clock
        self.done = threading.Semaphore(0)
        self.cache.attach(self.done.release)

    def look(self, *, renew: bool = False) -> CacheStatus:
        """Attend, wait for what that has begun, and give how it stands then."""
        if refresh_if_due(self.cache, self.clock, renew=renew).fetching:
            assert self.done.acquire(timeout=PATIENCE)
        return refresh_if_due(self.cache, self.clock)

    def numbers(self) -> dict[str, object]:
        """Give its numbers, now."""
        return self.cache.numbers(wall=self.clock.wall(), now=self.clock.now())


def test_the_first_are_got_in_the_background(clock: Clock) -> None:
    """Whoever asks does not wait, and is woken."""
    watched = Watched(clock, made())
    first = refresh_if_due(watched.cache, clock)

    assert first.credentials is None
    assert first.fetching
    assert watched.done.acquire(timeout=PATIENCE)
    then = refresh_if_due(watched.cache, clock)
    assert then.credentials == made()
    assert not then.fetching
    assert then.due_in == 3600 - 840
    assert watched.handler.threads == ["spyglass-kvs-credentials"]


def test_they_are_renewed_ahead_of_expiry(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Each renewal is logged once with the new expiry, and counted."""
    caplog.set_level(logging.INFO)
    watched = Watched(clock, made(1, lasts=60), made(2, lasts=90))
    watched.look()
    clock.seconds = 29.9
    assert not refresh_if_due(watched.cache, clock).fetching
    clock.seconds = 30
    assert watched.look().credentials == made(2, lasts=90)

    numbers = watched.numbers()
    assert numbers["credentials_renewed"] == 1
    assert numbers["credentials_expire_in_seconds"] == 60
    assert numbers["credentials_good"] is True
    assert numbers["credentials_source"] == "s"
    assert caplog.messages == [
        "AWS credentials found (s): ASIA…, good until 2026-11-22T09:51:36Z.",
        "AWS credentials renewed (s): ASIA…, good until 2026-11-22T09:52:06Z.",
    ]


def test_old_ones_are_used_until_they_run_out(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed renewal is logged and shown, tried again, and forgotten when one works."""
    watched = Watched(
        clock, made(1, lasts=60), OSError("no route"), OSError("no route"), made(2, lasts=90)
    )
    watched.look()
    clock.seconds = 30
    standing = watched.look()

    assert standing.credentials == made(1, lasts=60)
    assert standing.due_in == 1
    assert watched.numbers()["credentials_trouble"] == "OSError: no route"
    assert watched.numbers()["credentials_failures"] == 1
    [told] = caplog.messages
    assert "could not be had: OSError: no route. " in told
    assert "good for another 30 s. Trying again in 1 s." in told

    clock.seconds = 60
    standing = watched.look()
    assert standing.credentials is None
    assert standing.trouble == "OSError: no route"
    assert watched.numbers()["credentials_good"] is False
    assert watched.numbers()["credentials_expire_in_seconds"] == 0

    clock.seconds = 62
    assert watched.look().credentials == made(2, lasts=90)
    assert watched.numbers()["credentials_trouble"] == ""
    assert watched.numbers()["credentials_failures"] == 0


def test_what_hangs_holds_nobody_up(clock: Clock) -> None:
    """While new ones do not come the old ones are given, and nothing else is begun."""
    hangs = threading.Event()
    watched = Watched(clock, made(1, lasts=60), hangs, made(2, lasts=120))
    watched.look()
    for clock.seconds in (30, 45, 59):
        standing = refresh_if_due(watched.cache, clock)
        assert standing.credentials == made(1, lasts=60)
        assert standing.fetching
    clock.seconds = 61
    assert refresh_if_due(watched.cache, clock).credentials is None

    hangs.set()
    assert watched.done.acquire(timeout=PATIENCE)
    assert refresh_if_due(watched.cache, clock).credentials == made(2, lasts=120)
    assert watched.handler.calls == 2


def test_what_takes_long_is_told_before_it_has_failed(clock: Clock) -> None:
    """Five seconds are nothing; then it is said that credentials are being looked for."""
    hangs = threading.Event()
    watched = Watched(clock, hangs, made())
    refresh_if_due(watched.cache, clock)
    clock.seconds = 4
    assert watched.numbers()["credentials_trouble"] == ""
    clock.seconds = 12
    assert "looked for for 12 s" in str(watched.numbers()["credentials_trouble"])

    hangs.set()
    assert watched.done.acquire(timeout=PATIENCE)
    refresh_if_due(watched.cache, clock)
    assert watched.numbers()["credentials_trouble"] == ""


def test_a_renewal_is_forced_but_not_for_ever(clock: Clock) -> None:
    """The first refusal gets others at once; those that follow wait."""
    watched = Watched(clock, *(made(number) for number in range(9)))
    watched.look()
    assert watched.look(renew=True).credentials == made(1)
    assert watched.handler.forgotten == 1

    assert not refresh_if_due(watched.cache, clock, renew=True).fetching
    clock.seconds = 10
    assert watched.look(renew=True).credentials == made(2)
    clock.seconds = 20
    assert not refresh_if_due(watched.cache, clock, renew=True).fetching
    assert watched.handler.calls == 3


def test_those_that_had_run_out_when_they_came_are_a_failure(clock: Clock) -> None:
    """That is what a wrong clock looks like."""
    watched = Watched(clock, made(lasts=-5))
    standing = watched.look()

    assert standing.credentials is None
    assert "clock" in standing.trouble
    assert standing.due_in == 1


def test_the_same_ones_again_are_no_renewal(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Neither logged nor counted; asked again in a minute."""
    caplog.set_level(logging.INFO)
    watched = Watched(clock, made(lasts=3600), made(lasts=3600), made(2, lasts=7200))
    watched.look()
    clock.seconds = 3600 - 840
    assert watched.look().due_in == 60
    assert watched.numbers()["credentials_renewed"] == 0
    assert len(caplog.messages) == 1

    clock.seconds += 60
    assert watched.look().credentials == made(2, lasts=7200)


class Wrong(KVSCredentialsHandler):
    """Overrides it wrongly."""

    def __init__(self, wrong: object) -> None:
        super().__init__()
        self.wrong = wrong

    def get_credentials(self) -> Credentials:
        """Do it wrong."""
        if callable(self.wrong):
            self.wrong()
        return self.wrong  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (None, "gave a NoneType: give Credentials.of"),
        ((SECRET, TOKEN), "gave a tuple"),
        (sys.exit, "SystemExit"),
    ],
)
def test_a_handler_that_gives_something_else_is_a_failure(
    wrong: object, says: str, clock: Clock
) -> None:
    """The error says what it gave, not what is in it."""
    handler = Wrong(wrong)
    done = threading.Event()
    handler.credentials_cache.attach(done.set)
    refresh_if_due(handler.credentials_cache, clock)
    assert done.wait(PATIENCE)
    standing = refresh_if_due(handler.credentials_cache, clock)

    assert says in standing.trouble
    assert SECRET not in standing.trouble


def test_what_boto3_gives_is_taken(clock: Clock) -> None:
    """From a handler of the user's: lasting ones, frozen ones, and those that run out."""
    lasting = botocore.credentials.Credentials("AKIA1", SECRET, None, "theirs")
    expires = {"access_key": "ASIA2", "secret_key": SECRET, "token": TOKEN,
               "expiry_time": iso(time.time() + 7200)}  # fmt: skip
    renewable = botocore.credentials.RefreshableCredentials.create_from_metadata(
        expires, lambda: expires, "sts"
    )
    taken = []
    for given in (lasting, lasting.get_frozen_credentials(), renewable):
        handler = Wrong(given)
        done = threading.Event()
        handler.credentials_cache.attach(done.set)
        now = time.time()
        handler.credentials_cache.refresh_if_due(wall=now, now=clock.now())
        assert done.wait(PATIENCE)
        taken.append(
            handler.credentials_cache.refresh_if_due(wall=now, now=clock.now()).credentials
        )

    assert [one and one.access_key for one in taken] == ["AKIA1", "AKIA1", "ASIA2"]
    assert [one and one.source for one in taken] == ["theirs", "", "sts"]
    assert taken[0] is not None
    assert taken[2] is not None
    assert taken[0].expires_at is None
    assert taken[2].expires_in_seconds(time.time()) == pytest.approx(7200, abs=5)


def test_who_asks_a_question_is_told_that_nobody_answers(clock: Clock) -> None:
    """A bare EOFError would say nothing to anybody."""
    standing = Watched(clock, EOFError("EOF when reading a line")).look()

    assert "nobody here to answer" in standing.trouble
    assert "EOF" not in standing.trouble


def test_the_same_trouble_is_warned_of_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again all the same; another trouble is another warning."""
    caplog.set_level(logging.INFO)
    again = OSError("The network is away.")
    watched = Watched(
        clock, again, again, CredentialsError("There are no AWS credentials."), made()
    )
    for _ in range(4):
        watched.look()
        clock.seconds += 100

    warned = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert warned == [
        "AWS credentials could not be had: OSError: The network is away. Trying again in 1 s.",
        "There are no AWS credentials. Trying again in 4 s.",
    ]
    assert len(caplog.records) == 4


def test_an_error_that_quotes_a_secret_is_hidden(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What looks like a key or a token is masked in log and numbers; the rest is told."""
    caplog.set_level(logging.DEBUG)
    watched = Watched(clock, ValueError(f"cannot read {SECRET}\nnor 'Token': '{TOKEN}'"))
    standing = watched.look()

    assert standing.trouble == "ValueError: cannot read *** nor 'Token': '***'"
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_those_who_share_a_handler_share_its_credentials(clock: Clock) -> None:
    """However many refresh_if_due at once, they are got once, and everybody is woken."""
    gate = threading.Event()
    handler = Scripted(gate, made())
    woken = [threading.Event() for _ in range(8)]
    for one in woken:
        handler.credentials_cache.attach(one.set)
    threads = [
        threading.Thread(
            target=refresh_if_due, args=(handler.credentials_cache, clock), kwargs={"renew": True}
        )
        for _ in woken
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.set()

    assert all(one.wait(PATIENCE) for one in woken)
    assert refresh_if_due(handler.credentials_cache, clock).credentials == made()
    assert handler.calls == 1


def test_the_last_who_goes_is_told_of_the_thread(clock: Clock) -> None:
    """So that it can be waited for; before, others need it."""
    gate = threading.Event()
    watched = Watched(clock, gate, made())
    other = threading.Event()
    watched.cache.attach(other.set)
    refresh_if_due(watched.cache, clock)

    assert watched.cache.detach(other.set) is None
    thread = watched.cache.detach(watched.done.release)
    assert thread is not None
    assert thread.daemon
    gate.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_too_many_threads_are_a_failure_like_any_other(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends because of it; it is tried again."""
    watched = Watched(clock, made())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_more_threads)
        assert (
            refresh_if_due(watched.cache, clock).trouble == "RuntimeError: can't start new thread"
        )

    clock.seconds = 1
    assert watched.look().credentials == made()


def _no_more_threads(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_stepping_clock_is_followed(clock: Clock) -> None:
    """When the wall clock is set forward past the expiry, others are got at once."""
    watched = Watched(clock, made(1, lasts=3600), made(2, lasts=90_000))
    watched.look()
    standing = watched.cache.refresh_if_due(wall=START + 7200, now=1)

    assert standing.credentials is None
    assert standing.fetching
    wait_for(lambda: watched.cache.refresh_if_due(wall=START + 7200, now=1).credentials)
