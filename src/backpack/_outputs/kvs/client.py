"""Call AWS from the application, which signs and talks to nobody: the streaming process sends."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from backpack._outputs.kvs.messages import Fetch, Fetched
from backpack._outputs.kvs.shared.api import read_error
from backpack._outputs.kvs.shared.refusals import ACTIONS, judge
from backpack.errors import BackpackError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.messages import KVSMessage
    from backpack._outputs.kvs.shared.api import Request, SignedHead

_OK = 200


class RequestSigner(Protocol):
    """Sign requests on a thread of its own."""

    def sign(
        self, request: Request, *, renew: bool, then: Callable[[SignedHead | BackpackError], None]
    ) -> None:
        """Sign a request, and hand over its head or what is wrong. Never waits."""


class Caller:
    """
    Send requests by way of the streaming process and wait for their answers.

    Args:
        signer: Who signs.
        say: Writes to the other end; see `backpack._app.output.TwoWayOutput`.

    """

    def __init__(self, signer: RequestSigner, say: Callable[[KVSMessage], None]) -> None:
        self._signer = signer
        self._say = say
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        # Number of the question → where its answer is waited for.
        self._waiting: dict[int, queue.SimpleQueue[Fetched]] = {}

    def call(self, request: Request, timeout: float) -> str:
        """
        Sign a request, have it sent, and wait for what it is granted.

        Args:
            request: To the control plane, or to an endpoint that it has named.
            timeout: Seconds to wait.

        Returns:
            The body of the answer.

        Raises:
            BackpackError: It cannot be signed, is refused, or not answered.

        """
        fetched = self.fetch(request, timeout)
        if fetched.status == _OK:
            return fetched.body
        raise OutputError(why_not(request, fetched))

    def fetch(self, request: Request, timeout: float) -> Fetched:
        """
        Do the same, and give the whole answer, granted or not.

        Raises:
            BackpackError: It cannot be signed, or nobody answers in time.

        """
        deadline = time.monotonic() + timeout
        head = self._signed(request, timeout)
        number = next(self._numbers)
        answers: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
        with self._lock:
            self._waiting[number] = answers
        try:
            body = request.body.decode()
            self._say(Fetch(number, request.endpoint, head.head.decode("latin-1"), body))
            fetched = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            return dataclasses.replace(fetched, keys_of=head.keys_of)
        except queue.Empty:
            raise OutputError(_late(request, timeout)) from None
        finally:
            with self._lock:
                del self._waiting[number]

    def hear(self, fetched: Fetched) -> None:
        """Take an answer. Any thread; one that nobody waits for any more is dropped."""
        with self._lock:
            answers = self._waiting.get(fetched.number)
        if answers is not None:
            answers.put(fetched)

    def _signed(self, request: Request, timeout: float) -> SignedHead:
        ask = functools.partial(self._signer.sign, request, renew=False)
        head: SignedHead = wait_for(ask, timeout)
        return head


def wait_for(ask: Callable[..., None], timeout: float) -> Any:  # noqa: ANN401 - what was asked for
    """
    Wait for something that needs credentials.

    Args:
        ask: Called with ``then=``, which it hands the answer or what is wrong.
        timeout: Seconds to wait.

    Raises:
        BackpackError: What is wrong.

    """
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    ask(then=answers.put)
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise OutputError(
            f"No credentials were found within {timeout:.0f} s: what gives them does not answer."
        ) from None
    if isinstance(answer, BackpackError):
        raise answer
    return answer


def why_not(request: Request, fetched: Fetched) -> str:
    """Return why a call was not granted, and what helps."""
    if not fetched.status:
        return f"{request.endpoint} was not reached. {fetched.trouble}"
    error, message = read_error(fetched.error_type, fetched.body.encode())
    refusal = judge(
        request.operation,
        fetched.status,
        error,
        message,
        skew_seconds=fetched.skew_seconds,
        keys_of=fetched.keys_of,
    )
    name = ACTIONS[request.operation]
    return refusal.sentence or f"AWS answers {name} with {fetched.status} {error}: {message}"


def _late(request: Request, timeout: float) -> str:
    return f"{ACTIONS[request.operation]} was not answered within {timeout:.0f} s."
