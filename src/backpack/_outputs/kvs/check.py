"""Try each thing that streaming to KVS needs, as far as it can be, and say what is missing."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backpack._outputs.kvs.client import why_not
from backpack._outputs.kvs.shared.api import (
    Operation,
    read_data_endpoint,
    read_error,
    read_stream_info,
    write_request,
)
from backpack.errors import BackpackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backpack._outputs.kvs.shared.api import Request
    from backpack._outputs.kvs.spyglass import KVSSpyGlass

CALL_SECONDS = 15.0
UPLOAD_SECONDS = 2.0
CREATE_SECONDS = 15.0
LOOK_SECONDS = 1.0
"""AWS takes five calls a second of a stream, ours and the producer's."""
PERSIST_SECONDS = 20.0
TROUBLE_SECONDS = 6.0
"""So long an upload that is refused is tried again."""

_OK = 200

_REASONS = {
    "credentials": "there are no credentials",
    "answer": "DescribeStream got no answer",
    "stream": "the stream does not exist",
}
"""Why what needs them is not tried; anything else is an action that does not work."""


class Verdict(enum.Enum):
    """How one thing stands."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    """It does not work, and streaming does not need it."""
    SKIPPED = "skipped"
    """It could not be tried; the remark says why."""


@dataclass(frozen=True)
class Finding:
    """
    What was found of one thing.

    Attributes:
        name: The thing: credentials, an action of IAM, the endpoint, the upload.
        verdict: How it stands.
        remark: What was found; or what is wrong, and what helps.

    """

    name: str
    verdict: Verdict
    remark: str = ""


class _RefusedError(Exception):
    """A thing does not work; the message says why, and what helps."""


class Check:
    """
    Try the way to KVS with a stream that is open already.

    Args:
        spyglass: It streams to KVS, and to nothing else.
        put: Puts the next frame, and waits until it is time for one more.
        clock: Seconds that only go forward.

    """

    def __init__(
        self,
        spyglass: KVSSpyGlass,
        put: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spyglass = spyglass
        self._output = spyglass.kvs_output
        self._settings = spyglass.kvs_output.settings
        self._put = put
        self._clock = clock
        # What does not work, by name: a finding's, or one of the reasons.
        self._lacks: set[str] = set()
        # Whether there was no stream at first.
        self._was_missing = False

    def run(self) -> Iterator[Finding]:
        """
        Try one thing after the other; each finding comes as soon as it is known.

        What does not need a thing that has failed is tried all the same, so that whoever
        grants permissions has to be asked once.
        """
        yield self._find("credentials", self._credentials)
        yield self._find("DescribeStream", self._describe, "credentials")
        if self._was_missing or self._settings.create_stream:
            yield self._find("CreateStream", self._create, "credentials", "answer")
        needs = ["credentials", "answer", "stream"]
        yield self._find("GetDataEndpoint", self._endpoint, *needs)
        # The producer asks for these first.
        needs += ["DescribeStream", "GetDataEndpoint"]
        yield self._find("PutMedia", self._upload, *needs)
        needs += ["PutMedia"]
        watch = "GetHLSStreamingSessionURL"
        yield self._find(watch, self._play, *needs, otherwise=Verdict.WARNING)

    def _find(
        self,
        name: str,
        find: Callable[[], str],
        *needs: str,
        otherwise: Verdict = Verdict.FAILED,
    ) -> Finding:
        """Try one thing, if everything that it needs works."""
        missing = next((need for need in needs if need in self._lacks), None)
        if missing is not None:
            why = _REASONS.get(missing, f"it needs {missing}")
            return Finding(name, Verdict.SKIPPED, f"not tried: {why}")
        try:
            return Finding(name, Verdict.OK, find())
        except _SkippedError as error:
            return Finding(name, Verdict.SKIPPED, f"not tried: {error}")
        except (_RefusedError, BackpackError) as error:
            self._lacks.add(name)
            return Finding(name, otherwise, str(error))

    def _credentials(self) -> str:
        found = self._output.credentials(CALL_SECONDS)
        left = found.expires_in_seconds(time.time())
        until = "they do not expire" if left is None else f"good for {left / 60:.0f} min"
        if left is None and found.session_token is not None:
            until = "temporary, nobody says until when, and nobody renews them"
        return f"{found.shown_key} from {found.source}, {until}"

    def _describe(self) -> str:
        info = read_stream_info(self._description().encode())
        kept = f"keeps {info.retention_hours} h" if info.retention_hours else "keeps nothing"
        return f"the stream is {info.status} and {kept}"

    def _description(self) -> str:
        """Return what DescribeStream answers; wait for a stream that is being created."""
        asked = {"StreamName": self._settings.stream_name}
        control = self._settings.control_endpoint
        give_up_at = self._clock() + (CREATE_SECONDS if self._settings.create_stream else 0.0)
        while True:
            try:
                return self._call(write_request(Operation.DESCRIBE_STREAM, control, asked))
            except _MissingStreamError:
                self._was_missing = True
                if self._clock() > give_up_at or self._creates_none():
                    self._lacks.add("stream")
                    raise
            self._put_for(LOOK_SECONDS)

    def _creates_none(self) -> bool:
        """Return whether the producer has given up, or was told that it may not."""
        stats = self._spyglass.kvs_stats()
        return stats.state == "FAILED" or "kinesisvideo:CreateStream" in stats.trouble

    def _create(self) -> str:
        """Return what has become of it: the producer creates a stream that it does not find."""
        if not self._was_missing:
            if "DescribeStream" in self._lacks:
                raise _SkippedError("it needs DescribeStream")
            # The producer may have been quicker than we.
            return "the stream is there"
        if not self._settings.create_stream:
            raise _SkippedError("nobody has asked for it; --create does")
        if "stream" not in self._lacks:
            return f"the stream was created; it keeps {self._settings.retention_hours} h"
        raise _RefusedError(
            self._spyglass.kvs_stats().trouble
            or f"The stream was not created within {CREATE_SECONDS:.0f} s."
        )

    def _endpoint(self) -> str:
        return f"video goes to {self._data_endpoint('PUT_MEDIA')}"

    def _upload(self) -> str:
        begin = self._clock()
        self._put_for(UPLOAD_SECONDS)
        while not self._spyglass.kvs_stats().fragments_persisted:
            stats = self._spyglass.kvs_stats()
            seconds = self._clock() - begin
            if stats.state == "FAILED" or (stats.trouble and seconds > TROUBLE_SECONDS):
                raise _RefusedError(stats.trouble)
            if seconds > PERSIST_SECONDS:
                raise _RefusedError(f"Nothing was persisted within {PERSIST_SECONDS:.0f} s.")
            self._put()
        return f"{UPLOAD_SECONDS:.0f} s of video were persisted"

    def _put_for(self, seconds: float) -> None:
        end = self._clock() + seconds
        while self._clock() < end:
            self._put()

    def _play(self) -> str:
        self._output.playback_url("LIVE", expires_seconds=300, timeout=CALL_SECONDS)
        return "the stream can be watched: spyglass.playback_url()"

    def _data_endpoint(self, api: str) -> str:
        asked = {"StreamName": self._settings.stream_name, "APIName": api}
        control = self._settings.control_endpoint
        answer = self._call(write_request(Operation.GET_DATA_ENDPOINT, control, asked))
        return self._settings.check_endpoint(read_data_endpoint(answer.encode()))

    def _call(self, request: Request) -> str:
        try:
            answer = self._output.caller.fetch(request, CALL_SECONDS)
        except BackpackError:
            self._lacks.add("answer")
            raise
        if not answer.status:
            self._lacks.add("answer")
        if answer.status == _OK:
            return answer.body
        error, _ = read_error(answer.error_type, answer.body.encode())
        told = why_not(request, answer)
        raise _MissingStreamError(told) if error == "ResourceNotFound" else _RefusedError(told)


class _SkippedError(Exception):
    """A thing cannot be tried; the message says why."""


class _MissingStreamError(_RefusedError):
    """The stream does not exist."""
