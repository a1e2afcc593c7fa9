from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.streams import MainLoop, NumberedStream, main_loop
from tests.web.rig import Rig, Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def loop() -> Iterator[MainLoop]:
    """Run GLib's main loop for all tests, as the streaming process does."""
    with main_loop() as running:
        yield running


@pytest.fixture
def rig(loop: MainLoop) -> Iterator[Rig]:
    """Give a maker of servers and streams."""
    pytest.importorskip("backpack.gst.webrtc", exc_type=ImportError)
    with ExitStack() as stack:
        yield Rig(loop, stack)


@pytest.fixture
def stream(rig: Rig) -> NumberedStream:
    """Give a stream of 30 numbered pictures a second."""
    return rig.stream()


@pytest.fixture
def serving(rig: Rig, stream: NumberedStream) -> Serving:
    """Give a server with the stream at /cam."""
    made = rig.serve()
    made.mount("/cam", stream.hub)
    return made


@pytest.fixture
def watch(rig: Rig) -> Iterator[Callable[..., Any]]:  # noqa: ARG001 - the server goes last
    """Give a maker of viewers that are not ours."""
    pytest.importorskip("aiortc", reason="aiortc is not installed")
    from tests.webrtc.client import Loop, Viewer  # noqa: PLC0415 - where there is aiortc

    with ExitStack() as stack:
        loop = Loop()
        stack.callback(loop.close)

        def make(serving: Serving, path: str = "/cam", **options: Any) -> Viewer:
            viewer = Viewer(loop, serving, path, **options)
            stack.callback(viewer.close)
            return viewer

        yield make
