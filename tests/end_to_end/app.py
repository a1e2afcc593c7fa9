"""
Be an application that puts numbered frames, in a process of its own.

It prints a line of JSON when it streams, and one for each order it reads.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]

from backpack.kvs import KVSFileCredentialsHandler, KVSSpyGlass  # noqa: E402 - found by the line above
from backpack.rtsp import RTSPServer, RTSPSpyGlass  # noqa: E402
from backpack.spyglass import SpyGlass  # noqa: E402
from tests.end_to_end.apps import Putter  # noqa: E402
from tests.waiting import open_descriptors  # noqa: E402


def main() -> None:
    """Put frames until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--orderly", action="store_true", help="end in order on SIGTERM")
    parser.add_argument("--own-server", action="store_true")
    parser.add_argument("--kvs", metavar="JSON", help="what KVSSpyGlass is given")
    parser.add_argument("--credentials-path", help="the file of its credentials handler")
    arguments = parser.parse_args()
    if arguments.orderly:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = RTSPServer(0)
    if arguments.kvs:
        path = arguments.credentials_path
        handler = None if path is None else KVSFileCredentialsHandler(path)
        spyglass: SpyGlass = KVSSpyGlass(
            **json.loads(arguments.kvs), credentials_handler=handler, required=True
        )
    elif arguments.own_server:
        server.start()
        spyglass = RTSPSpyGlass(server, "/cam", required=True)
    else:
        spyglass = SpyGlass("rtsp://127.0.0.1:0/cam", required=True)
    putter = Putter(spyglass)
    with spyglass:
        if arguments.fps:
            putter.start(arguments.fps)
        try:
            say({"url": spyglass.urls()[0]})
            for line in sys.stdin:
                name, *words = line.split()
                say(ORDERS[name](putter, *words))
        finally:
            putter.stop()
    server.stop()


def numbers(putter: Putter) -> dict[str, Any]:
    """Tell everything that can be counted."""
    status = Path("/proc/self/status").read_text().splitlines()
    resident = next(line for line in status if line.startswith("VmRSS"))
    return {
        **asdict(putter.spyglass.stats()),
        "longest": putter.longest_seconds if putter.puts else 0.0,
        "failures": [repr(one) for one in putter.failures],
        "descriptors": open_descriptors(),
        "threads": threading.active_count(),
        "resident_kb": int(resident.split()[1]),
        "modules": sorted({"gi", "cv2", "boto3"} & set(sys.modules)),
        "last": putter.last,
    }


def put(putter: Putter, count: str = "1") -> dict[str, Any]:
    """Put some frames at once."""
    return {"taken": [putter.put() for _ in range(int(count))]}


def cycle(putter: Putter, count: str) -> dict[str, Any]:
    """Stop and start so many times, with a frame in between."""
    for _ in range(int(count)):
        putter.spyglass.stop_streaming()
        putter.spyglass.start_streaming()
        putter.put()
    return numbers(putter)


ORDERS = {"numbers": numbers, "put": put, "cycle": cycle}


def say(what: dict[str, Any]) -> None:
    """Print a line for the test that reads."""
    print(json.dumps(what), flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
