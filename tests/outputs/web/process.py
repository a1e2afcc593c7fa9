"""
Be a streaming process that can be killed: serve numbered pictures at a given port.

Usage: python -m tests.outputs.web.process PORT
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from tests.outputs.web.rig import Rig
from tests.streams import main_loop


def main() -> None:
    """Serve until standard input ends."""
    with main_loop() as loop, ExitStack() as stack:
        rig = Rig(loop, stack)
        stream = rig.stream()
        serving = rig.serve(port=int(sys.argv[1]), allowed_hosts=("spy.test",))
        serving.mount("/cam", stream.hub)
        sys.stdout.write(f"{serving.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
