"""Find out whether kvssink can be loaded, in a throw-away process."""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backpack._ipc.interpreter import clean_environment
from backpack._outputs.kvs.shared.dotenv import LIBRARY_PATH, PLUGIN_PATH, read_dotenv
from backpack._outputs.kvs.worker.kvssink.environment import element_environment
from backpack._outputs.kvs.worker.kvssink.process import SinkProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBE_SECONDS: Final = 30.0
"""GStreamer looks at every plugin there is the first time, which takes seconds."""


@dataclass(frozen=True)
class Probe:
    """
    What was found.

    Attributes:
        found: Whether kvssink can be used.
        version: Of the plugin.
        path: Its file.
        why: Why it cannot be used.

    """

    found: bool
    version: str = ""
    path: str = ""
    why: str = ""


def explain_missing(why: str, dotenv_path: str | None) -> str:
    """Say in a paragraph that kvssink is missing, and what helps."""
    place = f"in {dotenv_path!r} (dotenv_path)" if dotenv_path else "in a .env (dotenv_path)"
    return (
        f"AWS's GStreamer element kvssink cannot be loaded: {why.rstrip('.')}. "
        f"It is found by {PLUGIN_PATH}, the folder that AWS's build puts it into, and its "
        f"libraries by {LIBRARY_PATH}: set both in the application's environment or {place}. "
        'Or leave it: producer="native" needs no build.'
    )


def probe_element(
    environ: Mapping[str, str] = os.environ,
    *,
    dotenv_path: str | None = None,
    python: str | None = None,
    seconds: float = PROBE_SECONDS,
) -> Probe:
    """
    Try to load kvssink as a stream would.

    Args:
        environ: The application's environment.
        dotenv_path: A `.env`, if there is one.
        python: The Python of the streaming process. None: this one.
        seconds: How long that may take.

    Raises:
        SettingsError: The `.env` cannot be read.

    """
    dotenv = None if dotenv_path is None else read_dotenv(dotenv_path)
    try:
        process = SinkProcess(
            element_environment(
                clean_environment(environ), dotenv, library_path=environ.get(LIBRARY_PATH)
            ),
            python=python,
        )
    except OSError as error:
        return Probe(found=False, why=str(error))
    deadline = time.monotonic() + seconds
    last_words = b""
    poll = select.poll()
    poll.register(process.sock, select.POLLIN)
    poll.register(process.output, select.POLLIN)
    try:
        while (left := deadline - time.monotonic()) > 0:
            poll.poll(left * 1000)
            # A child that cannot write cannot answer.
            printed = process.read_output()
            last_words = (last_words + (printed or b""))[-1000:]
            words = process.receive()
            if words is None:
                lines = last_words.decode(errors="replace").split("\n")
                last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
                return Probe(found=False, why=f"its process {process.end(1.0)}: {last}")
            for word in words:
                if word["is"] == "loaded":
                    return Probe(found=True, version=word["version"], path=word["path"])
                if word["is"] == "missing":
                    return Probe(found=False, why=word["why"])
        return Probe(found=False, why=f"nothing was found out within {seconds:.0f} s")
    finally:
        process.end()
