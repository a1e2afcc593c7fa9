from __future__ import annotations

import threading
from pathlib import Path

from backpack._lib.threads import show_name


def test_a_thread_is_seen_by_its_name() -> None:
    """What `top -H` shows is the thread's name, without what all of ours begin with."""
    seen = []

    def run() -> None:
        show_name()
        task = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        seen.append(task.read_text().strip())

    thread = threading.Thread(target=run, name="spyglass-of-all-the-longest")
    thread.start()
    thread.join()

    assert seen == ["of-all-the-long"]
