from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from tests.cli.commands import LONG, environment
from tests.waiting import wait_for

PEOPLE = Path(__file__).parents[2] / "examples" / "people" / "people.py"

LABEL_ROWS = 60
"""At the top of the picture, where the number of people is written, in green as well."""


def green_pixels(jpeg: bytes) -> int:
    """Count the pixels below the label that are as green as nothing in the car park is."""
    cv2 = pytest.importorskip("cv2")
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[LABEL_ROWS:]
    blue, green, red = (picture[..., place].astype(int) for place in range(3))
    return int(np.count_nonzero(green - np.maximum(blue, red) > 60))


def test_the_people_in_the_car_park_have_boxes_in_the_page() -> None:
    """script/demo shows what it draws: the application's own boxes are in the page's pictures."""
    pytest.importorskip("cv2", reason="OpenCV is not installed: script/setup --demo")

    def snapshot(address: str, token: str) -> bytes:
        wanted = Request(f"{address}/snapshot.jpg", headers={"Authorization": f"Bearer {token}"})
        try:
            with urlopen(wanted, timeout=LONG) as answer:
                return bytes(answer.read())
        except HTTPError as refused:
            refused.close()
            # Before the first frame there is none.
            return b""

    with subprocess.Popen(
        [sys.executable, str(PEOPLE), "--url", "http://127.0.0.1:0/people"],
        env=environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as example:
        try:
            assert example.stdout is not None
            url = next(line.strip() for line in example.stdout if "http://" in line)
            address, _, token = url.partition("?token=")
            wait_for(
                lambda: (jpeg := snapshot(address, token)) and green_pixels(jpeg) > 100,
                every=0.2,
            )
        finally:
            example.terminate()
        assert example.wait(LONG) == 0


def test_the_demo_takes_free_ports_where_the_usual_ones_are_taken() -> None:
    """It says which; another program keeps those that everybody takes."""
    pytest.importorskip("cv2", reason="OpenCV is not installed: script/setup --demo")
    with contextlib.ExitStack() as taken:
        for port in (8080, 8554):
            # Where that is refused somebody has it already.
            with contextlib.suppress(OSError):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        done = subprocess.run(
            [sys.executable, str(PEOPLE), "--seconds", "1"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    ports = set(re.findall(r"^  \w+://127\.0\.0\.1:(\d+)/people", done.stdout, re.MULTILINE))
    assert len(ports) == 2
    assert not ports & {"8080", "8554"}
