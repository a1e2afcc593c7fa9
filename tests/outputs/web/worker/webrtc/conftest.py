from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.outputs.web.conftest import loop, serving, stream  # noqa: F401 - fixtures
from tests.outputs.web.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.outputs.web.rig import Serving
    from tests.streams import MainLoop


@pytest.fixture
def rig(loop: MainLoop) -> Iterator[Rig]:  # noqa: F811
    """Give a maker of servers and streams."""
    pytest.importorskip("backpack._gst.webrtc", exc_type=ImportError)
    with ExitStack() as stack:
        yield Rig(loop, stack)


@pytest.fixture
def watch(rig: Rig) -> Iterator[Callable[..., Any]]:  # noqa: ARG001 - the server goes last
    """Give a maker of viewers that are not ours."""
    pytest.importorskip("aiortc", reason="aiortc is not installed")
    from tests.outputs.web.worker.webrtc.client import Loop, Viewer  # noqa: PLC0415 - where there is aiortc

    with ExitStack() as stack:
        own = Loop()
        stack.callback(own.close)

        def make(serving: Serving, path: str = "/cam", **options: Any) -> Viewer:
            viewer = Viewer(own, serving, path, **options)
            stack.callback(viewer.close)
            return viewer

        yield make
