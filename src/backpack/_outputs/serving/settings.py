"""Settings of a server as JSON, and in logs without their secrets."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

_MASK = "***"


class ListenerSettings(Protocol):
    """What the settings of all servers have, a frozen dataclass each."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def address(self) -> str:
        """Where it listens: an address or a name of this machine."""

    @property
    def port(self) -> int:
        """The TCP port; 0 takes a free one."""

    @property
    def users(self) -> Mapping[str, str]:
        """Names and passwords."""

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""

    def validate(self) -> None:
        """Refuse what cannot be served."""

    def to_dict(self) -> dict[str, object]:
        """Return the settings as JSON can carry them, secrets in clear."""


_Settings = TypeVar("_Settings", bound=ListenerSettings)


def show(settings: ListenerSettings, *, secret: tuple[str, ...] = ()) -> str:
    """
    Write settings for a log, which must not hold a secret.

    Args:
        settings: The settings. The passwords of ``users`` are masked.
        secret: The names of further settings to mask.

    """
    shown = {one.name: getattr(settings, one.name) for one in fields(settings)}
    shown["users"] = dict.fromkeys(settings.users, _MASK)
    shown.update({name: _MASK for name in secret if shown[name] is not None})
    listed = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    return f"{type(settings).__name__}({listed})"


def to_plain(settings: ListenerSettings) -> dict[str, object]:
    """Return settings as JSON can carry them, secrets in clear: never log it."""
    plain = {one.name: getattr(settings, one.name) for one in fields(settings)}
    plain["users"] = dict(settings.users)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()
    }


def from_plain(
    settings_class: type[_Settings], plain: Mapping[str, object], *, server: str
) -> _Settings:
    """
    Make settings from what `to_plain` gave.

    Args:
        settings_class: Whose settings they are.
        plain: What the application sent.
        server: What the server is called in the error.

    Raises:
        SettingsError: A name is unknown: the two sides differ in version.

    """
    unknown = sorted(set(plain) - {one.name for one in fields(settings_class)})
    if unknown:
        raise SettingsError(f"unknown settings of {server}: {', '.join(unknown)}.")
    # JSON has no tuples; settings have no lists.
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
    }
    return settings_class(**given)  # validate() checks every value
