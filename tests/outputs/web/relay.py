"""Relay TCP as a tunnel does: with a large buffer of its own, and as fast as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading

BUFFER_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 8 * 1024


class Relay:
    """
    Listen on a port and pass on to another one, whatever comes, both ways.

    What goes to the client waits in a buffer of 4 MB: the server sees a
    connection that takes everything at once.

    Args:
        port: Where to pass on to.

    """

    def __init__(self, port: int) -> None:
        self._target = port
        # Bytes a second to the client; 0: as fast as it goes. Any thread.
        self.rate = 0.0
        # Whether nothing passes, though every connection stays and new ones are taken: an
        # ssh -L that has lost its network. Any thread.
        self.is_held = False
        # Bytes that wait in the buffer now. Any thread may look.
        self.waiting = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()
        assert self._started.wait(10)

    def close(self) -> None:
        """Cut everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=BUFFER_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        works = [
            self._pump(reader, far_writer),
            self._fill(far_reader, queue),
            self._drain(queue, writer),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.waiting -= sum(len(queue.get_nowait()) for _ in range(queue.qsize()))
            for one in (writer, far_writer):
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            await self._until_passing()
            writer.write(chunk)
            await writer.drain()

    async def _until_passing(self) -> None:
        while self.is_held:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)

    async def _fill(self, reader: asyncio.StreamReader, queue: asyncio.Queue[bytes]) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            while self.waiting > BUFFER_BYTES:  # noqa: ASYNC110 - another connection may drain it
                await asyncio.sleep(0.01)
            self.waiting += len(chunk)
            queue.put_nowait(chunk)

    async def _drain(self, queue: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                chunk = await queue.get()
                await self._until_passing()
                # At 1 Mbit/s a chunk takes 66 ms; when the line is freed meanwhile, no longer.
                due = 0.0
                while self.rate and due < len(chunk) / self.rate:
                    await asyncio.sleep(0.01)
                    due += 0.01
                writer.write(chunk)
                self.waiting -= len(chunk)
                await writer.drain()
