"""Strangers who can reach a port keep nobody out and fill nothing, under a low limit of files."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.clients import RawClient
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DESCRIPTORS = 1024
STRANGERS = 1100
"""More than the process may open, at each door."""

_APP = """
import json, logging, resource, sys, threading
logging.basicConfig()
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
import numpy as np
from backpack._outputs.serving.output import ServedOutput
from backpack.rtsp import RTSPServer
from backpack.spyglass import SpyGlass
from backpack.web import WebServer

rtsp = RTSPServer(0, users={"anna": "s3cret"})
page = WebServer(0, users={"anna": "s3cret"})
spyglass = SpyGlass(
    ServedOutput(rtsp, "/cam", starts_server=True), ServedOutput(page, "/cam", starts_server=True)
)
spyglass.start_streaming()
print(json.dumps({"rtsp": rtsp.port, "page": page.port, "pid": spyglass.stats().streamer_pid}))
sys.stdout.flush()
gray = np.full((120, 160, 3), 128, np.uint8)
done = threading.Event()

def answer():
    while sys.stdin.readline():
        print(spyglass.stats().outputs[0].get("failed_logins"), flush=True)
    done.set()

threading.Thread(target=answer, daemon=True).start()
while not done.wait(1 / 30):
    spyglass.put(gray)
spyglass.stop_streaming()
"""


class Application:
    """One that is attacked."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        self.rtsp: int = told["rtsp"]
        self.page: int = told["page"]
        self.pid: int = told["pid"]

    def cpu_seconds(self) -> float:
        """Tell what its streaming process has used."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def failed_logins(self) -> int:
        """Ask for what it has been told by its streaming process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().replace("None", "0"))

    def is_healthy(self) -> bool:
        """Tell whether the health check is answered."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.page}/healthz", timeout=30) as reply,
        ):
            return bool(reply.status == 200)
        return False


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Application]:
    """Run an application that may open 1,024 files, the streaming process as well."""
    log = tmp_path / "log"

    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", _APP, str(DESCRIPTORS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Application(process, log)
        finally:
            process.communicate(timeout=60)


def log_in(port: int) -> int:
    """Log in over RTSP, and give the answer's status."""
    with RawClient(f"rtsp://127.0.0.1:{port}/cam") as client:
        login = client.login("anna", "s3cret", client.describe().headers["www-authenticate"])
        return client.ask("DESCRIBE", Accept="application/sdp", Authorization=login).status


def test_idle_connections_stop_no_server(attacked: Application) -> None:
    """A thousand at each door: both answer, nothing spins, and the log stays small."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * STRANGERS), hard))
    try:
        with contextlib.ExitStack() as lines:
            for port in (attacked.rtsp, attacked.page):
                for _ in range(STRANGERS):
                    line = lines.enter_context(socket.socket())
                    line.connect(("127.0.0.1", port))
            wait_for(attacked.is_healthy)
            assert log_in(attacked.rtsp) == 200
            assert attacked.is_healthy()
            # A second of it, for the share of a core that it takes to bear them.
            before = attacked.cpu_seconds()
            time.sleep(1)
            assert attacked.cpu_seconds() - before < 0.5
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert attacked.log.stat().st_size < 10_000


def test_guesses_are_few_and_told_once(attacked: Application) -> None:
    """Of a hundred a handful is compared with the password; one line tells of them."""
    for _ in range(100):
        with RawClient(f"rtsp://127.0.0.1:{attacked.rtsp}/cam") as client:
            challenge = client.describe().headers["www-authenticate"]
            login = client.login("anna", "guess", challenge)
            reply = client.ask("DESCRIBE", Accept="application/sdp", Authorization=login)
            assert reply.status == 401

    # Five, and one more for every ten seconds that this takes on a slow machine.
    wait_for(lambda: attacked.failed_logins() >= 5)
    assert attacked.failed_logins() < 20
    wait_for(lambda: "Wrong login" in attacked.log.read_text())
    assert attacked.log.read_text().count("Wrong login") == 1
