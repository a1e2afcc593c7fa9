from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from backpack._outputs.kvs.worker.producer.commands import ProducerState, ProducerStatus
from backpack._outputs.kvs.worker.producer.fragments import QueueCounters
from backpack._outputs.kvs.worker.producer.journal import JournalNumbers
from backpack._outputs.kvs.worker.report import Report

IDLE = ProducerStatus(ProducerState.IDLE)
CALLING = ProducerStatus(ProducerState.CALLING)
STREAMING = ProducerStatus(ProducerState.STREAMING)


def of(status: ProducerStatus, **changes: Any) -> ProducerStatus:
    """Change a status; ``dropped`` and ``persisted`` are counters of its queue."""
    counters = QueueCounters(
        frames_dropped=changes.pop("dropped", 0), fragments_persisted=changes.pop("persisted", 0)
    )
    return dataclasses.replace(status, queue=counters, **changes)


@pytest.fixture
def report(caplog: pytest.LogCaptureFixture) -> Report:
    """Report on a stream."""
    caplog.set_level(logging.INFO, "backpack._outputs.kvs.worker")
    return Report("door")


def test_the_state_is_one_word(report: Report) -> None:
    """What it is now depends on what went wrong before."""
    words = []
    for status in (IDLE, CALLING, STREAMING, IDLE, ProducerStatus(ProducerState.OPENING)):
        report.take(status, 0.0)
        words.append(report.state)
    assert words == ["CONNECTING", "CONNECTING", "STREAMING", "IDLE", "CONNECTING"]

    report.take(STREAMING, 0.0)
    report.take(of(IDLE, reconnects={"x": 1}), 1.0)
    assert report.state == "BUFFERING"
    report.take(of(CALLING, reconnects={"x": 1}), 1.0)
    assert report.state == "BUFFERING"
    report.take(of(STREAMING, reconnects={"x": 1}), 2.0)
    assert report.state == "STREAMING"
    report.missed()
    report.take(of(CALLING, reconnects={"x": 1}), 3.0)
    assert report.state == "BUFFERING"
    for over in (ProducerState.STOPPED, ProducerState.FAILED):
        report.take(ProducerStatus(over), 4.0)
        assert report.state == over.name


def test_what_somebody_has_to_mend_is_a_failure_that_is_not_the_end(report: Report) -> None:
    """FAILED while it is tried again, until there is a connection; over is something else."""
    report.take(of(IDLE, mending=True), 0.0)
    assert (report.state, report.gave_up) == ("FAILED", False)
    report.take(of(CALLING, mending=True), 1.0)
    assert report.state == "FAILED"
    report.take(of(STREAMING, mending=True), 2.0)
    assert report.state == "STREAMING"
    report.take(ProducerStatus(ProducerState.FAILED), 3.0)
    assert (report.state, report.gave_up) == ("FAILED", True)


def test_a_connection_that_waits_for_somebody_is_told_of_rarely(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong was said; that it is still so twice a minute helps nobody."""
    for number in range(10):
        lost = of(IDLE, mending=True, trouble="A key.", reconnects={"4500": number})
        report.take(lost, 45.0 * number)

    assert len([one for one in caplog.messages if "no connection" in one]) == 1


def test_trouble_is_news_once(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    """How often it was tried is none."""
    assert not report.take(IDLE, 0.0)
    assert report.take(of(IDLE, trouble="Tried 3 times."), 10.0)
    assert not report.take(of(IDLE, trouble="Tried 4 times."), 20.0)
    assert report.trouble == "Tried 4 times."
    assert report.take(of(IDLE, trouble="No."), 30.0)

    assert [record.message for record in caplog.records] == [
        "KVS stream door: Tried 3 times.", "KVS stream door: No.",
    ]  # fmt: skip


def test_what_keeps_it_from_connecting_is_the_trouble(report: Report) -> None:
    """Until something is answered; what is wrong with the disk comes last."""
    disk = JournalNumbers(trouble="The disk is full.")
    report.obstacle("No such name.")
    report.take(of(IDLE, trouble="Look at the network.", journal=disk), 0.0)
    assert report.trouble == "No such name."
    report.obstacle("")
    report.take(of(IDLE, trouble="Look at the network.", journal=disk), 0.0)
    assert report.trouble == "Look at the network."
    report.take(of(STREAMING, journal=disk), 0.0)
    assert report.trouble == "The disk is full."


def test_lines_of_a_kind_are_a_second_apart(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """A minute where it goes on for the whole outage."""
    report.take(STREAMING, 0.0)
    for tenth in range(25):
        reconnects = {"reset": tenth + 1}
        report.take(of(IDLE, reconnects=reconnects, dropped=tenth), 100.0 + tenth / 10)
    texts = [record.message for record in caplog.records]

    assert sum("no connection: reset" in text for text in texts) == 3
    assert sum("dropped" in text for text in texts) == 1


def test_recovery_is_told_when_nothing_waits_any_more(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """With what it has cost."""
    report.take(of(STREAMING, fragments_resent=2, persisted=1), 0.0)
    broken = {"reconnects": {"reset": 1}}
    report.take(of(IDLE, **broken, fragments_resent=2, persisted=1, buffered_seconds=60.0), 1.0)
    report.take(
        of(STREAMING, **broken, fragments_resent=5, persisted=2, buffered_seconds=40.0), 2.0
    )
    assert "recovered" not in caplog.text
    report.take(of(STREAMING, **broken, fragments_resent=6, persisted=3, buffered_seconds=2.0), 3.0)
    report.take(of(STREAMING, **broken, fragments_resent=6, persisted=4, buffered_seconds=2.0), 9.0)

    assert caplog.text.count("recovered: 4 fragments were sent once more") == 1


def test_the_beginning_of_an_outage_is_no_recovery(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """What was persisted just before the break is seen with it; the recovery is told later."""
    report.take(of(STREAMING, persisted=1), 0.0)
    broken = {"reconnects": {"reset": 1}, "buffered_seconds": 2.0, "buffered_frames": 60}
    report.take(of(IDLE, **broken, persisted=2), 1.0)
    report.take(of(STREAMING, **broken, persisted=2), 2.0)
    report.take(of(IDLE, **broken | {"reconnects": {"reset": 2}}, persisted=3), 3.0)
    report.take(of(CALLING, **broken | {"reconnects": {"reset": 2}}, persisted=4), 4.0)
    assert "recovered" not in caplog.text

    broken["reconnects"] = {"reset": 2}
    report.take(of(STREAMING, **broken, persisted=5, fragments_resent=3), 5.0)
    assert "recovered: 3 fragments" in caplog.text


def test_what_ends_with_all_persisted_has_recovered(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    """The last answer may be what closes the connection: the source is silent, or it stops."""
    report.take(of(STREAMING, persisted=1), 0.0)
    broken = {"reconnects": {"reset": 1}}
    report.take(of(IDLE, **broken, persisted=1, buffered_frames=60), 1.0)
    report.take(of(STREAMING, **broken, persisted=1, buffered_frames=60), 2.0)
    report.take(of(IDLE, **broken, persisted=2), 3.0)

    assert "recovered" in caplog.text


def test_the_end_is_told_once(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    """And not at all where nothing is left."""
    left = of(IDLE, buffered_frames=90, buffered_seconds=6.0)
    report.end(left, 3, 0.0)
    report.end(left, 3, 9.0)
    Report("other").end(IDLE, 0, 0.0)

    assert [record.message for record in caplog.records] == [
        "KVS stream door: 3 fragments (90 frames, 6.0 s) were not persisted."
    ]


def test_a_mistake_of_ours_is_the_last_word(report: Report) -> None:
    """Whatever the producer says after that."""
    report.crashed(ZeroDivisionError())
    assert not report.take(STREAMING, 0.0)
    assert report.state == "FAILED"
    assert "ZeroDivisionError" in report.trouble
