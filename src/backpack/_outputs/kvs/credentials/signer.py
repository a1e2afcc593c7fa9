"""Sign requests to AWS in the application's process, where the keys are."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backpack._lib.threads import show_name
from backpack._outputs.kvs.credentials.botocore_chain import require_botocore
from backpack._outputs.kvs.credentials.signing import write_head
from backpack._outputs.kvs.credentials.trouble import describe
from backpack._outputs.kvs.shared.names import check_region
from backpack.errors import SigningError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backpack._outputs.kvs.credentials.cache import CacheStatus
    from backpack._outputs.kvs.credentials.credentials import Credentials
    from backpack._outputs.kvs.credentials.file import CredentialsFile
    from backpack._outputs.kvs.credentials.handlers import KVSCredentialsHandler
    from backpack._outputs.kvs.shared.api import Request, SignedHead

LONGEST_SLEEP_SECONDS: Final = 60.0
"""The clock that expiry is told in may be set at any time."""

PATIENCE_SECONDS: Final = 30.0
"""So long a question waits for credentials until it is told that there are none."""

_CLOSE_SECONDS: Final = 2.0


@dataclass
class _Question:
    """What somebody waits for: something that is made with good credentials."""

    make: Callable[[Credentials], Any]
    then: Callable[[Any], None]
    renew: bool
    asked_at: float


class Signer:
    """
    Sign with the credentials of a handler, and keep its file.

    One thread answers questions and writes the file; it never waits for what
    gives credentials, see `CredentialsCache`. Nothing is looked up before `start`.

    Args:
        region: The stream's.
        handler: Where the credentials come from. Others may use it as well.
        endpoint: What stands in for AWS's endpoint, if anything does.
        hosts: AWS's, see `names.check_endpoint`.
        file: Through which they are handed over, too. It is opened and closed with this.
        logger: None: `backpack.kvs.credentials`.
        wall: Seconds since the epoch.
        clock: Seconds, monotonic.

    Raises:
        SettingsError: There is no such region.

    """

    def __init__(
        self,
        region: str,
        handler: KVSCredentialsHandler,
        *,
        endpoint: str | None = None,
        hosts: Sequence[str] = (),
        file: CredentialsFile | None = None,
        logger: logging.Logger | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._region = check_region(region)
        self._endpoint = endpoint
        self._hosts = hosts
        self._cache = handler.credentials_cache
        self._file = file
        self._logger = logger or logging.getLogger("backpack.kvs.credentials")
        self._wall = wall
        self._clock = clock
        # Guards what stands below, and tells the thread that it has changed.
        self._changed = threading.Condition()
        self._woken = False
        self._asked: list[_Question] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """
        Start the thread, and let it look for credentials. Idempotent; never waits.

        Raises:
            MissingDependencyError: botocore is not installed.
            OSError: The file's directory cannot be made.

        """
        require_botocore()
        with self._changed:
            if self._thread is not None:
                return
            if self._file is not None:
                self._file.open()
            self._cache.attach(self._wake)
            self._thread = threading.Thread(
                target=self._run, name="spyglass-kvs-signer", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End it; at most a moment, whatever hangs. Open questions are answered with an error."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is None:
            return
        threads = [thread, self._cache.detach(self._wake)]
        deadline = time.monotonic() + _CLOSE_SECONDS
        for one in threads:
            if one is None or one is threading.current_thread():
                continue
            one.join(max(deadline - time.monotonic(), 0.0))
            if one.is_alive():
                self._logger.warning("Thread %s hangs and is left behind.", one.name)
        if self._file is not None:
            self._file.close()

    def sign(
        self,
        request: Request,
        *,
        renew: bool = False,
        then: Callable[[SignedHead | SigningError], None],
    ) -> None:
        """
        Have a request signed. Any thread; never waits.

        Args:
            request: What to sign.
            renew: The last head was refused: get fresh credentials first.
            then: Called with the head, or with why there is none: on the
                signer's thread, or at once if it does not run.

        """

        def make(credentials: Credentials) -> SignedHead:
            return write_head(
                request,
                credentials,
                region=self._region,
                configured=self._endpoint,
                hosts=self._hosts,
                wall=self._wall(),
            )

        self._ask(make, then, renew=renew)

    def give(self, then: Callable[[Credentials | SigningError], None]) -> None:
        """
        Pass the credentials on once they are there, and written if there is a file.

        Any thread; never waits. ``then`` is called as in `sign`.
        """

        def make(credentials: Credentials) -> Credentials:
            if self._file is not None and not self._file.is_written:
                raise SigningError(self._file.trouble)
            return credentials

        self._ask(make, then, renew=False)

    def numbers(self) -> dict[str, Any]:
        """Return what goes into the statistics. Any thread; never waits."""
        numbers = self._cache.numbers(wall=self._wall(), now=self._clock())
        if self._file is not None:
            numbers |= self._file.numbers()
        return numbers

    def _ask(
        self, make: Callable[[Credentials], Any], then: Callable[[Any], None], *, renew: bool
    ) -> None:
        question = _Question(make, then, renew, self._clock())
        with self._changed:
            if self._thread is not None:
                self._asked.append(question)
                self._woken = True
                self._changed.notify()
                return
        self._tell(question, SigningError("The signer is closed."))

    def _wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify()

    def _run(self) -> None:
        show_name()
        waiting: list[_Question] = []
        seconds = 0.0
        while True:
            with self._changed:
                if not self._woken and self._runs_here():
                    self._changed.wait(seconds)
                self._woken = False
                runs = self._runs_here()
                asked, self._asked = self._asked, []
            waiting += asked
            if not runs:
                for question in waiting:
                    self._tell(question, SigningError("The signer is closed."))
                return
            renew = any(question.renew for question in asked)
            waiting, seconds = self._step(waiting, renew=renew)

    def _runs_here(self) -> bool:
        return self._thread is threading.current_thread()

    def _step(self, waiting: list[_Question], *, renew: bool) -> tuple[list[_Question], float]:
        """
        Do what there is to do now.

        Returns:
            The questions that go on waiting, and for how many seconds at most.

        """
        wall, now = self._wall(), self._clock()
        standing = self._cache.refresh_if_due(wall=wall, now=now, renew=renew)
        seconds = min(standing.due_in, LONGEST_SLEEP_SECONDS)
        if self._file is not None and standing.credentials is not None:
            again = self._file.keep(standing.credentials, wall=wall, now=now, logger=self._logger)
            seconds = min(seconds, again)
        left = []
        for question in waiting:
            patience = question.asked_at + PATIENCE_SECONDS - now
            better = standing.credentials is None or question.renew
            if standing.fetching and better and patience > 0:
                left.append(question)
                seconds = min(seconds, patience)
            else:
                self._tell(question, self._answer(question, standing))
        return left, seconds

    def _answer(self, question: _Question, standing: CacheStatus) -> Any:  # noqa: ANN401
        if standing.credentials is None:
            return SigningError(
                standing.trouble
                or "There are no AWS credentials yet: what gives them does not answer."
            )
        try:
            return question.make(standing.credentials)
        except SigningError as error:
            return error
        except Exception as error:  # noqa: BLE001 - botocore's; the thread must live on
            return SigningError(f"The request could not be signed: {describe(error)}")

    def _tell(self, question: _Question, answer: object) -> None:
        try:
            question.then(answer)
        except Exception:
            self._logger.exception("An answer was not taken.")
