from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from backpack._app.shared_supervisor import shared_supervisor
from backpack.spyglass import SpyGlass
from tests.clients import RtspClient
from tests.end_to_end.apps import App, Putter, Show
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer
from tests.waiting import children, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kvs_server.streams import Stream

ANY_PORT = "rtsp://127.0.0.1:0/cam"


class Viewer(RtspClient):
    """A viewer who may leave early."""

    _has_left = False

    def close_now(self) -> None:
        """Leave, if that was not done already."""
        if not self._has_left:
            self._has_left = True
            self.close()


class Stage:
    """Make what a test plays with, and take it down again, last things first."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def spyglass(self, *outputs: Any, **settings: Any) -> SpyGlass:
        """Give a SpyGlass that streams, by default to a port that is free."""
        made = SpyGlass(*(outputs or (ANY_PORT,)), required=True, **settings)
        self._stack.callback(made.stop_streaming)
        made.start_streaming()
        return made

    def putter(self, spyglass: SpyGlass, fps: float = 0, **options: Any) -> Putter:
        """Give somebody who puts numbered frames, at a rate or when told."""
        made = Putter(spyglass, **options)
        self._stack.callback(made.stop)
        if fps:
            made.start(fps)
        return made

    def show(self, spyglass: SpyGlass, frame: Any, fps: float = 25) -> Show:
        """Put the same frame over and over."""
        made = Show(spyglass, frame, fps)
        self._stack.callback(made.close)
        return made

    def app(
        self, fps: float = 30, *options: str, stderr: Path | None = None, **environment: str
    ) -> App:
        """Give an application in a process of its own."""
        made = App(fps, *options, stderr=stderr, **environment)
        self._stack.callback(made.close)
        return made

    def viewer(self, url: str, **options: Any) -> Viewer:
        """Give a viewer: GStreamer's rtspsrc, decoding."""
        made = Viewer(url, **{"decode": True} | options)
        self._stack.callback(made.close_now)
        return made

    def finally_do(self, call: Callable[..., object], *arguments: Any) -> None:
        """Do something at the end, whatever happens."""
        self._stack.callback(call, *arguments)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Give a maker of everything."""
    with ExitStack() as stack:
        yield Stage(stack)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KVSServer]:
    """Run a server with the stream 'test' that applications find by their environment."""
    with KVSServer() as running:
        running.streams.add("test")
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        # Nothing of this machine's user comes in between.
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield running


@pytest.fixture
def stream(server: KVSServer) -> Stream:
    """Give the stream 'test'."""
    return server.streams["test"]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Hold every file of tests to it: no process, no thread of ours outlives them."""
    # Those that another file has left hanging are not its own.
    before, threads = children(), set(threads_named("spyglass"))
    yield
    shared_supervisor().shut_down()
    assert children() <= before
    wait_for(lambda: set(threads_named("spyglass")) <= threads)
