from __future__ import annotations

import resource
from pathlib import Path

from tests.apps import streaming, watcher
from tests.waiting import wait_for


def test_the_streaming_process_has_as_many_descriptors_as_it_may() -> None:
    """Its soft limit is the hard one; the application's stays what it was."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Clients of other tests in this process have not all given theirs back.
    soft = min(len(list(Path("/proc/self/fd").iterdir())) + 400, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        with streaming(watcher()) as spyglass:
            pid = wait_for(lambda: spyglass.stats().streamer_pid)
            limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
            found = next(line for line in limits if line.startswith("Max open files")).split()
            assert found[3] == found[4]
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
