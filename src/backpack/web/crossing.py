"""Cross between GLib's main thread and asyncio's: nowhere else do the two meet."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from backpack.gst.gi import GLib

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Crossing"]

END_SECONDS = 1.0
"""For what still runs to be cancelled, and again for the thread to end."""

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


class Crossing:
    """
    Run an asyncio loop on a thread of its own, and pass calls to and fro.

    Nothing waits on asyncio's thread. The main thread waits for it in `run`
    alone, so asyncio may always ask the main thread for something.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # Answers of the main thread that asyncio waits for. Asyncio's thread only.
        self._asked: set[asyncio.Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="spyglass-web", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    # --- from any thread to asyncio's -------------------------------------------

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Have asyncio's thread call a function, soon and in order. Any thread.

        Raises:
            RuntimeError: The crossing is closed.

        """
        self.loop.call_soon_threadsafe(function, *arguments)

    # --- from the main thread to asyncio's --------------------------------------

    def run(self, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
        """
        Have asyncio do something, and wait for it at most so long. Main thread.

        Raises:
            TimeoutError: It took longer, and was cancelled.

        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f"The web server's thread did not answer in {seconds} s.") from None

    def close(self) -> None:
        """
        End the loop and its thread; what still runs there is cancelled. Main thread.

        A thread that hangs is left behind: it ends with the process.
        """
        if self.loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            self.run(self._cancel_all(), END_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            _log.warning("The web server's thread hangs and is left behind.")
            return
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def _cancel_all(self) -> None:
        for answer in self._asked:
            answer.cancel()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- from asyncio's thread to the main one ----------------------------------

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
