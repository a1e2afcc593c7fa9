"""Send one stream to AWS Kinesis Video Streams."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from backpack._app.predecessor import tell_unused
from backpack._outputs.kvs.output import KVSOutput
from backpack._outputs.kvs.stats import KVSStats
from backpack.spyglass import SpyGlass

if TYPE_CHECKING:
    import datetime as dt
    import logging
    from collections.abc import Mapping, Sequence

    from backpack._app.output import Output
    from backpack._outputs.kvs.credentials.handlers import KVSCredentialsHandler


class KVSSpyGlass(SpyGlass):
    """
    One video stream that is sent to AWS Kinesis Video Streams (KVS).

    ::

        spyglass = KVSSpyGlass("us-east-1", "panorama-video")
        with spyglass:
            while running:
                spyglass.put(frame)

    No video is lost in an outage that fits the buffer: fragments are kept until
    KVS has persisted them, and are sent again from their first frame. The keys
    stay in this process, which signs the requests of the streaming process.

    Any thread may call any method.

    Args:
        stream_region: AWS region of the stream, such as ``"us-east-1"``.
        stream_name: Name of the stream.
        credentials_handler: Where credentials come from. None: wherever boto3
            finds them, renewed in time.
        parent_logger: As in `SpyGlass`.
        gst_log_file: As in `SpyGlass`.
        gst_log_level: As in `SpyGlass`.
        dotenv_path: File that says where kvssink is (``GST_PLUGIN_PATH``,
            ``LD_LIBRARY_PATH``, ``LD_PRELOAD``). The native producer needs none.
        outputs: Where else the stream goes: URLs and objects as in `SpyGlass`.
        producer: ``"native"``, which needs nothing but this package, or
            ``"kvssink"``, AWS's GStreamer element, where it has been built.
        create_stream: Create the stream if it does not exist.
        retention_hours: How long a stream that is created keeps its video. With
            kvssink, give 0 also for an existing stream that keeps nothing: kvssink
            does not tell, and its video would never count as arrived.
        fragment_seconds: Length of a fragment at least, from 1 to 8 s. Shorter
            ones can be watched sooner.
        buffer_seconds: How much video waits in an outage; three fragments at least.
        buffer_bytes: The same in bytes; 1 MiB at least.
        buffer_path: Directory where video that waits is kept, too, and whence
            it is sent after a restart. It is not encrypted there. None: memory only.
            For the native producer.
        metadata: Names and values that every fragment carries; ten at the most.
            For the native producer.
        settings: The other arguments of `SpyGlass`.

    Raises:
        SettingsError: AWS would refuse a region, name or value, or the buffer
            is too small.
        MissingDependencyError: botocore is not installed.

    """

    def __init__(  # noqa: PLR0913 - every setting has a name
        self,
        stream_region: str,
        stream_name: str,
        credentials_handler: KVSCredentialsHandler | None = None,
        parent_logger: logging.Logger | None = None,
        gst_log_file: str | os.PathLike[str] | None = None,
        gst_log_level: str | int | None = None,
        dotenv_path: str | os.PathLike[str] | None = None,
        *,
        outputs: Sequence[str | Output] = (),
        producer: str = "native",
        create_stream: bool = False,
        retention_hours: int = 24,
        fragment_seconds: float = 2.0,
        buffer_seconds: float = 120.0,
        buffer_bytes: int = 128 << 20,
        buffer_path: str | os.PathLike[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        **settings: Any,  # noqa: ANN401 - checked by SpyGlass
    ) -> None:
        self.kvs_output = KVSOutput(
            stream_region,
            stream_name,
            credentials_handler,
            producer=producer,
            dotenv_path=dotenv_path,
            create_stream=create_stream,
            retention_hours=retention_hours,
            fragment_seconds=fragment_seconds,
            buffer_seconds=buffer_seconds,
            buffer_bytes=buffer_bytes,
            buffer_path=buffer_path,
            metadata=metadata,
            parent_logger=parent_logger,
        )
        super().__init__(
            self.kvs_output,
            *outputs,
            parent_logger=parent_logger,
            gst_log_file=gst_log_file,
            gst_log_level=gst_log_level,
            **settings,
        )
        self.dotenv_path = None if dotenv_path is None else os.fspath(dotenv_path)
        if dotenv_path is not None and producer != "kvssink":
            tell_unused(self.logger, "dotenv_path", "the native producer needs none")
        self.stream_region = stream_region
        self.stream_name = stream_name
        self.credentials_handler = self.kvs_output.credentials_handler

    def kvs_stats(self) -> KVSStats:
        """Return what is known of the connection to KVS. Does not block."""
        return KVSStats.of(self.stats().outputs[0])

    def playback_url(
        self,
        mode: str = "LIVE",
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        expires_seconds: int = 300,
        timeout: float = 10.0,
    ) -> str:
        """
        Request an address from AWS at which a browser plays the stream.

        Anybody who has the address can watch until it expires: treat it as a
        secret. The request needs the actions ``kinesisvideo:GetDataEndpoint`` and
        ``kinesisvideo:GetHLSStreamingSessionURL``, and a stream that keeps what
        it is sent. ``"LIVE"`` needs a fragment of the last half minute.

        Args:
            mode: ``"LIVE"``: what comes now. ``"LIVE_REPLAY"``: from ``start`` on,
                going over into what comes now. ``"ON_DEMAND"``: what was recorded
                from ``start`` to ``end``.
            start: When the first fragment was captured, with a time zone.
            end: The same of the last fragment; at most 24 hours later. May be left
                out with ``"LIVE_REPLAY"``.
            expires_seconds: How long it can be opened, from 300 to 43,200.
            timeout: Seconds to wait for each of two answers.

        Raises:
            StateError: It is not streaming.
            SettingsError: A mode, range or time is invalid.
            OutputError: There is no answer, or AWS refuses.
            MissingDependencyError: The producer is kvssink, which cannot make
                this request.

        """
        return self.kvs_output.playback_url(
            mode, start=start, end=end, expires_seconds=expires_seconds, timeout=timeout
        )
