from __future__ import annotations

import pytest

from backpack._outputs.kvs.shared.refusals import NextStep
from backpack._outputs.kvs.worker.kvssink.complaints import Complaint, Complaints
from backpack._outputs.kvs.worker.kvssink.standing import Standing

# As kvssink prints them, with AWS's C producer.
REFUSED = b"""WARN curlCompleteSync(): HTTP Error %s : Response: %s
Request URL: https://kinesisvideo.us-east-1.amazonaws.com/describeStream
Request Headers:
    user-agent: AWS-SDK-KVS-CPP-CLIENT
    Authorization: AWS4-HMAC-SHA256 Credential=AKID/x, Signature=secret
"""
UNREACHED = b"""WARN x(): curl perform failed for url https://a.test:8443 with result %s
WARN curlCompleteSync(): HTTP Error 0 : Response: (null)
Request URL: https://a.test:8443/describeStream
Request Headers:
"""
MISMATCH = b'{"message":"The request signature we calculated does not match the signature"}'


@pytest.mark.parametrize(
    ("printed", "cause", "words", "next_step"),
    [
        (REFUSED % (b"403", MISMATCH), "403", "the secret key does not belong", NextStep.RENEW),
        (REFUSED % (b"404", b"{}"), "404", "does not exist", NextStep.CREATE),
        (REFUSED % (b"500", b"(null)"), "500", "trouble of its own", NextStep.AGAIN),
        (UNREACHED % b"Couldn't connect to server: Failed to connect to a.test port 8443",
         "Couldn't connect to server", "does not reach a.test:8443: Failed to connect",
         NextStep.AGAIN),
        (UNREACHED % b"Couldn't resolve host name: ", "name not found",
         "The name a.test cannot be found", NextStep.AGAIN),
        (UNREACHED % b"SSL peer certificate or SSH remote key was not OK: x",
         "certificate refused", "The certificate of a.test is not trusted", NextStep.AGAIN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_what_kvssink_prints_is_understood(
    printed: bytes, cause: str, words: str, next_step: NextStep, size: int
) -> None:
    """Once for each failure, however it is cut, and between whatever else it prints."""
    text = b"DEBUG x\n" + printed + b"INFO \xff\n"
    complaints = Complaints()
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    (found,) = [one for part in parts for one in complaints.feed(part)]

    assert found.cause == cause
    assert words in found.refusal.sentence
    assert found.refusal.next_step is next_step
    assert "AKID" not in str(found)


def test_what_is_answered_to_video_is_read_where_it_is_printed() -> None:
    """The SDK takes it for acknowledgements."""
    printed = b'WARN Failed to submit ACK: {"message":"The security token included in the '
    printed += b'request is expired"} with status code: 0x52000001\n'
    printed += REFUSED.replace(b"describeStream", b"putMedia") % (b"403", b"(null)")
    (found,) = Complaints().feed(printed)

    assert "have run out" in found.refusal.sentence


def test_what_never_ends_fills_no_memory() -> None:
    """A line without an end is cut."""
    complaints = Complaints()
    for _ in range(100):
        assert complaints.feed(b"x" * 10_000) == []
    assert len(complaints._half) <= 16 * 1024


@pytest.fixture
def standing() -> Standing:
    """Stand for a stream that streams."""
    one = Standing("door", create_stream=False)
    one.answered(started=True)
    return one


DENIED = Complaints().feed(REFUSED % (b"403", b"{}"))[0]
MISSING = Complaints().feed(REFUSED % (b"404", b"{}"))[0]


def test_what_goes_on_is_told_and_forgotten(standing: Standing) -> None:
    """After two seconds; an acknowledgement says that it is over."""
    standing.complain(DENIED, 10.0)
    assert standing.wake_at == 12.0
    assert not standing.look(11.9, waits=True)
    assert (standing.state, standing.trouble) == ("STREAMING", "")
    assert standing.look(12.0, waits=True)
    assert (standing.state, standing.trouble) == ("BUFFERING", DENIED.refusal.sentence)
    standing.complain(DENIED, 13.0)
    assert not standing.look(13.0, waits=True)
    standing.complain(MISSING, 14.0)
    assert standing.look(14.0, waits=True)
    assert standing.state == "FAILED"
    standing.answered()
    assert (standing.state, standing.trouble) == ("STREAMING", "")
    assert standing.wake_at is None


def test_an_answer_in_between_takes_it_back(standing: Standing) -> None:
    """Two failures far from each other are two failures, and not one that lasts."""
    standing.complain(DENIED, 10.0)
    standing.answered()
    standing.complain(DENIED, 30.0)

    assert not standing.look(31.0, waits=True)


def test_where_nothing_waits_nothing_is_wrong(standing: Standing) -> None:
    """AWS closes a connection whose source is silent."""
    standing.complain(DENIED, 10.0)

    assert not standing.look(20.0, waits=False)
    assert not standing.look(20.0, waits=True)


def test_a_number_alone_is_better_than_nothing(standing: Standing) -> None:
    """The signal gives no more; a sentence is not replaced by it."""
    standing.complain(Complaint.of(0x5200000F), 10.0)
    standing.look(12.0, waits=True)
    assert "0x5200000f" in standing.trouble
    standing.complain(DENIED, 13.0)
    standing.complain(Complaint.of(0x5200000F), 13.0)
    standing.look(13.0, waits=True)
    assert standing.trouble == DENIED.refusal.sentence


def test_how_a_child_ended_says_more_than_a_number(standing: Standing) -> None:
    """What the signal gave before stands in it, too."""
    standing.complain(Complaint.of(0x52000049), 10.0)
    standing.broke("Stream error occurred. Status: 0x52000049", 1.0)

    assert not standing.look(20.0, waits=True)
    assert "Stream error occurred" in standing.trouble


def test_a_new_child_does_not_hide_why_the_last_one_failed(
    standing: Standing, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails at the same; what its end says is less, and is logged once."""
    standing.complain(MISSING, 10.0)
    standing.look(12.0, waits=True)
    for wait in (1.0, 2.0, 4.0):
        standing.broke("It does not start", wait)
        standing.connecting()

    assert (standing.state, standing.trouble) == ("FAILED", MISSING.refusal.sentence)
    assert len(caplog.records) == 2
