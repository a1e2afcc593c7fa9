"""Open the outputs that streams go to."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from backpack._ipc.messages import FromOutput
from backpack._media.output import OpenOutput, QuietOutput
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backpack._ipc.settings import StreamSettings
    from backpack._media.output import Source
    from backpack._worker.servers import ServerBoard


class Line(Protocol):
    """What an output may tell, on any thread."""

    def say(self, body: dict[str, Any]) -> None:
        """Say something to its other end, in the application."""

    def news(self) -> None:
        """Say that its numbers are worth telling."""


class OutputLine:
    """
    Let one output talk to its other end, in the application. Any thread.

    Args:
        number: The number of its stream.
        place: Its place among the stream's outputs.
        send: Sends a message to the application. Called on any thread.
        tell_news: Told the stream's number when its numbers are worth telling.

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
        """Send something to the other end."""
        self._send(FromOutput(self._number, self._place, body))

    def news(self) -> None:
        """Have the stream's numbers reported soon."""
        self._tell_news(self._number)


class _Mount(QuietOutput):
    """A stream at one path of one server."""

    def __init__(self, board: ServerBoard, number: int, path: str, source: Source) -> None:
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
    descriptions: Sequence[dict[str, Any]],
    source: Source,
    board: ServerBoard,
    settings: StreamSettings,
    line: Callable[[int], Line],
) -> list[OpenOutput]:
    """
    Open all outputs of a stream, or none.

    Args:
        descriptions: What the application has described.
        source: The stream.
        board: The servers.
        settings: What the stream was asked to be.
        line: Gives each output, by its place, a line to the application.

    Raises:
        BackpackError: One cannot be opened. Then, as with any other error, those before
            it are closed again.

    """
    with contextlib.ExitStack() as undo:
        opened: list[OpenOutput] = []
        for place, description in enumerate(descriptions):
            output = _open_output(description, source, board, settings, line(place))
            undo.callback(output.close)
            opened.append(output)
        undo.pop_all()
        return opened


# Rooms are imported when they are first needed: who streams over RTSP only
# needs no other room's libraries.
def _open_output(
    description: dict[str, Any],
    source: Source,
    board: ServerBoard,
    settings: StreamSettings,
    line: Line,
) -> OpenOutput:
    kind = description.get("kind")
    hub = source.hub
    if kind in ("rtsp", "web"):
        return _Mount(board, description["server"], description["path"], source)
    if kind == "gstreamer":
        from backpack._outputs.gst.worker.stream import GstOutput  # noqa: PLC0415

        text, repeats = description["pipeline"], description["repeats"]
        return _opened(GstOutput(hub, text, repeats=repeats, on_news=line.news))
    if kind == "kvs":
        from backpack._outputs.kvs.settings import UploadSettings  # noqa: PLC0415
        from backpack._outputs.kvs.worker.stream import KVSUpload  # noqa: PLC0415

        upload = UploadSettings.from_dict(description)
        return _opened(KVSUpload(hub, upload, say=line.say, on_news=line.news))
    if kind == "kvssink":
        from backpack._outputs.kvs.worker.kvssink.output import KVSSinkOutput  # noqa: PLC0415
        from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings  # noqa: PLC0415

        # What it has to have room for.
        video = {"fps": settings.max_fps, "bitrate_kbps": settings.bitrate_kbps}
        through = SinkSettings.from_dict({**video, **description})
        return _opened(KVSSinkOutput(hub, through, say=line.say, on_news=line.news))
    raise SettingsError(f"There is no output of the kind {kind!r}.")


class _Opening(OpenOutput, Protocol):
    def open(self) -> None:
        """Begin."""


def _opened(output: _Opening) -> OpenOutput:
    """Open an output, or leave nothing of it behind."""
    with contextlib.ExitStack() as undo:
        undo.callback(output.close)
        output.open()
        undo.pop_all()
    return output
