"""Run applications that use SpyGlass: in this process, or in processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._app.shared_supervisor import shared_supervisor
from backpack.push import GstSink
from backpack.spyglass import SpyGlass
from tests.waiting import children, open_descriptors, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parent.parent / "src"
State = SpyGlass.State


def frame(width: int = 320, height: int = 240, value: int = 90) -> np.ndarray:
    """Make a frame."""
    return np.full((height, width, 3), value, np.uint8)


def watcher() -> GstSink:
    """Make an output that counts as a viewer and throws everything away."""
    return GstSink("fakesink")


@contextlib.contextmanager
def streaming(*outputs: Any, **settings: Any) -> Iterator[SpyGlass]:
    """Stream for the time of a block."""
    spyglass = SpyGlass(*outputs, **settings)
    spyglass.start_streaming()
    try:
        yield spyglass
    finally:
        spyglass.stop_streaming()


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """See that no process, thread or descriptor stays once all is stopped."""
    # What stays for good is made first: the supervisor's pipe and selector.
    shared_supervisor().shut_down()
    threads, processes, descriptors = threading.active_count(), children(), open_descriptors()
    yield
    shared_supervisor().shut_down()
    wait_for(lambda: threading.active_count() <= threads, 10)
    assert children() <= processes
    assert open_descriptors() <= descriptors


@contextlib.contextmanager
def putting(
    spyglass: SpyGlass, fps: float = 30, value: int = 90, width: int = 320, height: int = 240
) -> Iterator[None]:
    """Put frames from another thread for the time of a block."""
    ended = threading.Event()
    errors: list[BaseException] = []

    def put() -> None:
        image = frame(width, height, value)
        try:
            while not ended.wait(1 / fps):
                spyglass.put(image)
        except BaseException as error:  # noqa: BLE001 - raised again in the test
            errors.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]


def start_app(
    code: str, *, python: str = sys.executable, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """Start an application that has the package on its path."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **(env or {})}
    return subprocess.Popen(
        [python, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run_app(code: str, *, python: str = sys.executable, env: dict[str, str] | None = None) -> str:
    """Run an application to its end, which must be a good one, and give what it prints."""
    with start_app(code, python=python, env=env) as app:
        out, err = app.communicate(timeout=100)
    assert app.returncode == 0, err
    return out
