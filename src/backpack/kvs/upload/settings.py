"""Hold what an upload was asked to be."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backpack.errors import SettingsError
from backpack.kvs.producer.commands import ProducerSettings
from backpack.kvs.proxy import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UploadSettings"]


@dataclass(frozen=True)
class UploadSettings(ProducerSettings):
    """
    What an upload was asked to be: what the producer has to know, and this.

    Attributes:
        ca_bundle: A PEM file of the authorities that may vouch for AWS. None:
            the system's.
        buffer_path: A directory that takes what cannot be sent. None: memory
            only.
        proxy_url: See `backpack.kvs.proxy.Route`, for this and the next.
        proxy_exceptions: See there.

    """

    ca_bundle: str | None = None
    buffer_path: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    proxy_exceptions: str = ""

    @property
    def route(self) -> Route:
        """Tell which hosts are reached through a proxy."""
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
