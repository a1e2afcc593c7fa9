"""Decide, without a clock or a socket, what is said to Kinesis Video Streams and when."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from backpack._outputs.kvs.shared.api import Operation, read_error
from backpack._outputs.kvs.shared.refusals import NOTHING, NextStep, Refusal, judge
from backpack._outputs.kvs.worker.producer.acks import AckError, AckReader, Action, meaning
from backpack._outputs.kvs.worker.producer.commands import Close, EndBody, ProducerState, Send
from backpack._outputs.kvs.worker.producer.control_plane import ControlPlane
from backpack._outputs.kvs.worker.producer.counters import ProducerCounters
from backpack._outputs.kvs.worker.producer.ending import Deadline
from backpack._outputs.kvs.worker.producer.intake import Intake
from backpack._outputs.kvs.worker.producer.patience import Patience
from backpack._outputs.kvs.worker.producer.retries import Retries
from backpack._outputs.kvs.worker.producer.session import PutMediaSession, lifetime_seconds
from backpack.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.access_unit import AccessUnit
    from backpack._outputs.kvs.settings import ProducerSettings
    from backpack._outputs.kvs.worker.producer.acks import Ack, Meaning
    from backpack._outputs.kvs.worker.producer.commands import Command, ProducerStatus
    from backpack._outputs.kvs.worker.producer.fragments import Fragment
    from backpack._outputs.kvs.worker.producer.journal import Journal

CREATING_SECONDS = 1.0

_OK = 200


class Producer:
    """
    Bring a stream of access units into KVS, in order and without a gap.

    The driver hands in units and what comes from the network, and does what `poll` tells it to,
    until that is None; then it waits for `wake_at` or for news. Whatever breaks is tried again,
    with waits that grow, from the first fragment that is not persisted.

    Reads no clock: ``now`` is seconds of the monotonic clock that the units'
    capture times are taken from. Not thread-safe: one thread drives it.

    Args:
        settings: What to send where.
        segment_uid: 16 random bytes.
        random: Gives a number from 0 up to 1.
        journal: Keeps what waits on disk, too; what is left there is loaded now, and sent
            first. Whoever opened it closes it. None: video waits in memory only.

    """

    def __init__(
        self,
        settings: ProducerSettings,
        *,
        segment_uid: bytes,
        random: Callable[[], float],
        journal: Journal | None = None,
    ) -> None:
        settings.validate()
        self._segment_uid = segment_uid
        self._random = random
        self._journal = journal
        self._intake = Intake(settings, journal)
        self.queue = self._intake.queue
        self.state = ProducerState.IDLE
        self._control = ControlPlane(settings)
        self._patience = Patience()
        self._commands: deque[Command] = deque()
        self._session: PutMediaSession | None = None
        self._acks = AckReader()
        self._last_cluster_at = float("-inf")
        # None: it was not told to stop.
        self._ending: Deadline | None = None
        self._counters = ProducerCounters()
        self._retries = Retries(random, self._counters)

    # What the driver tells.

    def frame(self, unit: AccessUnit, now: float) -> bool:
        """Take one access unit. False: it is lost, and counted; see `FragmentCutter.take`."""
        return self._intake.take(unit, now)

    @property
    def wants_key(self) -> bool:
        """Whether a key frame should be asked for."""
        return self._intake.wants_key

    def stop(self, now: float, timeout_seconds: float, longest_seconds: float = 0.0) -> None:
        """
        Send what waits, and end.

        A wait that has grown in an outage may be longer than the time that is left. So
        the next try is made at once, and those after it begin with short waits.

        Args:
            now: The time.
            timeout_seconds: How long that may take. What is not persisted then
                stays in `queue`, and in the journal if there is one.
            longest_seconds: How long it may take as long as fragments are
                being persisted.

        """
        self._intake.close()
        self._ending = Deadline(now, timeout_seconds, longest_seconds)
        self._retries.hurry(now)

    def answered(
        self,
        status: int,
        now: float,
        *,
        error_type: str = "",
        body: bytes = b"",
        skew_seconds: float | None = None,
        expires_in_seconds: float | None = None,
        keys_of: str = "",
    ) -> None:
        """
        Handle the answer to `Call`, or the head of the one to `Open`.

        Args:
            status: Of HTTP; none of 1xx.
            now: The time.
            error_type: The header ``x-amzn-ErrorType``.
            body: The answer's body; not for a PutMedia that was taken.
            skew_seconds: How far this machine's clock is ahead of the Date header.
            expires_in_seconds: How long the credentials that signed it last.
            keys_of: See `SignedHead`.

        """
        if not self.state.is_awaiting:
            return
        if status != _OK:
            name, message = read_error(error_type, body)
            step = self._control.step
            refusal = judge(step, status, name, message, skew_seconds=skew_seconds, keys_of=keys_of)
            self._refused(refusal, f"{status} {name}".strip(), now)
        elif self.state is ProducerState.OPENING:
            self._opened(now, expires_in_seconds)
        else:
            try:
                self._called(body, now)
            except (OutputError, SettingsError) as error:
                self._refused(Refusal(NextStep.AGAIN, str(error)), "unreadable answer", now)

    def signed(self, now: float) -> None:
        """Called when what was asked for is signed: it is on its way, and answered from now on."""
        if self.state.is_awaiting:
            self._patience.signed(now)

    def unsigned(self, cause: str, now: float) -> None:
        """Called when the application could not sign: it has no credentials now."""
        if self.state.is_awaiting:
            self._refused(Refusal(NextStep.RENEW, cause), "no credentials", now)

    def broke(self, cause: str, now: float) -> None:
        """
        Called when the connection is gone, cannot be made, or was ended by the far side.

        Args:
            cause: A few words that are the same each time, for the counters.
            now: The time.

        """
        if self.state.is_connected:
            if self._is_settled():
                self._close()
            else:
                self._disconnect(cause, now)
        elif self.state.is_awaiting:
            opening = self.state is ProducerState.OPENING
            self._refused(Refusal(NextStep.ENDPOINT if opening else NextStep.AGAIN), cause, now)

    def progressed(self, now: float) -> None:
        """Called when the far side's kernel has acknowledged some more bytes."""
        if self._session is not None:
            self._session.progressed(now)

    def received(self, data: bytes, now: float) -> None:
        """Handle a part of the answers that come while the body is sent."""
        if self._session is None:
            return
        try:
            acks = self._acks.feed(data)
        except AckError:
            self._disconnect("unreadable acknowledgement", now)
            return
        for ack in acks:
            self._acknowledge(ack, meaning(ack), now)
            if not self.state.is_connected:
                return

    # What the driver is told.

    def poll(self, now: float) -> Command | None:
        """Return what is to be done now. None: nothing before `wake_at` or news."""
        if not self._commands and not self.state.is_over:
            self._intake.look(now)
            self._advance(now)
        return self._commands.popleft() if self._commands else None

    @property
    def wake_at(self) -> float | None:
        """When to poll again if nothing happens. None: not before news."""
        if self._commands:
            return float("-inf")
        if self.state.is_over:
            return None
        times = [self._intake.silent_at]
        if self._ending is not None:
            times.append(self._ending.at)
        if self.state is ProducerState.IDLE and self._has_work():
            times.append(self._retries.not_before)
        if self.state.is_awaiting or self.state is ProducerState.DRAINING:
            times.append(self._patience.until)
        if self._session is not None and self.state is ProducerState.STREAMING:
            times += [self._session.stale_at, self._session.cluster_at]
        return min((time for time in times if time is not None), default=None)

    def status(self, now: float) -> ProducerStatus:
        """Return how it stands."""
        return self._counters.status(
            self.state,
            self.queue,
            now=now,
            session=self._session,
            lost=self._intake.frames_lost,
            journal=None if self._journal is None else self._journal.numbers(),
        )

    # What follows from the time.

    def _has_work(self) -> bool:
        if self._ending is not None:
            return True
        return self._control.step is not Operation.PUT_MEDIA or len(self.queue) > 0

    def _advance(self, now: float) -> None:
        ending, idle = self._ending, self.state is ProducerState.IDLE
        if ending is not None and (now >= ending.at or (idle and not len(self.queue))):
            self._close()
            self._over(ProducerState.STOPPED)
        elif self.state is ProducerState.IDLE:
            self._ask(now)
        elif self.state is ProducerState.STREAMING:
            self._stream(now)
        elif self.state is ProducerState.DRAINING:
            self._drain(now)
        elif self._patience.is_over(now):
            self._give_up(now)

    def _give_up(self, now: float) -> None:
        if self._patience.is_signed:
            self.broke("no answer", now)
        else:
            self.unsigned("The application does not sign what goes to AWS: it hangs.", now)

    def _ask(self, now: float) -> None:
        if now < self._retries.not_before or not self._has_work():
            return
        self._patience.ask(now)
        opening = self._control.step is Operation.PUT_MEDIA
        self.state = ProducerState.OPENING if opening else ProducerState.CALLING
        first = next(iter(self.queue), None)
        self._commands.append(self._control.command(first.timecode_ms if first else 0))

    def _stream(self, now: float) -> None:
        session = self._session
        if session is None:
            return
        stale_at = session.stale_at
        if stale_at is not None and now >= stale_at:
            self._disconnect("no acknowledgements", now)
            return
        data = session.next_data(now)
        if data is not None:
            self._commands.append(Send(data))
        if session.ended:
            self._commands.append(EndBody())
            self.state = ProducerState.DRAINING
            self._patience.drain(now)

    def _drain(self, now: float) -> None:
        if self._is_settled():
            self._close()
            self._retries.not_before = now
        elif self._patience.is_over(now):
            self._disconnect("not persisted in time", now)

    def _is_settled(self) -> bool:
        session = self._session
        return session is not None and session.ended and session.settled

    # What follows from answers.

    def _called(self, body: bytes, now: float) -> None:
        waited_for = self._control.take(body)
        self._counters.trouble = waited_for or self._counters.trouble
        self._retries.not_before = now + CREATING_SECONDS if waited_for else now
        self.state = ProducerState.IDLE

    def _opened(self, now: float, expires_in_seconds: float | None) -> None:
        self.state = ProducerState.STREAMING
        self._acks = AckReader()
        self._session = PutMediaSession(
            self.queue,
            segment_uid=self._segment_uid,
            now=now,
            rotate_at=now + lifetime_seconds(self._random(), expires_in_seconds),
            persists=self._control.persists,
            last_cluster_at=self._last_cluster_at,
        )

    def _refused(self, refusal: Refusal, cause: str, now: float) -> None:
        if self._control.step is Operation.PUT_MEDIA:
            self._counters.reconnects[cause] += 1
        self._close()
        next_step = self._control.take_step(refusal.next_step)
        # A stream that is created now, as was asked for, is no trouble.
        self._retries.failed(cause, now, NOTHING if next_step is NextStep.CREATE else refusal)
        if next_step is NextStep.MEND:
            self._mend(now)
        elif next_step is NextStep.FAIL:
            self._over(ProducerState.FAILED)

    def _mend(self, now: float) -> None:
        """Wait until somebody may have mended what is wrong; who stops waits for nobody."""
        self._retries.mend(now)
        if self._ending is not None:
            self._over(ProducerState.FAILED)

    def _acknowledge(self, ack: Ack, found: Meaning, now: float) -> None:
        session = self._session
        if session is None:
            return
        if found.action in (Action.NOTE_ALIVE, Action.MARK_RECEIVED, Action.FREE):
            freed = session.take(ack, now)
            if freed is not None:
                self._note_persisted(ack, freed, now)
            elif session.keeps_nothing(now):
                self._counters.unpersisted()
                self._control.doubt()
        elif found.action is Action.CLOSE_IF_PAUSED:
            session.take(ack, now)
            self._intake.idle(now)
        else:
            self._obey(ack, found, session.refused(ack), now)

    def _note_persisted(self, ack: Ack, freed: Fragment, now: float) -> None:
        self._counters.persisted(freed, ack.fragment, now)
        self._retries.worked()
        if self.state is ProducerState.DRAINING:
            self._patience.drain(now)
        if self._ending is not None:
            self._ending.progressed(now)

    def _obey(self, ack: Ack, found: Meaning, fragment: Fragment | None, now: float) -> None:
        """Act upon an error. The service is about to close the connection."""
        action = found.action
        self._disconnect(f"{ack.error_id or ''} {ack.error_code}".strip(), now, end_body=True)
        self._counters.trouble = found.sentence or self._counters.trouble
        hopeless = action is Action.SKIP_OR_FAIL and self._counters.unreadable()
        if action is Action.FAIL or hopeless:
            self._over(ProducerState.FAILED)
        elif action is Action.DESCRIBE:
            self._control.describe()
        elif action is Action.RESEND_SLOWLY:
            self._mend(now)
        elif action is not Action.RESEND:
            self._intake.skip(action, fragment)

    def _disconnect(self, cause: str, now: float, *, end_body: bool = False) -> None:
        """Drop the connection; everything that is not persisted is sent again."""
        self._counters.reconnects[cause] += 1
        self._close(end_body=end_body)
        self._retries.failed(cause, now)

    def _close(self, *, end_body: bool = False) -> None:
        # What was about to be sent would go into the next connection.
        self._commands.clear()
        if self._session is not None:
            self._session.close()
            self._counters.add(self._session)
            self._last_cluster_at = self._session.last_cluster_at
            self._session = None
            self._control.connect()
        if end_body:
            self._commands.append(EndBody())
        self._commands.append(Close())
        self.state = ProducerState.IDLE

    def _over(self, state: ProducerState) -> None:
        self._intake.close()
        self.state = state
