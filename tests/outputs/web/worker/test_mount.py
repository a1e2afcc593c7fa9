from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from backpack._media.hub import Hub
from backpack._outputs.web.worker.bridge import LoopBridge
from backpack._outputs.web.worker.mount import Mount
from tests.streams import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(eq=False)
class ExternalViewer:
    """One who has lost so many pictures."""

    lost: int = 0


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Give a stream that nobody watches."""
    bridge = LoopBridge()
    yield Mount("/cam", source_of(Hub(linger_ns=0)), bridge)
    bridge.close()


def test_guests_are_counted_and_what_they_lose(mount: Mount) -> None:
    """Like those over the WebSocket; what somebody has lost who has gone is not forgotten."""
    first, second = ExternalViewer(), ExternalViewer()
    mount.welcome(first)
    mount.welcome(second)
    first.lost = 3
    second.lost = 4
    assert (mount.viewers, mount.lost) == (2, 7)

    mount.dismiss(first)

    assert (mount.viewers, mount.lost) == (1, 7)
    second.lost = 6
    assert mount.lost == 9
    mount.dismiss(second)
    assert (mount.viewers, mount.lost) == (0, 9)


def test_the_stream_is_wanted_while_there_is_a_guest(mount: Mount) -> None:
    """From the first one until the last one goes."""
    first, second = ExternalViewer(), ExternalViewer()
    mount.welcome(first)
    mount.welcome(second)
    mount.dismiss(first)
    assert mount.hub.wanted(0)
    mount.dismiss(second)
    assert not mount.hub.wanted(1 << 62)
