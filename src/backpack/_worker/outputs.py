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
    from backpack._worker.servers import ServerBoard


class OutputPeer:
    """
    The application's side of one output. Any thread.

    Args:
        number: The number of its stream.
        place: Its place among the stream's outputs.
        send: Sends a message to the application. Called on any thread.
        tell_news: Called with the stream's number when its numbers are to be reported.

    """

    def __init__(
        self,
        number: int,
        place: int,
        send: Callable[[FromOutput], None],
        tell_news: Callable[[int], None],
    ) -> None:
        self._number = number
        self._place = place
        self._send = send
        self._tell_news = tell_news

    def say(self, body: dict[str, Any]) -> None:
        """Send a message to the output's `hear` in the application."""
        self._send(FromOutput(self._number, self._place, body))

    def news(self) -> None:
        """Have the stream's numbers reported soon."""
        self._tell_news(self._number)


class _Mount(QuietOutput):
    """A stream at one path of one server."""

    def __init__(self, board: ServerBoard, number: int, path: str, source: StreamSource) -> None:
        self._board = board
        self._number = number
        self._path = path
        board.mount(number, path, source)

    @property
    def viewers(self) -> int:
        return self._board.viewers(self._number, self._path)

    @property
    def lost(self) -> int:
        return self._board.lost(self._number, self._path)

    def numbers(self) -> dict[str, Any]:
        return {"failed_logins": self._board.failed_logins(self._number)}

    @property
    def trouble(self) -> str:
        return self._board.failure(self._number)

    @property
    def failed(self) -> bool:
        return bool(self.trouble)

    def close(self) -> None:
        self._board.unmount(self._number, self._path)


def open_outputs(
    descriptions: Sequence[Mapping[str, Any]],
    source: Callable[[int], StreamSource],
    board: ServerBoard,
    settings: StreamSettings,
) -> list[WorkerOutput]:
    """
    Open all outputs of a stream, or none.

    Args:
        descriptions: What the application has described.
        source: Returns the stream as the output at a place sees it.
        board: The servers.
        settings: The settings of the stream.

    Raises:
        BackpackError: One cannot be opened. Then, as with any other error, those before
            it are closed again.

    """
    with contextlib.ExitStack() as undo:
        outputs: list[WorkerOutput] = []
        for place, description in enumerate(descriptions):
            output = _open_output(description, source(place), board, settings)
            undo.callback(output.close)
            outputs.append(output)
        undo.pop_all()
        return outputs


def _open_output(
    description: Mapping[str, Any],
    source: StreamSource,
    board: ServerBoard,
    settings: StreamSettings,
) -> WorkerOutput:
    found = described_type(description)
    if found.listens:
        return _Mount(board, description["server"], description["path"], source)
    # Imported when it is first needed: streaming to one output needs no other's libraries.
    stream = found.load("worker.stream")
    output: WorkerOutput = stream.open_output(description, source, settings)
    return output
