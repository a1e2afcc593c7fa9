"""A server that the application starts and stops, with streams on it."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from backpack._app.blocks import Blocks
from backpack._app.notices import notify
from backpack._app.remote import RemoteHandle
from backpack._app.state import Event, Phase, State, next_phase
from backpack._ipc.messages import CloseServer, OpenServer
from backpack._ipc.settings import is_disabled
from backpack._lib.addresses import for_url
from backpack._lib.interfaces import reachable_addresses
from backpack._outputs.serving.registry import register
from backpack.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

    from backpack._app.output import OutputOptions
    from backpack._ipc.messages import Message, Opened
    from backpack._outputs.serving.kind import Kind
    from backpack._outputs.serving.place import Place
    from backpack._outputs.serving.settings import ListenerSettings
    from backpack.errors import BackpackError

_CLOSE_SECONDS = 3.0


class ListeningServer:
    """
    Listen on one port of this machine, for any number of streams.

    The server itself runs in the streaming process, and is opened there anew
    after a restart. What a class of servers adds to this it sets before it
    calls this constructor: from then on other threads may find the server.

    Every method may be called from any thread.

    Args:
        settings: What it is asked to be. Checked here.
        parent_logger: The logger that ours becomes a child of.
        required: Whether `start` raises where streaming cannot run at all.
            Otherwise that is logged, and tried again.

    Raises:
        SettingsError: A value that cannot be.

    """

    _kind: ClassVar[Kind]
    # Whether nobody can know the address who was not told it.
    _has_secret_address: ClassVar[bool] = False

    def __init__(
        self,
        settings: ListenerSettings,
        parent_logger: logging.Logger | None = None,
        *,
        required: bool = False,
    ) -> None:
        self.logger = (
            parent_logger.getChild(type(self).__name__)
            if parent_logger is not None
            else logging.getLogger(f"backpack.{self._kind.type.name}")
        )
        self._required = required
        self._settings = settings
        self._settings.validate()
        self._life = threading.RLock()
        # How many started streams stand on a server that only they have started.
        self._holders = 0
        self._started_by_app = False
        self._blocks = Blocks()
        # Path → who is served there: an output, or the server itself.
        self._paths: dict[str, object] = {}
        # One for the server's whole life: streams name it by its number.
        self._remote = RemoteHandle(
            opening=self._opening,
            on_opened=self._on_opened,
            on_failed=self._on_failed,
            on_lost=self._on_lost,
        )
        # Guards the two below. Held for moments only.
        self._lock = threading.Lock()
        self._phase = Phase.STOPPED
        # Why it does not listen though it was started. None: it listens, or will in a moment.
        self._problem: BackpackError | None = None
        # Where it is yet to be told that it listens, once it does.
        self._untold_hosts: Sequence[str] = ()
        register(self)

    @classmethod
    def _listening_at(cls, place: Place, options: OutputOptions) -> Self:
        """Make the server that a URL stands for."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The TCP port. If it was given as 0, the number is known once started."""
        return self._settings.port

    @property
    def address(self) -> str:
        """The address that it listens on."""
        return self._settings.address

    def start(self) -> None:
        """
        Start to listen. Does nothing if it listens already.

        Raises:
            AddressInUseError: Another program listens there.
            SettingsError: A certificate or key that cannot be used.
            OutputError: The address cannot be listened on.
            MissingDependencyError: Streaming cannot run here, with
                ``required=True``.
            StateError: The process was forked after this object was made.

        """
        self._check_fork("start")
        with self._life:
            self._open()
            self._started_by_app = True
        self._tell_failure()

    def stop(self) -> None:
        """Close the socket and all connections. Does nothing if it is not started."""
        if self._phase is Phase.FORKED:
            return
        with self._life:
            self._started_by_app = False
            self._close()

    def __enter__(self) -> Self:
        """Listen, unless a block around this one has begun to."""
        self._blocks.enter(self.start, goes_on=self._started_by_app)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening at the end of the outermost block."""
        self._blocks.leave(self.stop)

    def url(self, path: str, host: str | None = None) -> str:
        """Return the address of one stream."""
        return f"{self._origin(host)}{path}"

    def urls(self) -> list[str]:
        """Return the addresses of all streams, on all addresses at which clients reach it."""
        if self._problem is not None:
            return []
        return [self.url(path, host) for path in list(self._paths) for host in self._hosts()]

    @property
    def failure(self) -> BackpackError | None:
        """
        Why this server does not listen though the streaming process runs.

        None if it listens, was not started, or no streaming process can run
        at all. Any thread.
        """
        return self._problem if self._phase is Phase.ERROR else None

    def _origin(self, host: str | None = None) -> str:
        scheme = self._kind.type.secure_scheme if self._settings.secure else self._kind.type.scheme
        return f"{scheme}://{for_url(host or self._hosts()[0])}:{self.port}"

    def _hosts(self) -> Sequence[str]:
        return reachable_addresses(self._settings.address)

    # --- for outputs -----------------------------------------------------------

    def _claim(self, path: str, owner: object) -> None:
        """Reserve a path; two streams cannot share one."""
        with self._life:
            if self._paths.get(path, owner) is not owner:
                raise self._taken(path)
            self._paths[path] = owner

    def _taken(self, path: str) -> SettingsError:
        return SettingsError(
            f"The path {path!r} is taken already on port {self.port}. Choose another one."
        )

    def _acquire(self, path: str, owner: object, *, start: bool, required: bool) -> int:
        """Keep a path for a stream, and the server running where asked; give the server's id."""
        self._check_fork("start_streaming")
        with self._life:
            self._claim(path, owner)
            if start:
                self._holders += 1
                try:
                    self._open(required=required)
                except BaseException:
                    self._holders -= 1
                    self._paths.pop(path, None)
                    raise
        return self.id

    def _release(self, path: str, *, stop: bool) -> None:
        with self._life:
            self._paths.pop(path, None)
            if stop:
                self._holders -= 1
                if not self._holders and not self._started_by_app:
                    self._close()

    # --- as a resource -----------------------------------------------------------

    @property
    def id(self) -> int:
        """The number by which the streaming process knows it."""
        return self._remote.id

    def _open(self, *, required: bool = False) -> None:
        if self._is_started or is_disabled():
            return
        # Here, since the supervisor's thread must not wait for a name server.
        self._untold_hosts = self._hosts()
        self._enter(Event.START)
        try:
            self._remote.open(required=required or self._required)
        except BaseException:
            self._close()
            raise

    @property
    def _is_started(self) -> bool:
        """Whether it listens, or is to."""
        return self._phase.shown is not State.STOPPED

    def _enter(self, event: Event, problem: BackpackError | None = None) -> None:
        with self._lock:
            self._phase = next_phase(self._phase, event)
            self._problem = problem if self._is_started else None

    def _become_forked_copy(self) -> None:
        """Let go of what belongs to the process that we were forked from."""
        # One that another thread held at the fork would be held for ever.
        self._lock = threading.Lock()
        self._blocks = Blocks()
        self._enter(Event.FORK)

    def _announcement(self, hosts: Sequence[str]) -> str:
        """
        Return what a person needs to know of a server that listens now; nothing if empty.

        On the supervisor's thread; must not block.

        Args:
            hosts: The addresses at which clients can reach it.

        """
        raise NotImplementedError

    def _check_fork(self, call: str) -> None:
        if self._phase is Phase.FORKED:
            raise StateError(
                f"{call}() was called in a process that was forked from the one that made this "
                f"{self._kind.class_name}. Make a new one in the forked process."
            )

    def _close(self) -> None:
        if self._is_started:
            self._remote.close(CloseServer(self.id), _CLOSE_SECONDS)
        self._enter(Event.STOP)

    def _opening(self, remote_id: int) -> list[tuple[Message, Sequence[int]]]:
        return [(self._open_message(remote_id), ())]

    def _open_message(self, remote_id: int) -> OpenServer:
        return OpenServer(remote_id, self._kind.type.name, self._settings.to_dict())

    # On the supervisor's thread.

    def _on_opened(self, message: Opened) -> None:
        # The number is kept: after a restart viewers come back to it.
        port = message.info.get("port")
        if isinstance(port, int):
            self._settings = replace(self._settings, port=port)
            # A URL with this number means this server.
            register(self)
        self._enter(Event.OPENED)
        # Once: after a restart it listens at the same place.
        hosts, self._untold_hosts = self._untold_hosts, ()
        text = self._announcement(hosts) if hosts else ""
        if text:
            notify(self.logger, logging.INFO, text, always=self._has_secret_address)

    def _on_failed(self, error: BackpackError) -> None:
        # It is tried again every few seconds, and the reason is mostly the same.
        is_new = str(error) != str(self._problem or "")
        self._enter(Event.FAILED, error)
        # Whoever waits for it raises or tells the failure.
        if is_new and not self._remote.is_awaited:
            self._tell_failure()

    def _on_lost(self, error: BackpackError | None) -> None:
        # That no streaming process can run the supervisor says, once for all. One that is
        # being restarted opens the server again at the same address.
        if error is not None:
            self._enter(Event.AWAY, error)

    def _tell_failure(self) -> None:
        """Log why it does not listen, if so. Any thread."""
        failure = self.failure
        if failure is not None:
            where = f" on port {self.port}" if self.port else ""
            text = f"The {self._kind.server}{where} is not open: {failure}"
            notify(self.logger, logging.WARNING, text)
