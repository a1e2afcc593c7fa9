"""Opens the outputs that streams go to."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from backpack._ipc.messages import FromOutput
from backpack._media.output import QuietOutput
from backpack._registry import described_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backpack._ipc.settings import StreamSettings
    from backpack._media.output import StreamSource, WorkerOutput
    from backpack._worker.servers import WorkerServers


class OutputPeer:
    """
    The application's side of one output. Any thread.

    Args:
        number: The number of its stream.
        place: Its place among the stream's outputs.
        send: Sends a message to the application. Called on any thread.
        report_soon: Called with the stream's number when its numbers are to be reported.

    """

    def __init__(
        self,
        number: int,
        place: int,
        send: Callable[[FromOutput], None],
        report_soon: Callable[[int], None],
    ) -> None:
        self._number = number
        self._place = place
        self._send = send
        self._report_soon = report_soon

    def send(self, body: dict[str, Any]) -> None:
        """Send a message to the output's `on_message` in the application."""
        self._send(FromOutput(self._number, self._place, body))

    def stats_changed(self) -> None:
        """Have the stream's numbers reported soon."""
        self._report_soon(self._number)


class _Mount(QuietOutput):
    """A stream at one path of one server."""

    def __init__(
        self, servers: WorkerServers, number: int, path: str, source: StreamSource
    ) -> None:
        self._servers = servers
        self._number = number
        self._path = path
        servers.mount(number, path, source)

    @property
    def viewers(self) -> int:
        return self._servers.viewers(self._number, self._path)

    @property
    def lost(self) -> int:
        return self._servers.lost(self._number, self._path)

    def numbers(self) -> dict[str, Any]:
        return {"failed_logins": self._servers.failed_logins(self._number)}

    @property
    def trouble(self) -> str:
        return self._servers.failure(self._number)

    @property
    def failed(self) -> bool:
        return bool(self.trouble)

    def close(self) -> None:
        self._servers.unmount(self._number, self._path)


def open_outputs(
    descriptions: Sequence[Mapping[str, Any]],
    source: Callable[[int], StreamSource],
    servers: WorkerServers,
    settings: StreamSettings,
) -> list[WorkerOutput]:
    """
    Open all outputs of a stream, or none.

    Args:
        descriptions: What the application has described.
        source: Returns the stream as the output at a place sees it.
        servers: The servers.
        settings: The settings of the stream.

    Raises:
        BackpackError: One cannot be opened. Then, as with any other error, those before
            it are closed again.

    """
    with contextlib.ExitStack() as undo:
        outputs: list[WorkerOutput] = []
        for place, description in enumerate(descriptions):
            output = _open_output(description, source(place), servers, settings)
            undo.callback(output.close)
            outputs.append(output)
        undo.pop_all()
        return outputs


def _open_output(
    description: Mapping[str, Any],
    source: StreamSource,
    servers: WorkerServers,
    settings: StreamSettings,
) -> WorkerOutput:
    found = described_type(description)
    if found.listens:
        return _Mount(servers, description["server"], description["path"], source)
    # Imported when it is first needed: streaming to one output needs no other's libraries.
    stream = found.load("worker.stream")
    output: WorkerOutput = stream.open_output(description, source, settings)
    return output
