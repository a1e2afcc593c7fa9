"""The outputs that URLs and options on a command line stand for."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from backpack._app.output import as_output, mask, scheme_of
from backpack._cli.failure import USAGE, Failure
from backpack._registry import OUTPUTS, type_of_scheme
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._app.output import Output, OutputOptions
    from backpack._registry import OutputType


def default_urls(name: str, options: OutputOptions) -> list[str]:
    """
    Return the URLs to listen on where none was given, on this machine alone.

    The usual port of a page is a usual one of other programs, too: where it is taken, any
    does. Paths that no stream can have are changed.
    """
    listening = [one for one in OUTPUTS if one.listens]
    is_secure = options.certificate is not None
    if not all(_can_serve(one, name, options) for one in listening):
        name = f"{name}_video"
    urls = []
    for one in listening:
        port = one.secure_port if is_secure else one.port
        if one.page and not _is_free(port):
            port = 0
        urls.append(f"{one.secure_scheme if is_secure else one.scheme}://127.0.0.1:{port}/{name}")
    return urls


def _can_serve(one: OutputType, name: str, options: OutputOptions) -> bool:
    try:
        as_output(f"{one.scheme}://127.0.0.1:0/{name}", options)
    except SettingsError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def has_password(url: str) -> bool:
    """Return whether a URL holds a password."""
    return mask(url) != url and bool(urlsplit(url).password)


def make_outputs(urls: Sequence[str], options: OutputOptions) -> list[Output]:
    """
    Return the outputs that the URLs stand for.

    Those with the same scheme, host and port share a server, with the logins of all of them.

    Raises:
        Failure: A URL and an option do not go together.
        SettingsError: A URL or option that cannot be.

    """
    secure = [url for url in urls if _is_secure(url)]
    if secure and options.certificate is None:
        scheme = scheme_of(secure[0])
        raise Failure(f"{scheme}:// needs --certificate PEM, and --key PEM or both in one.", USAGE)
    if options.certificate is not None and not secure:
        known = " and ".join(f"{one.secure_scheme}://" for one in OUTPUTS if one.secure_scheme)
        raise Failure(f"--certificate is for {known} URLs, and there is none.", USAGE)
    logins: dict[str, dict[str, str]] = {}
    for url in urls:
        logins.setdefault(_place(url), dict(options.users)).update(_login(url))
    return [as_output(url, replace(options, users=logins[_place(url)])) for url in urls]


def _is_secure(url: str) -> bool:
    scheme = scheme_of(url)
    found = type_of_scheme(scheme)
    return found is not None and scheme == found.secure_scheme


def _place(url: str) -> str:
    """Return the part of a URL that says which server it means."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host.replace('localhost', '127.0.0.1')}".lower()


def _login(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {unquote(parts.username): unquote(parts.password or "")} if parts.username else {}
