"""Outputs as the application sees them: something to describe, open and close."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from backpack._registry import output_types, type_of_scheme
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backpack.errors import BackpackError


@runtime_checkable
class Output(Protocol):
    """
    Where a stream goes, as the application names it.

    It only describes: what opens it runs in the streaming process.
    """

    def describe(self) -> dict[str, Any]:
        """Return what the streaming process needs to open it, as JSON would take it."""

    def acquire(self) -> None:
        """Open what the output needs here, such as its server, before the stream starts."""

    def release(self) -> None:
        """Close what `acquire` has opened, after the stream has stopped."""

    def urls(self) -> list[str]:
        """Return the addresses at which it can be watched."""


@runtime_checkable
class TwoWayOutput(Output, Protocol):
    """An output whose two sides, here and in the streaming process, send each other messages."""

    deliver_seconds: float
    """How long a stop may take at least: it delivers to a remote service."""

    def connect(self, send: Callable[[dict[str, Any]], None]) -> None:
        """
        Set up sending to the other side, before each opening of the stream.

        Args:
            send: Sends a message. Any thread. A message that is sent while the
                other side is away is lost.

        """

    def on_message(self, body: dict[str, Any]) -> None:
        """Handle a message of the other side. Supervisor's thread; must not block."""

    def on_worker_exit(self, told: Mapping[str, Any]) -> None:
        """
        Handle that the other side has gone with the streaming process.

        Args:
            told: The last numbers that it reported.

        """

    def numbers(self) -> dict[str, Any]:
        """Return what this side knows, for the statistics. Does not block."""


@dataclass(frozen=True)
class OutputOptions:
    """
    What a URL cannot say of the output that it stands for.

    Attributes:
        allow_anonymous: Whether an address that others can reach may be watched without a login.
        required: Whether starting raises an error where nothing can be streamed.
        users: Names and passwords, besides those in the URL.
        certificate: File with a TLS certificate, for URLs of a scheme with TLS.
        key: File with its private key.
        rtp_ports: First and last UDP port to send from.
        allowed_hosts: Names under which browsers may ask for a page.
        announces: Whether the output logs where it can be watched.

    """

    allow_anonymous: bool = False
    required: bool = False
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    key: str | None = None
    rtp_ports: tuple[int, int] | None = None
    allowed_hosts: tuple[str, ...] = ()
    announces: bool = True


@runtime_checkable
class ServedOutput(Output, Protocol):
    """An output that a server shows."""

    @property
    def failure(self) -> BackpackError | None:
        """Why its server does not listen though the streaming process runs. None: it may."""

    def tell_failure(self) -> None:
        """Log `failure`, if there is one."""


def report_failures(outputs: Sequence[Output]) -> None:
    """
    Raise the first failure where the servers of all outputs have failed; else log each.

    Raises:
        BackpackError: What keeps the first one from being served.

    """
    served = [output for output in outputs if isinstance(output, ServedOutput)]
    failures = [output.failure for output in served if output.failure is not None]
    if failures and len(failures) == len(outputs):
        raise failures[0]
    for output in served:
        output.tell_failure()


def as_output(given: object, options: OutputOptions) -> Output:
    """
    Return the output that a URL or an object stands for.

    Raises:
        SettingsError: It stands for none.

    """
    if not isinstance(given, str):
        if isinstance(given, Output) and not isinstance(given, type):
            return given
        if isinstance(given, logging.Logger):
            raise SettingsError("Give the logger by its name: parent_logger=...")
        raise SettingsError(
            f"{given!r} is no output. Give a URL such as 'rtsp://127.0.0.1:8554/door', or an "
            "object such as GstSink(...)."
        )
    scheme = scheme_of(given)
    found = type_of_scheme(scheme)
    if found is None:
        known = ", ".join(sorted(f"{name}://" for one in output_types() for name in one.schemes))
        raise SettingsError(
            f"{mask(given)!r}: there is no output for the scheme {scheme!r}. There is {known}, "
            "and GstSink(...) for whatever GStreamer has a sink for."
        )
    output: Output = found.load("output").output_from_url(given, options)
    return output


def scheme_of(url: str) -> str:
    """
    Return the scheme of a URL, in small letters.

    Raises:
        SettingsError: It is no URL.

    """
    try:
        return urlsplit(url).scheme.lower()
    except ValueError as error:
        raise SettingsError(f"{mask(url)!r}: this is no URL: {error}.") from error


def mask(url: str) -> str:
    """Return a URL with its password hidden, fit for logs and errors."""
    head, separator, rest = url.partition("://")
    # The last "@" of all: a password with a slash in it is wrong, but secret.
    login, at, place = rest.rpartition("@")
    if not separator or not at:
        return url
    user = login.partition(":")[0]
    return f"{head}://{user}:***@{place}"
