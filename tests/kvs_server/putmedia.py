"""Take video: one connection, from its head to its last acknowledgement."""

from __future__ import annotations

import re
import socket
import struct
import time
from typing import TYPE_CHECKING

from tests.kvs_server.acks import AckWriter
from tests.kvs_server.faults import Connections
from tests.kvs_server.rules import FragmentRules, Violation
from tests.kvs_server.streams import Session
from tests.kvs_server.wire import Closed, Refused, head

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kvs_server.faults import AckError, Faults
    from tests.kvs_server.streams import Fragment, Streams
    from tests.kvs_server.wire import Request, Wire

__all__ = ["PutMedia"]

# AWS's C producer does not pad the fraction: "1.5" is 5 ms after 1 s there.
_TIMESTAMP = re.compile(r"(\d{1,11})\.(\d{1,3})")
_MOST_CONNECTIONS = 2
_PERIOD_SECONDS = 0.1


class PutMedia:
    """
    Serve one PutMedia request.

    Args:
        wire: The connection.
        request: Its head; the signature was checked.
        streams: All streams.
        faults: How to misbehave.
        numbers: Gives connections and fragments their numbers.

    """

    def __init__(
        self,
        wire: Wire,
        request: Request,
        streams: Streams,
        faults: Faults,
        numbers: Callable[[], int],
    ) -> None:
        self._wire = wire
        self._faults = faults
        self._numbers = numbers
        self._wants_acks = request.get("x-amzn-fragment-acknowledgment-required") != "0"
        self._absolute = request.get("x-amzn-fragment-timecode-type") == "ABSOLUTE"
        started = _check_head(request)
        self._stream = streams.find(
            {
                "StreamName": request.get("x-amzn-stream-name"),
                "StreamARN": request.get("x-amzn-stream-arn"),
            }
        )
        self._stream.note("PutMedia", time.monotonic())
        self._session = self._admit(started)
        if len((request.get("x-amzn-producer-start-timestamp") or "").partition(".")[2]) != 3:
            self._stream.complain("the start timestamp's fraction has not three digits")
        self._acks: AckWriter | None = None
        self._error: AckError | None = None
        self._fragments = 0

    def _admit(self, started: tuple[int, int]) -> Session:
        """Take one more connection of the stream, or refuse it."""
        stream, faults = self._stream, self._faults
        with stream.changed:
            now = time.monotonic()
            is_open = [one for one in stream.sessions if one.closed is None]
            if faults.connections is Connections.OVERLAP:
                full = len(is_open) >= _MOST_CONNECTIONS
            else:
                closed = [one.closed for one in stream.sessions if one.closed is not None]
                just_closed = closed and now - max(closed) < faults.release_seconds
                full = bool(is_open or just_closed)
            if full:
                raise Refused(400, "ConnectionLimitExceeded", "Too many connections.")
            session = Session(self._numbers(), now, started)
            stream.sessions.append(session)
            stream.changed.notify_all()
            return session

    def serve(self) -> None:
        """Go on until the connection is of no more use."""
        session = self._session
        try:
            self._wire.send(
                head(200, ("Transfer-Encoding", "chunked"), ("Content-Type", "application/json"))
            )
            self._acks = AckWriter(self._wire, session, self._faults)
            self._read_body(
                FragmentRules(
                    self._stream,
                    session,
                    absolute=self._absolute,
                    next_number=lambda: f"9134385233318143259{self._numbers():028}",
                    on_begun=self._begun,
                    on_block=self._block,
                    on_complete=self._complete,
                )
            )
        finally:
            if self._acks is not None:
                self._acks.close(cut=not session.ended and session.error is None)
            with self._stream.changed:
                session.closed = time.monotonic()
                for fragment in self._stream.fragments:
                    if fragment.session == session.number and fragment.state == "begun":
                        fragment.state = "broken"
                self._stream.changed.notify_all()

    def _read_body(self, rules: FragmentRules) -> None:
        if self._stream.status != "ACTIVE":
            self._refuse(4008, "STREAM_NOT_ACTIVE", None)
            return
        try:
            while data := self._chunk():
                self._session.body += data
                rules.feed(data)
            rules.end()
            self._session.ended = True
        except Violation as violation:
            self._stream.complain(str(violation))
            self._refuse(violation.error_id, violation.code, rules.fragment)
        except _Told as told:
            fragment = rules.fragment if told.error.with_timecode else None
            self._refuse(told.error.error_id, told.error.code, fragment)
        except _TooOld:
            self._refuse(4003, "MAX_CONNECTION_DURATION_REACHED", rules.fragment)
        except Refused:
            self._refuse(4000, "STREAM_READ_ERROR", rules.fragment)

    def _chunk(self) -> bytes:
        """Read a chunk, and mind the time meanwhile."""
        silent_since = time.monotonic()
        idle_said = silent_since
        seen = self._wire.received
        self._wire.timeout_seconds = _PERIOD_SECONDS
        while True:
            self._mind_age()
            try:
                return self._wire.next_chunk()
            except TimeoutError:
                now = time.monotonic()
            if self._wire.received != seen:
                seen, silent_since, idle_said = self._wire.received, now, now
            if now - silent_since >= self._faults.idle_seconds:
                raise Closed("nothing came for too long")
            if now - idle_said >= self._faults.idle_ack_seconds:
                idle_said = now
                self._say("IDLE")

    def _mind_age(self) -> None:
        faults = self._faults
        age = time.monotonic() - self._session.opened
        if faults.reset_every_seconds is not None and age >= faults.reset_every_seconds:
            self._reset()
        if age >= faults.close_after_seconds:
            raise _TooOld

    def _begun(self, fragment: Fragment) -> None:
        self._error = self._faults.next_ack()
        self._say("BUFFERING", fragment)

    def _block(self, fragment: Fragment) -> None:
        blocks = len(fragment.blocks)
        if self._faults.take_reset(blocks):
            self._reset()
        if self._error is not None and blocks >= self._error.after_blocks:
            raise _Told(self._error)
        self._mind_age()

    def _complete(self, fragment: Fragment) -> None:
        self._say("RECEIVED", fragment)
        keeps = self._stream.retention_hours > 0 and not self._faults.archive_hangs
        with self._stream.changed:
            fragment.state = "persisted" if keeps else "received"
            self._stream.changed.notify_all()
        if keeps:
            self._say("PERSISTED", fragment)
        self._fragments += 1
        if self._fragments == self._faults.half_close_after_fragments:
            if self._acks is not None:
                self._acks.close()
            self._wire.sock.shutdown(socket.SHUT_WR)

    def _say(self, event: str, fragment: Fragment | None = None, **more: object) -> None:
        if self._acks is None or (not self._wants_acks and event != "ERROR"):
            return
        named: dict[str, object] = {}
        if fragment is not None:
            named = {"FragmentTimecode": fragment.timecode, "FragmentNumber": fragment.number}
        self._acks.say(event, **named, **more)

    def _refuse(self, error_id: int | None, code: str, fragment: Fragment | None) -> None:
        """Say what is wrong and take nothing more: the service closes then."""
        self._session.error = error_id or code
        if fragment is not None:
            with self._stream.changed:
                fragment.state = "refused"
        numbered = {} if error_id is None else {"ErrorId": error_id}
        self._say("ERROR", fragment, ErrorCode=code, **numbered)

    def _reset(self) -> None:
        """Cut the connection off in a way that the far side's kernel notices at once."""
        self._wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Closed("told to")


class _Told(Exception):  # noqa: N818 - no error of anyone's
    """A fragment meets an error that a test has asked for."""

    def __init__(self, error: AckError) -> None:
        super().__init__(error.code)
        self.error = error


class _TooOld(Exception):  # noqa: N818
    """The connection is as old as it may get."""


def _check_head(request: Request) -> tuple[int, int]:
    """Refuse a head that KVS would refuse, and give the start timestamp."""
    if request.method != "POST" or request.get("transfer-encoding") is None:
        raise Refused(400, "InvalidArgument", "PutMedia is a POST with a chunked body.")
    if request.get("x-amzn-fragment-timecode-type") not in ("ABSOLUTE", "RELATIVE"):
        raise Refused(400, "InvalidArgument", "x-amzn-fragment-timecode-type")
    if request.get("x-amzn-fragment-acknowledgment-required") not in (None, "0", "1"):
        raise Refused(400, "InvalidArgument", "x-amzn-fragment-acknowledgment-required")
    found = _TIMESTAMP.fullmatch(request.get("x-amzn-producer-start-timestamp") or "")
    if found is None:
        raise Refused(400, "InvalidArgument", "x-amzn-producer-start-timestamp")
    known = {
        "x-amzn-stream-name", "x-amzn-stream-arn", "x-amzn-producer-start-timestamp",
        "x-amzn-fragment-timecode-type", "x-amzn-fragment-acknowledgment-required",
    }  # fmt: skip
    unknown = {name for name, _ in request.headers if name.startswith("x-amzn-")} - known
    if unknown:
        raise Refused(400, "InvalidArgument", f"Unknown {sorted(unknown)}")
    return int(found[1]), int(found[2])
