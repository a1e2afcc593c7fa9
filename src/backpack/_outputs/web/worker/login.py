"""Let a request in, or answer it at the door."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from backpack._outputs.serving.worker.throttle import LoginThrottle
from backpack._outputs.web.worker.access import Authenticator, AuthResult, cookies_named, host_name
from backpack._outputs.web.worker.aio import web
from backpack._outputs.web.worker.answers import Files, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.web.settings import WebServerSettings

_COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class AuthenticatedRequest:
    """
    A request that was let in.

    Attributes:
        entry: How.
        path: What it asks for.

    """

    entry: AuthResult
    path: str


class Login:
    """
    Ask every request who it is. Asyncio's thread only.

    Args:
        settings: What the server was asked to be.
        instance: Tells its cookie from those of others.
        files: Has the page that says no.
        on_wrong: Called after a wrong token or password.

    """

    def __init__(
        self,
        settings: WebServerSettings,
        instance: str,
        files: Files,
        on_wrong: Callable[[], object],
    ) -> None:
        self._on_wrong = on_wrong
        self._authenticator = Authenticator(settings, instance)
        self._secure = settings.secure
        self._throttle = LoginThrottle(f"the page on {instance}")
        self._files = files

    @property
    def failed_logins(self) -> int:
        """How many wrong tokens and passwords there were."""
        return self._throttle.total

    def refuse_host(self, request: web.BaseRequest) -> web.Response | None:
        """Refuse a request for a host that is none of ours; None: it is."""
        given = request.headers.getall("Host", [])
        name = host_name(given[0]) if len(given) == 1 else None
        if name is None:
            return refuse(400, "Say in one Host header which host is meant.")
        local = request.transport and request.transport.get_extra_info("sockname")
        if self._authenticator.host_is_ours(name, str(local[0]) if local else ""):
            return None
        return refuse(
            403,
            f"This server does not answer to the name {name}. If it is meant to, give it "
            f"WebServer(allowed_hosts=['{name}']).",
        )

    async def enter(self, request: web.BaseRequest) -> AuthenticatedRequest | web.Response:
        """Let a request in, or give the answer that it gets instead."""
        entry = await self._identify(request)
        if isinstance(entry, web.Response):
            return entry
        host = request.headers["Host"]
        origin = request.headers.get("Origin")
        is_delicate = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if is_delicate and not self._authenticator.origin_is_ours(origin, host, entry):
            return refuse(403, "This was asked for by a page of another server.")
        return AuthenticatedRequest(entry, request.path)

    def without_token(self, request: web.BaseRequest) -> web.Response:
        """Lead from a page's address that holds the token to the one without."""
        rest = [(name, value) for name, value in request.query.items() if name != "token"]
        # Bytes that are no text come in as such, and could not be written.
        query = f"?{urlencode(rest, errors='replace')}" if rest else ""
        # Of the path alone, which begins with one slash: it leads to no other host.
        location = request.rel_url.raw_path + query
        return refuse(303, "Go on without the token.", {"Location": location})

    def give_cookie(self, response: web.StreamResponse) -> None:
        """Set the cookie that lets a browser in from now on, after a restart, too."""
        response.set_cookie(
            self._authenticator.cookie_name,
            self._authenticator.cookie_value,
            max_age=_COOKIE_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )

    async def _identify(self, request: web.BaseRequest) -> AuthResult | web.Response:
        token = request.query.get("token")
        header = request.headers.get("Authorization")
        for cookie in cookies_named(
            self._authenticator.cookie_name, request.headers.getall("Cookie", [])
        ):
            entry = self._authenticator.look(cookie=cookie)
            if entry.is_in:
                return entry
        address = request.remote or ""
        shut_out = self._throttle.is_shut_out(address, time.monotonic())
        if shut_out and token is None and _is_password(header):
            # Not even compared: a password, unlike a token, can be guessed in time.
            entry = AuthResult.WRONG
        else:
            entry = self._authenticator.look(token=token, header=header)
        if entry.is_in:
            return entry
        if entry is AuthResult.WRONG:
            seconds = self._throttle.wrong(address, time.monotonic())
            self._on_wrong()
            await asyncio.sleep(seconds)
            if shut_out:
                return refuse(429, "Too many wrong throttle. Wait a moment.", {"Retry-After": "10"})
        return self._deny(request)

    def _deny(self, request: web.BaseRequest) -> web.Response:
        response = self._files.page("denied.html", 401)
        mode = request.headers.get("Sec-Fetch-Mode", "navigate")
        # What a page of ours asks for must not open the browser's box for passwords.
        if self._authenticator.asks_for_password and mode == "navigate":
            response.headers["WWW-Authenticate"] = 'Basic realm="SpyGlass", charset="UTF-8"'
        elif not self._authenticator.asks_for_password:
            response.headers["WWW-Authenticate"] = 'Bearer realm="SpyGlass"'
        return response


def _is_password(header: str | None) -> bool:
    return header is not None and header[:6].lower() == "basic "
