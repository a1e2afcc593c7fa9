"""What has to be asked of AWS before video can be sent, and what it has answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._outputs.kvs.shared.api import (
    Operation,
    put_media,
    read_data_endpoint,
    read_stream_info,
    write_request,
)
from backpack._outputs.kvs.shared.refusals import NextStep
from backpack._outputs.kvs.worker.producer.commands import Call, Open

if TYPE_CHECKING:
    from backpack._outputs.kvs.settings import ProducerSettings


class ControlPlane:
    """
    Go from a stream's name to the endpoint that takes its video.

    Describe the stream, create it where that is allowed and it is missing,
    ask for the endpoint. What is known is kept until a call to it fails:
    AWS counts these calls.

    Args:
        settings: What to send where.

    """

    def __init__(self, settings: ProducerSettings) -> None:
        self._settings = settings
        # What is asked next.
        self.step = Operation.DESCRIBE_STREAM
        # Whether the credentials were refused, and should be renewed first.
        self.renew = False
        # Whether the stream keeps what it is sent.
        self.persists = True
        # Where to send video. Empty: it has to be asked for.
        self._endpoint = ""
        # Whether what is known of the stream may have changed.
        self._doubted = False

    def command(self, first_ms: int) -> Call | Open:
        """
        Write what is asked next.

        Args:
            first_ms: Time of the first fragment that would be sent.

        """
        renew, self.renew = self.renew, False
        if self.step is Operation.PUT_MEDIA:
            return Open(put_media(self._endpoint, self._settings.stream_name, first_ms), renew)
        endpoint = self._settings.control_endpoint
        return Call(write_request(self.step, endpoint, self._parameters()), renew)

    def _parameters(self) -> dict[str, object]:
        parameters: dict[str, object] = {"StreamName": self._settings.stream_name}
        if self.step is Operation.CREATE_STREAM:
            parameters["MediaType"] = "video/h264"
            parameters["DataRetentionInHours"] = self._settings.retention_hours
        elif self.step is Operation.GET_DATA_ENDPOINT:
            parameters["APIName"] = "PUT_MEDIA"
        return parameters

    def take(self, body: bytes) -> str:
        """
        Read the answer to a call that was granted, and decide what is asked next.

        Returns:
            Why it has to be waited for; empty where it has not.

        Raises:
            OutputError: The answer cannot be read.
            SettingsError: It names an endpoint that is not AWS's.

        """
        if self.step is Operation.CREATE_STREAM:
            self.step = Operation.DESCRIBE_STREAM
        elif self.step is Operation.DESCRIBE_STREAM:
            info = read_stream_info(body)
            self.persists = info.retention_hours > 0
            self._doubted = False
            if info.status != "ACTIVE":
                return f"The stream is {info.status}; it is waited for."
            self.connect()
        else:
            self._endpoint = self._settings.check_endpoint(read_data_endpoint(body))
            self.step = Operation.PUT_MEDIA
        return ""

    def doubt(self) -> None:
        """Before the next connection ask what the stream is: it may keep nothing any more."""
        self._doubted = True

    def connect(self) -> None:
        """Send video next, or find out what is missing for that."""
        if self._doubted:
            self.step = Operation.DESCRIBE_STREAM
        else:
            self.step = Operation.PUT_MEDIA if self._endpoint else Operation.GET_DATA_ENDPOINT

    def describe(self) -> None:
        """Ask anew for everything: the stream may have been deleted."""
        self._endpoint = ""
        self.step = Operation.DESCRIBE_STREAM

    def take_step(self, next_step: NextStep) -> NextStep:
        """
        Go on after a refusal.

        Returns:
            How: a stream that may not be created is somebody else's to create.

        """
        if next_step is NextStep.CREATE and not self._settings.create_stream:
            next_step = NextStep.MEND
        if next_step is NextStep.CREATE:
            self.step = Operation.CREATE_STREAM
        elif next_step in (NextStep.DESCRIBE, NextStep.MEND):
            self.describe()
        elif next_step is NextStep.ENDPOINT:
            self._endpoint = ""
            self.step = Operation.GET_DATA_ENDPOINT
        self.renew = self.renew or next_step is NextStep.RENEW
        return next_step
