"""Cross between GLib's main thread and asyncio's: nowhere else do the two meet."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from backpack._gst.gi import GLib
from backpack._lib.asyncio_thread import AsyncioThread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_Result = TypeVar("_Result")


class LoopBridge(AsyncioThread):
    """
    Pass calls between asyncio's thread and the main one.

    Nothing waits on asyncio's thread. The main thread waits for it in `run`
    alone, so asyncio may always ask the main thread for something.
    """

    def __init__(self) -> None:
        # Answers of the main thread that asyncio waits for. Asyncio's thread only.
        self._asked: set[asyncio.Future[Any]] = set()
        super().__init__("spyglass-web")

    async def _cancel_all(self) -> None:
        for answer in self._asked:
            answer.cancel()
        await super()._cancel_all()

    def ask(self, start: Callable[[Callable[[_Result], None]], None]) -> asyncio.Future[_Result]:
        """
        Have the main thread start something, and give its answer. Asyncio's thread.

        Args:
            start: Called on the main thread with a function to be called once,
                from any thread, with the answer. What it raises is the answer too.

        """
        future: asyncio.Future[_Result] = self.loop.create_future()
        self._asked.add(future)
        future.add_done_callback(self._asked.discard)

        def answer(result: _Result | None, error: Exception | None = None) -> None:
            # The loop is closed where nobody waits for an answer any more.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(_settle, future, result, error)

        def on_main_thread() -> bool:
            try:
                start(answer)
            except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
                answer(None, error)
            return GLib.SOURCE_REMOVE

        GLib.idle_add(on_main_thread)
        return future


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
