"""Do what a producer asks for: have it signed, send it, and tell what comes of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.messages import Fetch, Signed, read_message
from backpack._outputs.kvs.worker.fetches import Fetches
from backpack._outputs.kvs.worker.http.exchange import Exchange
from backpack._outputs.kvs.worker.producer.commands import (
    Call,
    Close,
    EndBody,
    Open,
    ProducerState,
    Send,
)
from backpack._outputs.kvs.worker.signatures import APP_GONE, Signature, Signatures

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.settings import ProducerSettings
    from backpack._outputs.kvs.shared.api import Operation
    from backpack._outputs.kvs.worker.http.connection import Network
    from backpack._outputs.kvs.worker.http.exchange import Answer
    from backpack._outputs.kvs.worker.producer.commands import Command
    from backpack._outputs.kvs.worker.producer.producer import Producer
    from backpack._outputs.kvs.worker.report import Report

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at what the far side's kernel has acknowledged, while we are awake anyway."""
LONGEST_LOOK_SECONDS = 5.0
"""The same where nothing wakes us; there are none once everything is acknowledged."""

STOP_LOOK_SECONDS = 1.0
"""So often a producer that stops is asked for the time while its connection is blocked."""

_OK = 200
_AT_ONCE = float("-inf")


class CommandExecutor:
    """
    Stand between a producer and the network. One thread's.

    Args:
        producer: Decides.
        settings: What it was asked to be.
        network: The thread's.
        say: Carries a message to the application.
        report: Is told what the producer cannot know.

    """

    def __init__(
        self,
        producer: Producer,
        settings: ProducerSettings,
        network: Network,
        *,
        say: Callable[[dict[str, Any]], None],
        report: Report,
    ) -> None:
        self._producer = producer
        self._network = network
        self._clock = network.loop.time
        self._report = report
        self._signatures = Signatures(say)
        self._fetches = Fetches(network, say, check_endpoint=settings.check_endpoint)
        # What is asked of AWS now, from its signature to the end of its answer.
        self._command: Call | Open | None = None
        self._signature: Signature | None = None
        self._exchange: Exchange | None = None
        # What AWS has last answered to each call. Once the application has
        # gone nobody can ask anew.
        self._remembered: dict[Operation, bytes] = {}
        # Bytes that were acknowledged, and handed to the kernel, at the last look.
        self._acknowledged = 0
        self._handed = 0
        self._look_at = 0.0
        self._look_again_at: float | None = None
        # When a producer that was told to stop is asked though it is blocked.
        self._stop_look_at: float | None = None

    # What the application says.

    def on_message(self, body: dict[str, Any]) -> None:
        """Take a message; an answer that nobody waits for is ignored."""
        now = self._clock()
        try:
            message = read_message(body)
            if isinstance(message, Fetch):
                self._fetches.start(message, now)
            elif isinstance(message, Signed):
                self._take_signature(self._signatures.take(message, now), now)
        except ValueError as error:
            logger.warning("The application has said something that cannot be read: %s", error)

    def on_app_exit(self) -> None:
        """Called when the application has gone."""
        if self._signatures.on_app_exit() and self._command is not None:
            self._sign(self._command, self._clock())

    def stop(self, seconds: float, longest_seconds: float) -> None:
        """Have the producer stop; see there."""
        now = self._clock()
        self._producer.stop(now, seconds, longest_seconds)
        self._stop_look_at = now + seconds

    # What the thread does.

    def advance(self, now: float) -> None:
        """Do what the producer asks for, until it is nothing or the line is full."""
        while self._may_poll(now):
            command = self._producer.poll(now)
            if command is None:
                return
            self._do(command, now)

    def tick(self, now: float) -> None:
        """Do what it is time for, beside what the producer asks for."""
        self._look(now)
        self._signatures.tick(now)
        self._fetches.tick(now)

    @property
    def wake_at(self) -> float | None:
        """When to do both again if nothing happens. None: not before something does."""
        times = [self._signatures.wake_at, self._fetches.wake_at, self._look_again_at]
        asked_at = self._producer.wake_at
        times.append(self._stop_look_at if self._is_full and asked_at != _AT_ONCE else asked_at)
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Close everything."""
        self._hang_up()
        self._fetches.close()

    # What becomes of an exchange; see `Heard`.

    def answered(self, answer: Answer) -> None:
        """Handle an answer, or the head of the one to PutMedia."""
        now = self._clock()
        command, granted = self._command, answer.status == _OK
        self._report.obstacle("")
        if granted and isinstance(command, Open):
            self._acknowledged = self._handed = 0
            self._signatures.keep_spare(command.request, now)
        else:
            self._exchange = None
        if granted and isinstance(command, Call):
            self._remembered[command.request.operation] = answer.body
        if not granted:
            self._report.missed()
        signature = self._signature
        self._producer.answered(
            answer.status,
            now,
            error_type=answer.error_type,
            body=answer.body,
            skew_seconds=answer.skew_seconds,
            expires_in_seconds=None if signature is None else signature.expires_in(now),
            keys_of="" if signature is None else signature.keys_of,
        )

    def more(self, data: bytes) -> None:
        """Handle acknowledgements."""
        self._producer.received(data, self._clock())

    def broke(self, cause: str, sentence: str) -> None:
        """Called when the connection is gone."""
        self._exchange = None
        self._report.obstacle(sentence)
        if not self._producer.state.is_connected:
            self._report.missed()
        self._producer.broke(cause, self._clock())

    # How it is done.

    @property
    def _is_full(self) -> bool:
        """Whether the producer would give more to send than the line takes."""
        return (
            self._producer.state is ProducerState.STREAMING
            and self._exchange is not None
            and self._exchange.connection.blocked
        )

    def _may_poll(self, now: float) -> bool:
        if not self._is_full or self._producer.wake_at == _AT_ONCE:
            return True
        if self._stop_look_at is None or now < self._stop_look_at:
            return False
        self._stop_look_at = now + STOP_LOOK_SECONDS
        return True

    def _do(self, command: Command, now: float) -> None:
        if isinstance(command, Send):
            self._send(command.data)
        elif isinstance(command, EndBody):
            self._send(b"")
        elif isinstance(command, Close):
            self._hang_up()
        else:
            self._command = command
            self._sign(command, now)

    def _send(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.send_chunk(data)

    def _hang_up(self) -> None:
        self._signatures.forget()
        self._command = self._signature = None
        self._look_again_at = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()

    def _sign(self, command: Call | Open, now: float) -> None:
        """Have it signed; without an application make do with what there is."""
        request = command.request
        if not self._signatures.app_has_gone:
            self._signatures.ask(request, renew=command.renew)
            return
        remembered = self._remembered.get(request.operation)
        if isinstance(command, Open):
            found = self._signatures.spare(request.endpoint, now)
            self._take_signature(found or APP_GONE, now)
        elif remembered is not None:
            self._producer.answered(_OK, now, body=remembered)
        else:
            self._take_signature(APP_GONE, now)

    def _take_signature(self, found: Signature | str | None, now: float) -> None:
        command = self._command
        if found is None or command is None:
            return
        if isinstance(found, str):
            self._report.missed()
            self._producer.unsigned(found, now)
            return
        self._producer.signed(now)
        self._signature = found
        request = command.request
        goes_on = isinstance(command, Open)
        self._exchange = Exchange(
            self._network, request.endpoint, found.head + request.body, self, goes_on=goes_on
        )

    def _look(self, now: float) -> None:
        """
        Let the producer know where answers are late since the line is slow.

        That is so where what the kernel had a second ago is still under way,
        and gets on. Where it has arrived, nothing excuses a missing answer.
        """
        exchange = self._exchange
        if exchange is None or not self._producer.state.is_connected:
            self._look_again_at = None
            return
        if now < self._look_at:
            return
        line = exchange.connection
        acknowledged, handed = line.acknowledged, line.handed
        if self._acknowledged < acknowledged < self._handed:
            self._producer.progressed(now)
        self._acknowledged, self._handed = acknowledged, handed
        self._look_at = now + LOOK_SECONDS
        self._look_again_at = now + LONGEST_LOOK_SECONDS if acknowledged < handed else None
