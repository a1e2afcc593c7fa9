"""
Answer WHEP, the way that viewers over WebRTC begin (draft-ietf-wish-whep).

A viewer posts an offer and gets an answer; the session's address is for ending
it. What it says of its candidates is taken and not needed: we learn from its
packets where they come from, as servers that speak ICE lite do (RFC 8445, 2.5).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backpack._gst.main_loop import done
from backpack._lib.addresses import own_address
from backpack._lib.interfaces import reachable_addresses
from backpack._outputs.web.worker.aio import web
from backpack._outputs.web.worker.answers import refuse
from backpack._outputs.web.worker.webrtc.fragment import read_fragment
from backpack._outputs.web.worker.webrtc.offer import (
    LARGEST_OFFER_BYTES,
    NoCodecError,
    Offer,
    OfferError,
    read_offer,
)
from backpack._outputs.web.worker.webrtc.settings import IceSettings
from backpack.errors import MissingDependencyError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from concurrent.futures import Future

    from backpack._outputs.web.worker.bridge import LoopBridge
    from backpack._outputs.web.worker.mount import Mount
    from backpack._outputs.web.worker.webrtc.peer import Peer
    from backpack._outputs.web.worker.webrtc.peers import Peers

    Handler = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]

NAME = "whep"

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"

BODY_SECONDS = 10.0

_ALLOW = "DELETE, OPTIONS, PATCH, POST"
_CLOSE = {"Connection": "close"}


class _RefusedError(Exception):
    """
    A request that gets nothing.

    Args:
        status: HTTP's word for it.
        text: What is wrong, and what to do.
        headers: Of the answer.

    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


@dataclass(frozen=True)
class WhepLimits:
    """
    What viewers over WebRTC may take.

    Attributes:
        sessions_per_address: From one address.
        close_seconds: How long the server's end may wait for them.

    """

    sessions_per_address: int = 16
    close_seconds: float = 1.0


@dataclass(eq=False)
class _WhepSession:
    """One viewer, a guest of its stream. Asyncio's thread only; the peer is the main one's."""

    mount: Mount
    address: str
    user: str
    tag: str
    peer: Peer | None = None
    is_watching: bool = False
    is_over: bool = False

    @property
    def lost(self) -> int:
        """Count the pictures that it was too slow for. Any thread."""
        peer = self.peer
        return 0 if peer is None else peer.lost


class Whep:
    """
    Open and close sessions.

    Asyncio's thread, but for what says otherwise.

    Args:
        mounts: Finds the stream of a path.
        bridge: The way between the threads.
        is_full: Tells whether the server has all the viewers that it may have.
        address: Where the server listens.
        udp_ports: The first and the last UDP port; None: any that is free.
        limits: What viewers may take.

    """

    def __init__(
        self,
        mounts: Callable[[str], Mount | None],
        bridge: LoopBridge,
        *,
        is_full: Callable[[], bool],
        address: str,
        udp_ports: tuple[int, int] | None = None,
        limits: WhepLimits | None = None,
    ) -> None:
        self._find_mount = mounts
        self._bridge = bridge
        self._is_full = is_full
        # As a number: looking up a name could take long.
        self._address = own_address(address)
        self._udp_ports = udp_ports
        self._limits = limits or WhepLimits()
        # Path and id → session.
        self._sessions: dict[tuple[str, str], _WhepSession] = {}
        # The main thread's. None: nobody has come yet.
        self._peers: Peers | None = None
        self.routes: dict[tuple[str, str], Handler] = {
            ("POST", NAME): _refusing(self._post),
            ("PATCH", NAME): _refusing(self._patch),
            ("DELETE", NAME): _refusing(self._delete),
            ("OPTIONS", NAME): self._options,
        }

    def __len__(self) -> int:
        return len(self._sessions)

    def unmounted(self, mount: Mount) -> None:
        """End the sessions of a stream that is shown no longer."""
        for key, session in list(self._sessions.items()):
            if session.mount is mount:
                self._end(key)

    def close(self) -> Future[None]:
        """End all sessions. Main thread, when asyncio's has ended. Does not block."""
        if self._peers is None:
            return done()
        return self._peers.close(self._limits.close_seconds)

    # --- requests ---------------------------------------------------------------

    async def _options(self, request: web.BaseRequest, path: str) -> web.StreamResponse:  # noqa: ARG002
        headers = {"Allow": _ALLOW, "Accept-Post": SDP, "Accept-Patch": FRAGMENT}
        return web.Response(status=204, headers=headers)

    async def _post(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if _session_id(request, path):
            raise _RefusedError(405, "Offers go to the stream's own address.", {"Allow": _ALLOW})
        if request.content_type != SDP:
            raise _RefusedError(415, f"Give an offer, as {SDP}.", {"Accept-Post": SDP})
        mount = self._find_mount(path)
        if mount is None:
            raise _RefusedError(404, "There is no stream here.", {"Retry-After": "5"})
        address = request.remote or ""
        self._check_room(address)
        body = await _read_body(request)
        try:
            offer = read_offer(body)
        except NoCodecError as error:
            raise _RefusedError(406, str(error)) from None
        except OfferError as error:
            raise _RefusedError(400, str(error)) from None
        # Others may have come while the offer did.
        self._check_room(address)
        return await self._open(path, mount, address, offer)

    async def _patch(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        session = self._sessions.get((path, _session_id(request, path)))
        if session is None:
            raise _RefusedError(404, "There is no such session.")
        if request.content_type != FRAGMENT:
            raise _RefusedError(415, f"Give candidates, as {FRAGMENT}.", {"Accept-Patch": FRAGMENT})
        tag = request.headers.get("If-Match")
        if tag is None:
            raise _RefusedError(428, "Say with If-Match which session of ICE is meant.")
        if tag not in ("*", session.tag):
            raise _RefusedError(412, "That session of ICE is over.")
        try:
            user = read_fragment(await _read_body(request))
        except OfferError as error:
            raise _RefusedError(400, str(error)) from None
        if tag == "*" or user not in (None, session.user):
            raise _RefusedError(422, "ICE cannot be restarted here. Begin a new session.")
        return web.Response(status=204)

    async def _delete(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        key = path, _session_id(request, path)
        if key not in self._sessions:
            raise _RefusedError(404, "There is no such session.")
        self._end(key)
        return web.Response(status=200)

    # --- sessions ---------------------------------------------------------------

    def _check_room(self, address: str) -> None:
        of_address = sum(session.address == address for session in self._sessions.values())
        if self._is_full() or of_address >= self._limits.sessions_per_address:
            raise _RefusedError(503, "Too many are watching.", {"Retry-After": "10"})

    async def _open(
        self, path: str, mount: Mount, address: str, offer: Offer
    ) -> web.StreamResponse:
        key = path, secrets.token_urlsafe(16)
        session = _WhepSession(mount, address, offer.user, f'"{secrets.token_hex(8)}"')
        self._sessions[key] = session
        try:
            answer = await self._ask_for_answer(key, session, offer)
        except BaseException as error:
            self._end(key)
            if isinstance(error, MissingDependencyError):
                raise _RefusedError(501, str(error)) from None
            if isinstance(error, PipelineError):
                raise _RefusedError(503, str(error)) from None
            raise
        headers = {"Location": f"{path}/{NAME}/{key[1]}", "ETag": session.tag}
        return web.Response(text=answer, status=201, content_type=SDP, headers=headers)

    async def _ask_for_answer(
        self, key: tuple[str, str], session: _WhepSession, offer: Offer
    ) -> str:
        call = self._bridge.call

        def start(answer: Callable[[str | PipelineError], None]) -> None:
            if session.is_over:
                raise PipelineError("The stream has ended.")
            session.peer = self._all_peers().open(
                session.mount.hub,
                offer,
                IceSettings(tuple(reachable_addresses(self._address)), self._udp_ports),
                on_answer=answer,
                on_connected=lambda: call(self._watch, session),
                on_gone=lambda: call(self._end, key),
            )

        # Needs GStreamer's part, which the main thread loads.
        asked: asyncio.Future[str | PipelineError] = self._bridge.ask(start)
        answer = await asked
        if isinstance(answer, PipelineError):
            raise answer
        return answer

    def _watch(self, session: _WhepSession) -> None:
        if not session.is_over and not session.is_watching:
            session.is_watching = True
            session.mount.welcome(session)

    def _end(self, key: tuple[str, str]) -> None:
        """Forget a session, and close what is left of it."""
        session = self._sessions.pop(key, None)
        if session is None:
            return
        session.is_over = True
        if session.is_watching:
            session.is_watching = False
            session.mount.dismiss(session)

        def close(done: Callable[[None], None]) -> None:
            self._close_peer(session)
            done(None)

        self._bridge.ask(close)

    # --- main thread ------------------------------------------------------------

    def _all_peers(self) -> Peers:
        if self._peers is None:
            from backpack._outputs.web.worker.webrtc.peers import Peers  # noqa: PLC0415 - may be missing

            self._peers = Peers()
        return self._peers

    def _close_peer(self, session: _WhepSession) -> None:
        # Its sockets close with the last reference.
        peer, session.peer = session.peer, None
        if peer is not None and self._peers is not None:
            self._peers.close_one(peer)


def _refusing(handler: Handler) -> Handler:
    """Make an answer of a refusal."""

    async def answer(request: web.BaseRequest, path: str) -> web.StreamResponse:
        try:
            return await handler(request, path)
        except _RefusedError as refusal:
            return refuse(refusal.status, str(refusal), refusal.headers)

    return answer


def _session_id(request: web.BaseRequest, path: str) -> str:
    return request.path[len(path) + len(NAME) + 2 :]


async def _read_body(request: web.BaseRequest) -> bytes:
    try:
        body = await asyncio.wait_for(_read_some(request), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise _RefusedError(408, "It did not come in time.", _CLOSE) from None
    if len(body) > LARGEST_OFFER_BYTES:
        raise _RefusedError(413, f"More than {LARGEST_OFFER_BYTES} bytes are too much.", _CLOSE)
    return body


async def _read_some(request: web.BaseRequest) -> bytes:
    """Read until the end, or until it is too much."""
    body = bytearray()
    while len(body) <= LARGEST_OFFER_BYTES:
        chunk = await request.content.readany()
        if not chunk:
            break
        body += chunk
    return bytes(body)
