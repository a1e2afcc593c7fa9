"""What a KVS stream was asked to be: described by the application, checked on both sides."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.shared.names import (
    check_endpoint,
    check_region,
    check_retention_hours,
    check_stream_name,
    control_endpoint,
)
from backpack._outputs.kvs.shared.proxy import Route
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_RETENTION_HOURS = 24
DEFAULT_FRAGMENT_SECONDS = 2.0
DEFAULT_BUFFER_SECONDS = 120.0
DEFAULT_BUFFER_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class ProducerSettings:
    """
    What a producer was asked to be.

    Attributes:
        region: Of the stream.
        stream_name: The stream.
        endpoint: What stands in for AWS's control plane. None: AWS's.
        create_stream: Create the stream if it does not exist.
        retention_hours: How long a stream that is created keeps its video.
        fragment_seconds: See `ClusterRule`.
        buffer_seconds: See `FragmentQueue`.
        buffer_bytes: See `FragmentQueue`.
        metadata: Names and values that every fragment carries.
        hosts: AWS's in this region, see `shared.endpoints`; the first one is
            called if no other endpoint is given.

    """

    region: str
    stream_name: str
    endpoint: str | None = None
    create_stream: bool = False
    retention_hours: int = DEFAULT_RETENTION_HOURS
    fragment_seconds: float = DEFAULT_FRAGMENT_SECONDS
    buffer_seconds: float = DEFAULT_BUFFER_SECONDS
    buffer_bytes: int = DEFAULT_BUFFER_BYTES
    metadata: Mapping[str, str] = field(default_factory=dict)
    hosts: Sequence[str] = ()

    @property
    def control_endpoint(self) -> str:
        """Where the control plane answers."""
        if self.endpoint is not None or not self.hosts:
            return self.endpoint or control_endpoint(self.region)
        return f"https://{self.hosts[0]}"

    def check_endpoint(self, url: object) -> str:
        """
        Refuse an endpoint that no request of this stream may be signed for.

        Raises:
            SettingsError: See `names.check_endpoint`.

        """
        return check_endpoint(url, region=self.region, configured=self.endpoint, hosts=self.hosts)

    def validate(self) -> None:
        """
        Refuse what AWS would refuse. The producer itself looks at the rest.

        Raises:
            SettingsError: Which setting, and what is allowed.

        """
        check_region(self.region)
        check_stream_name(self.stream_name)
        check_retention_hours(self.retention_hours)
        self.check_endpoint(self.control_endpoint)


@dataclass(frozen=True)
class UploadSettings(ProducerSettings):
    """
    What an upload was asked to be: what the producer has to know, and this.

    Attributes:
        ca_bundle: A PEM file of the authorities that may vouch for AWS. None:
            the system's.
        buffer_path: A directory that takes what cannot be sent. None: memory
            only.
        proxy_url: See `Route`, for this and the next.
        proxy_exceptions: See there.

    """

    ca_bundle: str | None = None
    buffer_path: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    proxy_exceptions: str = ""

    @property
    def route(self) -> Route:
        """Which hosts are reached through a proxy."""
        return Route(self.proxy_url, self.proxy_exceptions)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> UploadSettings:
        """
        Take what the application has described. Its ``kind`` is left out.

        Raises:
            SettingsError: A name is unknown, or one is missing: the two sides
                differ in version.

        """
        given = {name: value for name, value in description.items() if name != "kind"}
        unknown = sorted(set(given) - {one.name for one in fields(cls)})
        if unknown:
            raise SettingsError(f"unknown settings of a KVS stream: {', '.join(unknown)}.")
        try:
            return cls(**given)
        except TypeError as error:
            raise SettingsError(f"a KVS stream: {error}.") from error

    def validate(self) -> None:
        """
        Refuse what cannot be.

        Raises:
            SettingsError: Which setting, and what is allowed.

        """
        super().validate()
        self.route.check(self.control_endpoint)
        if self.ca_bundle is not None:
            _check_bundle(self.ca_bundle)


def _check_bundle(path: str) -> None:
    import ssl  # noqa: PLC0415 - 10 ms, for those only who give one

    try:
        if not Path(path).is_file():
            raise SettingsError(f"AWS_CA_BUNDLE={path!r} is no file. Give one in PEM form.")
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"AWS_CA_BUNDLE={path!r} cannot be used: {error}.") from error
