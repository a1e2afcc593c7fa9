"""Settings of a stream through kvssink, and its properties."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from backpack._outputs.kvs.shared.names import (
    check_endpoint,
    check_region,
    check_retention_hours,
    check_stream_name,
    control_endpoint,
)
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Property: TypeAlias = "bool | int | str | Mapping[str, str]"
"""One that holds a structure is written as a mapping."""

DEFAULT_FPS: Final = 30.0

_MEGABYTE: Final = 1024 * 1024
# What its SDK refuses to be less or more (storage-size: 10 MiB to 10 GiB).
_STORAGE_MB: Final = (10, 10 * 1024)
_SHORTEST_BUFFER_SECONDS: Final = 20
# Its own defaults, where they are not more than the buffer.
_REPLAY_SECONDS: Final = 40
_LONGEST_LATENCY_SECONDS: Final = 60
_STALE_SECONDS: Final = 60

_LOG_CONFIG: Final = Path(__file__).with_name("kvs_log_configuration")


@dataclass(frozen=True)
class SinkSettings:
    """
    What the application has described.

    Attributes:
        region: Of the stream.
        stream_name: The stream.
        endpoint: What stands in for AWS's control plane. None: AWS's.
        ca_bundle: Certificates to trust: a file ``*.pem`` or a folder. None: the system's.
        dotenv_path: A `.env`; see `shared.dotenv`.
        library_path: LD_LIBRARY_PATH of the application, which the streaming
            process has not.
        credentials_path: The file that kvssink reads credentials from.
        environment_path: A file of mode 0600 with ``AWS_ACCESS_KEY_ID=…`` and
            so on, a line each; the child alone reads it, into its environment. For
            session tokens without an expiry, which the other file cannot hold.
        temporary_path: A directory of the application's own that holds this file and
            nothing else. It is deleted here if the application cannot do it any more.
        create_stream: Create the stream if it does not exist.
        retention_hours: How long a stream that is created keeps its video.
        fragment_seconds: A fragment begins at the first key frame after so long.
        buffer_seconds: How much video waits for the network at most.
        buffer_bytes: The same in bytes.
        fps: Frames a second, as far as known.
        bitrate_kbps: Of the video, as far as known.
        stop_seconds: How long the child delivers after the streaming process has gone.
        metadata: Must be empty: fragments through kvssink carry none.
        log_config: A log4cplus configuration of the user's. None: warnings only.
        proxy_url: See `Route`, for this and the next.
        proxy_exceptions: See there.
        hosts: AWS's in this region, see `shared.endpoints`.
        iot_certificate: What kvssink's property of this name holds: it asks AWS IoT
            for credentials itself. None: they come by one of the files.

    """

    region: str
    stream_name: str
    endpoint: str | None = None
    ca_bundle: str | None = None
    dotenv_path: str | None = None
    library_path: str | None = dataclasses.field(default=None, repr=False)
    credentials_path: str | None = None
    environment_path: str | None = None
    temporary_path: str | None = None
    create_stream: bool = False
    retention_hours: int = 24
    fragment_seconds: float = 2.0
    buffer_seconds: float = 120.0
    buffer_bytes: int = 128 * _MEGABYTE
    fps: float | None = None
    bitrate_kbps: int | None = None
    stop_seconds: float = 30.0
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    log_config: str | None = None
    proxy_url: str | None = dataclasses.field(default=None, repr=False)
    proxy_exceptions: str = ""
    hosts: Sequence[str] = ()
    iot_certificate: Mapping[str, str] | None = None

    @property
    def control_endpoint(self) -> str | None:
        """Where the control plane answers. None: where kvssink looks by itself."""
        if self.endpoint is not None or not self.hosts:
            return self.endpoint
        endpoint = f"https://{self.hosts[0]}"
        return None if endpoint == control_endpoint(self.region) else endpoint

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> SinkSettings:
        """
        Read a description; what is not for us is left aside.

        Raises:
            SettingsError: Something is missing, or cannot be.

        """
        known = {one.name for one in dataclasses.fields(cls)}
        try:
            settings = cls(**{name: value for name, value in description.items() if name in known})
        except TypeError as error:
            raise SettingsError(
                f"A stream through kvssink cannot be described so: {error}."
            ) from None
        settings.validate()
        return settings

    def validate(self) -> None:
        """
        Refuse what AWS or kvssink would refuse.

        Raises:
            SettingsError: Which setting, and what is allowed.

        """
        check_region(self.region)
        check_stream_name(self.stream_name)
        check_retention_hours(self.retention_hours)
        if self.endpoint is not None:
            check_endpoint(
                self.endpoint, region=self.region, configured=self.endpoint, hosts=self.hosts
            )
        if self.ca_bundle is not None:
            bundle = Path(self.ca_bundle)
            if bundle.suffix != ".pem" and not bundle.is_dir():
                # It would take no notice of it.
                raise SettingsError(
                    f"AWS_CA_BUNDLE={self.ca_bundle!r}: kvssink takes a file whose name ends in "
                    '".pem", or a folder.'
                )
        if self.metadata:
            raise SettingsError('metadata: fragments carry it with producer="native" only.')
        for name in ("fragment_seconds", "buffer_seconds", "buffer_bytes"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}={getattr(self, name)!r}: give more than 0.")

    @property
    def has_credentials(self) -> bool:
        """Whether their file is there: the application writes it once it has found any."""
        path = self.environment_path or self.credentials_path
        return path is None or Path(path).exists()

    @property
    def properties(self) -> dict[str, Property]:
        """Write them as kvssink's properties; no secret, since GStreamer's dumps show them."""
        buffer_seconds = max(_SHORTEST_BUFFER_SECONDS, math.ceil(self.buffer_seconds))
        low, high = _STORAGE_MB
        properties: dict[str, Property] = {
            "stream-name": self.stream_name,
            "aws-region": self.region,
            "allow-create-stream": self.create_stream,
            "retention-period": self.retention_hours,
            # A key frame for each new viewer elsewhere must not make a fragment each.
            "key-frame-fragmentation": False,
            "fragment-duration": round(self.fragment_seconds * 1000),
            "storage-size": min(high, max(low, math.ceil(self.buffer_bytes / _MEGABYTE))),
            "buffer-duration": buffer_seconds,
            "replay-duration": min(_REPLAY_SECONDS, buffer_seconds),
            "max-latency": min(_LONGEST_LATENCY_SECONDS, buffer_seconds),
            "connection-staleness": min(_STALE_SECONDS, buffer_seconds),
            # Sizes its index only: times come with the frames.
            "framerate": max(1, math.ceil(self.fps or DEFAULT_FPS)),
            "stop-stream-timeout": max(1, math.ceil(self.stop_seconds)),
            # Otherwise it takes the wall clock of the first frame's arrival for its time,
            # which is wrong by all that has waited for the network meanwhile, and counts on
            # from there for ever. With this a frame has the time that it comes with.
            "use-original-pts": True,
            "get-kvs-metrics": True,
            "log-config": self.log_config or str(_LOG_CONFIG),
        }
        if self.bitrate_kbps is not None:
            properties["avg-bandwidth-bps"] = self.bitrate_kbps * 1000
        if self.credentials_path is not None:
            properties["credential-path"] = self.credentials_path
        if self.iot_certificate is not None:
            properties["iot-certificate"] = dict(self.iot_certificate)
        return properties
