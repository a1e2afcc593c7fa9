"""Answer what browsers and other programs ask for: pages, pictures, numbers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from backpack._outputs.web.settings import check_stream_path
from backpack._outputs.web.worker.access import AuthResult
from backpack._outputs.web.worker.aio import web
from backpack._outputs.web.worker.answers import Files, dress, json_answer, refuse
from backpack._outputs.web.worker.jpeg import captured_ns
from backpack._outputs.web.worker.login import AuthenticatedRequest, Login
from backpack._outputs.web.worker.metrics import CONTENT_TYPE, Page, add_process, add_stream
from backpack._outputs.web.worker.mjpeg import send_pictures
from backpack._outputs.web.worker.viewer import LARGEST_MESSAGE_BYTES, WebSocketViewer
from backpack._version import VERSION
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from backpack._outputs.web.settings import WebServerSettings
    from backpack._outputs.web.worker.mount import Mount
    from backpack._outputs.web.worker.whep import Whep

    Handler = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]

HEARTBEAT_SECONDS = 20.0

LARGEST_BODY_BYTES = 64 * 1024

WIDEST_SNAPSHOT = 8192

_TRY_AGAIN_LATER = 1013  # RFC 6455 and IANA's registry of close codes
_GOING_AWAY = 1001

logger = logging.getLogger(__name__)


class Site:
    """
    Everything that one server answers. Asyncio's thread only, but for `mounts`.

    Args:
        settings: What the server was asked to be.
        instance: Tells its cookie from those of others.
        on_upgraded: Called with a request whose connection is a WebSocket now.
        on_wrong: Called after a wrong token or password.

    """

    def __init__(
        self,
        settings: WebServerSettings,
        instance: str,
        *,
        on_upgraded: Callable[[web.BaseRequest], None],
        on_wrong: Callable[[], object],
    ) -> None:
        self._settings = settings
        self._on_upgraded = on_upgraded
        self._files = Files()
        self._login = Login(settings, instance, self._files, on_wrong)
        # Path → stream. Replaced, never changed.
        self.mounts: dict[str, Mount] = {}
        self._sessions: set[WebSocketViewer] = set()
        # Set whenever there is none.
        self._all_gone = asyncio.Event()
        self._slow_viewers = 0
        # Answers by status.
        self._answered: Counter[int] = Counter()
        self._pages: dict[str, Callable[[], Awaitable[web.StreamResponse]]] = {
            "/metrics": self._metrics,
            "/api/streams": self._streams,
        }
        # What is below a stream's path: method and name → handler.
        self.below_stream: dict[tuple[str, str], Handler] = {
            ("GET", "ws"): self._socket,
            ("GET", "snapshot.jpg"): self._snapshot,
            ("GET", "stream.mjpg"): self._mjpeg,
        }
        self._whep: Whep | None = None

    def add_whep(self, whep: Whep) -> None:
        """Answer those who want to watch over WebRTC."""
        self._whep = whep
        self.below_stream.update(whep.routes)

    # --- streams ----------------------------------------------------------------

    def mount(self, mount: Mount) -> None:
        """Show a stream, also to those who have waited for it."""
        self.mounts = {**self.mounts, mount.path: mount}
        for session in self._of_path(mount.path):
            session.mounted(mount)

    def unmount(self, mount: Mount) -> None:
        """Show a stream no longer; its viewers are told, and wait for it to come back."""
        if self.mounts.get(mount.path) is mount:
            self.mounts = {path: one for path, one in self.mounts.items() if one is not mount}
            for session in self._of_path(mount.path):
                session.mounted(None)
                session.say({"type": "state", "state": "ended", "age_ms": mount.state()["age_ms"]})
        if self._whep is not None:
            self._whep.unmounted(mount)
        mount.end()

    async def close(self) -> None:
        """End the sessions of all viewers, and wait for them to go."""
        for session in self._sessions:
            session.close(_GOING_AWAY)
        if self._sessions:
            await self._all_gone.wait()

    def _of_path(self, path: str) -> list[WebSocketViewer]:
        return [session for session in self._sessions if session.path == path]

    # --- requests ---------------------------------------------------------------

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever it is."""
        try:
            response = await self._answer(request)
        except web.HTTPException as refusal:
            response = refuse(refusal.status, refusal.reason or "")
        except ConnectionError:
            # Gone in the middle of the answer; nobody reads this one.
            response = refuse(400, "")
        except Exception:
            logger.exception("A request could not be answered.")
            response = refuse(500, "This is a fault of ours; see the log.")
        self._answered[response.status] += 1
        if not response.prepared:
            dress(response)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if path == "/healthz" and method in ("GET", "HEAD"):
            # Tells nothing, so whatever asks for it needs no name and no token.
            return refuse(200, "ok")
        if (request.content_length or 0) > LARGEST_BODY_BYTES:
            return refuse(413, "That is too much.", {"Connection": "close"})
        stranger = self._login.refuse_host(request)
        if stranger is not None:
            return stranger
        if path.startswith("/static/") and method in ("GET", "HEAD"):
            return self._files.answer(path[8:], request.headers.get("If-None-Match"))
        visit = await self._login.enter(request)
        if isinstance(visit, web.Response):
            return visit
        return await self._answer_visit(request, visit)

    async def _answer_visit(
        self, request: web.BaseRequest, visit: AuthenticatedRequest
    ) -> web.StreamResponse:
        method = "GET" if request.method == "HEAD" else request.method
        stream, name = _split(visit.path, {known for _, known in self.below_stream})
        if name:
            handler = self.below_stream.get((method, name))
            if handler is None:
                return self._wrong_method(name)
            response = await handler(request, stream)
            _let_embed(response, visit.entry)
            return response
        if method != "GET":
            return refuse(405, "This can only be looked at.", {"Allow": "GET, HEAD"})
        page = self._pages.get(visit.path)
        if page is not None:
            return await page()
        response = self._page(visit.path)
        if "token" in request.query and response.content_type == "text/html":
            response = self._login.without_token(request)
        if visit.entry in (AuthResult.TOKEN, AuthResult.HEADER):
            self._login.give_cookie(response)
        return response

    def _wrong_method(self, name: str) -> web.Response:
        allowed = sorted(method for method, known in self.below_stream if known == name)
        return refuse(405, "This method is not for here.", {"Allow": ", ".join(allowed)})

    def _page(self, path: str) -> web.Response:
        if path == "/":
            return self._files.page("list.html")
        plain = path.rstrip("/")
        try:
            check_stream_path(plain)
        except SettingsError:
            return refuse(404, "There is nothing here.")
        if plain != path:
            return refuse(303, "Without the slash.", {"Location": plain})
        # The page of a stream that is not there yet waits for it.
        return self._files.page("stream.html", 200 if path in self.mounts else 404)

    # --- below a stream's path --------------------------------------------------

    async def _socket(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            # Video does not shrink; compressing it would cost more than encoding it.
            compress=False,
            heartbeat=HEARTBEAT_SECONDS,
            max_msg_size=LARGEST_MESSAGE_BYTES,
            timeout=1.0,
        )
        if not _can_upgrade(ws, request):
            return refuse(426, "This is for WebSockets.", {"Upgrade": "websocket"})
        await ws.prepare(request)
        self._on_upgraded(request)
        if self.is_full():
            await ws.close(code=_TRY_AGAIN_LATER, message=b"full")
            return ws
        session = WebSocketViewer(ws, path)
        self._sessions.add(session)
        self._all_gone.clear()
        try:
            mount = self.mounts.get(path)
            session.mounted(mount)
            if mount is None:
                session.say({"type": "state", "state": "absent", "age_ms": None})
            await session.run()
        finally:
            self._sessions.discard(session)
            if not self._sessions:
                self._all_gone.set()
        return ws

    async def _snapshot(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        mount = self.mounts.get(path)
        if mount is None:
            return refuse(404, "There is no stream here.")
        jpeg = await mount.shot(_width(request))
        if jpeg is None:
            return refuse(503, "There is no frame yet.", {"Retry-After": "1"})
        taken_ns = captured_ns(jpeg)
        headers = {} if taken_ns is None else {"Last-Modified": _http_date(taken_ns)}
        return web.Response(body=jpeg, content_type="image/jpeg", headers=headers)

    async def _mjpeg(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        mount = self.mounts.get(path)
        if mount is None:
            return refuse(404, "There is no stream here.")
        if self.is_full():
            return refuse(503, "Too many are watching.", {"Retry-After": "10"})
        self._slow_viewers += 1
        try:
            return await send_pictures(
                request, mount, _width(request), lambda: self.mounts.get(path) is mount
            )
        finally:
            self._slow_viewers -= 1

    def is_full(self) -> bool:
        """Return whether nobody else may watch, in whatever way."""
        others = 0 if self._whep is None else len(self._whep)
        return len(self._sessions) + self._slow_viewers + others >= self._settings.max_viewers

    # --- numbers ----------------------------------------------------------------

    async def _streams(self) -> web.StreamResponse:
        mounts = list(self.mounts.values())
        await asyncio.gather(*(mount.look() for mount in mounts))
        found = await asyncio.gather(*(mount.numbers() for mount in mounts))
        return json_answer(
            {
                "version": VERSION,
                "streams": [_summary(*pair) for pair in zip(mounts, found, strict=True)],
            }
        )

    @property
    def failed_logins(self) -> int:
        """How many wrong tokens and passwords there were."""
        return self._login.failed_logins

    async def _metrics(self) -> web.StreamResponse:
        page = Page()
        add_process(page, VERSION)
        for status, count in sorted(self._answered.items()):
            page.add(
                "spyglass_http_responses_total",
                "counter",
                "Answers of this server.",
                count,
                code=str(status),
            )
        for mount in list(self.mounts.values()):
            numbers = await mount.numbers()
            own = {
                "viewers": mount.viewers,
                "lost": mount.lost,
                "skips": mount.skips,
                "failed_logins": self.failed_logins,
            }
            add_stream(page, mount.path, numbers, [("web", own), *_other_outputs(numbers)])
        return web.Response(body=page.text().encode(), headers={"Content-Type": CONTENT_TYPE})


def _split(path: str, names: set[str]) -> tuple[str, str]:
    """Return the stream's path and the name below it; no stream's path has one of these names."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part in names and place > 1:
            return "/".join(parts[:place]), part
    return path, ""


def _can_upgrade(ws: web.WebSocketResponse, request: web.BaseRequest) -> bool:
    try:
        return bool(ws.can_prepare(request))
    except ValueError:
        # A header that is no text: aiohttp 3.14 does not foresee that.
        return False


def _let_embed(response: web.StreamResponse, entry: AuthResult) -> None:
    """Let other pages show a picture, unless only the cookie, which they do not have, let it in."""
    if not response.prepared and entry is not AuthResult.COOKIE:
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


def _width(request: web.BaseRequest) -> int:
    width = WIDEST_SNAPSHOT
    with suppress(ValueError):
        width = int(request.query.get("width", ""))
    # Some few sizes, so that those who ask for nearly the same share a picture.
    return max(32, min(WIDEST_SNAPSHOT, (width + 31) // 32 * 32))


def _http_date(wall_ns: int) -> str:
    return formatdate(wall_ns / 1e9, usegmt=True)


def _summary(mount: Mount, numbers: dict[str, Any]) -> dict[str, Any]:
    names = ("width", "height", "fps", "bitrate_kbps", "encoder")
    return {
        "path": mount.path,
        "name": mount.path.lstrip("/"),
        **mount.state(),
        "viewers": numbers.get("viewers", mount.viewers),
        **{name: numbers.get(name) for name in names},
        # What the stream's other outputs cannot do, for whoever looks at this one.
        "problems": [one["trouble"] for _, one in _other_outputs(numbers) if one.get("trouble")],
        "time_ms": round(time.time() * 1000),
    }


def _other_outputs(numbers: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what the stream's numbers tell of its other outputs, each under its kind and place."""
    outputs = numbers.get("outputs")
    if not isinstance(outputs, list):
        return []
    return [
        (f"{one['kind']}-{place}", {**one.get("counters", {}), **one})
        for place, one in enumerate(outputs, 1)
        if isinstance(one, dict) and one.get("kind") not in (None, "web")
    ]
