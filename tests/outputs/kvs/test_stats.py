from __future__ import annotations

from backpack._outputs.kvs.stats import KVSStats

CANNOT = "credentials_path '/full/x' cannot be written: No space left on device."
WAITS = "kvssink waits for credentials from the application."


def test_what_has_no_name_is_left_out() -> None:
    """Both ends tell more than is public."""
    stats = KVSStats.of({"state": "STREAMING", "fragments_sent": 3, "kvssink": {"a": 1}})

    assert (stats.state, stats.fragments_sent) == ("STREAMING", 3)
    assert "kvssink" not in stats.to_dict()


def test_credentials_that_are_missing_are_a_state() -> None:
    """With the reason, unless it has ended anyway."""
    told = {"credentials_good": False, "credentials_trouble": "There are none."}

    assert KVSStats.of({**told, "state": "CONNECTING"}).state == "UNAUTHORIZED"
    assert KVSStats.of({**told, "state": "CONNECTING"}).trouble == "There are none."
    assert KVSStats.of({**told, "state": "FAILED"}).state == "FAILED"


def test_a_credentials_file_that_cannot_be_written_is_what_kvssink_waits_for() -> None:
    """It knows only that it gets none; the application knows that they were found."""
    told = {
        "producer": "kvssink",
        "state": "CONNECTING",
        "credentials_good": True,
        "credentials_file_failures": 2,
        "credentials_file_trouble": CANNOT,
    }
    waiting = KVSStats.of({**told, "trouble": WAITS})

    assert waiting.trouble == f"{CANNOT} {WAITS}"
    assert waiting.credentials_file_failures == 2
    assert KVSStats.of({**told, "trouble": ""}).trouble == ""


def test_a_credentials_file_that_cannot_be_written_does_not_hold_up_the_native_producer() -> None:
    """It is told beside, and what keeps video from arriving is something else."""
    told = {"state": "BUFFERING", "trouble": "No line.", "credentials_file_trouble": CANNOT}
    stats = KVSStats.of(told)

    assert stats.trouble == "No line."
    assert stats.credentials_file_trouble == CANNOT
