from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.messages import Sign, Signed, read_message
from backpack._outputs.kvs.shared.api import SignedHead, put_media
from backpack._outputs.kvs.worker.signatures import Signature, Signatures

if TYPE_CHECKING:
    from backpack._outputs.kvs.shared.api import Request

HERE = "http://127.0.0.1:1"


class Desk:
    """Signatures, and what they have asked."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.signatures = Signatures(self.messages.append)

    def last(self) -> Sign:
        """Give the last question."""
        message = read_message(self.messages[-1])
        assert isinstance(message, Sign)
        return message

    def answer(
        self, number: int, head: bytes = b"head", good: float = 240.0, lasts: float | None = None
    ) -> Signed:
        """Write an answer."""
        return Signed.of(number, SignedHead(head, good, lasts))


@pytest.fixture
def desk() -> Desk:
    """Ask nobody."""
    return Desk()


def request(endpoint: str = HERE) -> Request:
    """Ask for a connection."""
    return put_media(endpoint, "test", 1_000)


def test_only_the_last_question_is_waited_for(desk: Desk) -> None:
    """An answer to an older one, or a second one, is ignored."""
    desk.signatures.ask(request(), renew=False)
    old = desk.last().number
    desk.signatures.ask(request(), renew=True)
    new = desk.last()

    assert new.renew
    assert new.request == request()
    assert desk.signatures.take(desk.answer(old), 0.0) is None
    found = desk.signatures.take(desk.answer(new.number, lasts=60.0), 100.0)
    assert found == Signature(b"head", 340.0, 160.0)
    assert found.expires_in(110.0) == 50.0
    assert desk.signatures.take(desk.answer(new.number), 0.0) is None


def test_a_forgotten_question_is_not_waited_for(desk: Desk) -> None:
    """The producer has hung up meanwhile."""
    desk.signatures.ask(request(), renew=False)
    desk.signatures.forget()

    assert desk.signatures.take(desk.answer(desk.last().number), 0.0) is None
    assert not desk.signatures.on_app_exit()


def test_a_refusal_says_why(desk: Desk) -> None:
    """In the application's words, or in some."""
    for trouble in ("no credentials", ""):
        desk.signatures.ask(request(), renew=False)
        found = desk.signatures.take(Signed(desk.last().number, trouble=trouble), 0.0)
        assert isinstance(found, str)
        assert found.startswith(trouble)
        assert found


def test_a_spare_head_is_asked_for_every_two_minutes(desk: Desk) -> None:
    """From the first connection on; connections that follow do not change that."""
    desk.signatures.keep_spare(request(), 0.0)
    assert (len(desk.messages), desk.signatures.wake_at) == (1, 120.0)
    desk.signatures.keep_spare(request(), 60.0)
    desk.signatures.tick(119.0)
    assert len(desk.messages) == 1
    desk.signatures.tick(120.0)
    assert (len(desk.messages), desk.signatures.wake_at) == (2, 240.0)
    assert desk.last().request == request()


def test_a_spare_head_is_for_who_has_no_application(desk: Desk) -> None:
    """It is used, more than once, where it was signed for and as long as it is good."""
    desk.signatures.keep_spare(request(), 0.0)
    taken = desk.signatures.take(desk.answer(desk.last().number, b"spare", 240.0), 0.0)
    assert taken is None
    assert desk.signatures.spare(HERE, 1.0) is None
    desk.signatures.ask(request(), renew=False)
    assert desk.signatures.on_app_exit()

    assert desk.signatures.wake_at is None
    for _ in range(2):
        found = desk.signatures.spare(HERE, 239.0)
        assert found is not None
        assert found.head == b"spare"
    assert desk.signatures.spare(HERE, 240.0) is None
    assert desk.signatures.spare("http://127.0.0.1:2", 1.0) is None


def test_a_spare_head_of_dead_credentials_is_of_no_use(desk: Desk) -> None:
    """However young the signature is."""
    desk.signatures.keep_spare(request(), 0.0)
    desk.signatures.take(desk.answer(desk.last().number, lasts=30.0), 0.0)
    desk.signatures.on_app_exit()

    assert desk.signatures.spare(HERE, 29.0) is not None
    assert desk.signatures.spare(HERE, 30.0) is None


def test_a_spare_head_that_was_refused_leaves_the_one_before(desk: Desk) -> None:
    """The application has no credentials for a while."""
    desk.signatures.keep_spare(request(), 0.0)
    desk.signatures.take(desk.answer(desk.last().number), 0.0)
    desk.signatures.tick(120.0)
    assert desk.signatures.take(Signed(desk.last().number, trouble="none"), 121.0) is None
    desk.signatures.on_app_exit()

    assert desk.signatures.spare(HERE, 130.0) is not None


def test_another_endpoint_needs_another_spare_head(desk: Desk) -> None:
    """At once."""
    desk.signatures.keep_spare(request(), 0.0)
    desk.signatures.take(desk.answer(desk.last().number), 0.0)
    desk.signatures.keep_spare(request("http://127.0.0.1:2"), 10.0)

    assert desk.last().endpoint == "http://127.0.0.1:2"
    desk.signatures.on_app_exit()
    assert desk.signatures.spare(HERE, 11.0) is None
    assert desk.signatures.spare("http://127.0.0.1:2", 11.0) is None


def test_no_head_is_shown() -> None:
    """It holds a session token."""
    assert "secret" not in repr(Signature(b"secret", 1.0))
