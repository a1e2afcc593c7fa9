"""
Run script/demo for half a minute, and look at its page meanwhile as a viewer does.

Exits with 1 where the demo gives no picture, or does not end as it should.
Needs nothing but the standard library, as a bare system has no more.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

DEMO = Path(__file__).with_name("demo")
SECONDS = 30
PATIENCE = 20
# Any port that is free: others may run the demo on this machine.
URLS = ("http://127.0.0.1:0/people", "rtsp://127.0.0.1:0/people")
NOT_YET = 503
JPEG = b"\xff\xd8\xff"


def snapshot(page: str) -> bytes:
    """Give the newest picture of a page, whose address carries a token, once there is one."""
    path, _, query = page.partition("?")
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{path}/snapshot.jpg?{query}", timeout=PATIENCE) as answer:
                picture: bytes = answer.read()
        except urllib.error.HTTPError as refused:  # noqa: PERF203 - few rounds
            refused.close()
            # Before the first frame there is none.
            if refused.code != NOT_YET or time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return picture


def main() -> int:
    """Run the demo, print what it prints, and look at it when it says where."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    command = [str(DEMO), "--seconds", str(SECONDS)]
    for url in URLS:
        command += ["--url", url]
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            print(line, end="", flush=True)
            if line.strip().startswith("http://"):
                picture = snapshot(line.strip())
                seen += picture.startswith(JPEG)
                print(f"  a picture of {len(picture)} bytes", flush=True)
    if not seen:
        print("The demo's page gave no picture.", file=sys.stderr)
        return 1
    return 1 if demo.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
