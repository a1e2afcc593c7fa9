"""Stand for a streaming process that is killed: say the child's id once it has all pictures."""

from __future__ import annotations

import json
import sys
import threading

from tests.outputs.kvs.worker.kvssink.bench import Bench
from tests.waiting import wait_for


def main() -> None:
    """Open an output as described, put pictures, and wait to be killed."""
    bench = Bench(**json.loads(sys.argv[1]))
    bench.open()
    bench.put(25)
    wait_for(lambda: bench.counters["frames_taken"] == 25)
    # What is still on the way to the child is lost with us.
    wait_for(lambda: not bench.output._runner._child.process.pending_bytes)  # type: ignore[union-attr]
    print(bench.pid(), flush=True)  # noqa: T201
    threading.Event().wait()


if __name__ == "__main__":
    main()
