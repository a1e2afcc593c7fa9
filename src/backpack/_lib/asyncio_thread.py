"""Run an asyncio loop on a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

END_SECONDS = 1.0
"""For what still runs to be cancelled, and again for the thread to end."""

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


def end_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs, let aborted transports close their sockets, and close the loop."""
    loop.run_until_complete(_finish())
    loop.close()


async def _finish() -> None:
    # Tasks that are cancelled cancel others, which nobody waits for.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    # A transport that was aborted closes its socket in the loop's next turn.
    await asyncio.sleep(0)


class AsyncioThread:
    """
    Run an asyncio loop on a thread of its own.

    Args:
        name: The thread's.

    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Have the thread call a function, soon and in order. Any thread.

        Raises:
            RuntimeError: It is closed.

        """
        self.loop.call_soon_threadsafe(function, *arguments)

    def run(self, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
        """
        Have asyncio do something, and wait for it at most so long. Any other thread.

        Raises:
            TimeoutError: It took longer, and was cancelled.

        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            name = self._thread.name
            raise TimeoutError(f"The thread {name} did not answer in {seconds} s.") from None

    def close(self) -> None:
        """
        End the loop and its thread; what still runs there is cancelled. Any other thread.

        A thread that hangs is left behind: it ends with the process.
        """
        if self.loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            self.run(self._cancel_all(), END_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            logger.warning("The thread %s hangs and is left behind.", self._thread.name)
            return
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
