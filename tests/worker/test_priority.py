from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backpack._worker.priority import NICE
from tests.apps import frame, streaming, watcher
from tests.waiting import wait_for

_TELL = """
import json, os, signal
from backpack._worker.priority import step_behind
session = os.getsid(0)
step_behind()
print(json.dumps([
    os.getpriority(os.PRIO_PROCESS, 0), os.getpgid(0) == os.getpid(), os.getsid(0) == session,
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN]))
"""

_SHARE = """
import os, sys, time
from backpack._worker.priority import step_behind
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
# The same end for both: who is scheduled late must not have the core alone afterwards.
end = time.monotonic() + 2.0
child = os.fork()
if not child:
    step_behind()
while time.monotonic() < end:
    pass
if not child:
    os.write(1, f"{time.process_time()} ".encode())
    os._exit(0)
ours = time.process_time()
os.wait()
os.write(1, f"{ours}".encode())
"""


_POLICY_AFTER = """
import os, threading
from backpack._worker.priority import step_behind
os.sched_setscheduler(0, {policy}, os.sched_param({priority}))
step_behind()
print(os.sched_getscheduler(0))
"""


def run(code: str, nice: int = 0) -> str:
    """Run Python code and give what it prints."""
    return subprocess.run(
        [sys.executable, "-c", f"import os; os.nice({nice})\n{code}"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_the_streaming_process_steps_behind_in_its_own_group() -> None:
    """Low priority and a process group of its own, in the application's session; no Ctrl-C."""
    nice, own_group, same_session, ignores_sigint = json.loads(run(_TELL))

    assert nice == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    assert own_group
    assert same_session
    assert ignores_sigint


def test_it_stays_behind_an_application_that_is_nice_itself() -> None:
    """The distance counts, as far as there are levels."""
    assert json.loads(run(_TELL, nice=19))[0] == 19


def test_on_one_core_the_application_keeps_nearly_all() -> None:
    """Both busy on one core: at least nine tenths of what the two get are the application's."""
    theirs, ours = map(float, run(_SHARE).split())

    assert ours / (ours + theirs) >= 0.9


def test_sigterm_still_ends_it() -> None:
    """Only Ctrl-C is meant for the application alone."""
    code = _TELL.replace("signal.SIGINT) == signal.SIG_IGN", "signal.SIGTERM) == signal.SIG_DFL")
    assert json.loads(run(code))[3]


@pytest.mark.parametrize(
    ("policy", "priority", "becomes"),
    [
        ("os.SCHED_OTHER", 0, os.SCHED_BATCH),
        # Handed down, it would have an encoder run before the application's own threads.
        ("os.SCHED_FIFO | os.SCHED_RESET_ON_FORK", 1, os.SCHED_BATCH),
        ("os.SCHED_IDLE", 0, os.SCHED_IDLE),
    ],
)
def test_it_never_preempts_whoever_wakes_it(policy: str, priority: int, becomes: int) -> None:
    """It takes the batch policy, and keeps the idle one, which is weaker still."""
    if "FIFO" in policy and os.geteuid() != 0:
        pytest.skip("only root may have a real-time policy")

    assert int(run(_POLICY_AFTER.format(policy=policy, priority=priority))) == becomes


def test_every_thread_of_the_streaming_process_has_the_batch_policy() -> None:
    """Those of GStreamer and the encoder, too: each is woken by `put` or by one that is."""
    with streaming(watcher(), encoder="x264enc") as spyglass:

        def encoded() -> bool:
            spyglass.put(frame())
            return spyglass.stats().encoded > 3

        wait_for(encoded)
        threads = list(Path(f"/proc/{spyglass.stats().streamer_pid}/task").iterdir())
        policies = {
            (thread / "comm").read_text(): os.sched_getscheduler(int(thread.name))
            for thread in threads
        }

    # The main thread, the intake, and at least one of the encoder's pipeline.
    assert len(threads) >= 3
    assert set(policies.values()) == {os.SCHED_BATCH}, policies
