from __future__ import annotations

import logging

from backpack._ipc.transcript import Bucket, Transcript

NOISE = b'(boot.py:77): GStreamer-RTSP-WARNING **: 09:52:05.735: unknown transport field "x"'


def texts(lines: list[tuple[int, str]]) -> list[str]:
    """Give the lines without their levels."""
    return [text for _, text in lines]


def size(lines: list[tuple[int, str]]) -> int:
    """Add up what is logged."""
    return sum(len(text) for _, text in lines)


def test_a_bucket_lets_much_pass_at_once_and_little_for_long() -> None:
    """What is not used is saved up to a limit; what is too much takes nothing out."""
    bucket = Bucket(100, 10)
    assert bucket.take(100, 50.0)
    assert not bucket.take(1, 50.0)
    assert not bucket.take(30, 52.0)
    assert bucket.take(20, 52.0)
    assert not bucket.take(101, 1e6)
    assert bucket.take(100, 1e6)


def test_lines_come_whole_whatever_pieces_they_are_read_in() -> None:
    """A line is what stands between two ends; empty ones say nothing."""
    transcript = Transcript()
    assert texts(transcript.take(b"one\n\ntw", 0.0)) == ["one"]
    assert texts(transcript.take(b"o", 0.0)) == []
    assert texts(transcript.take(b"\nthree", 0.0)) == ["two"]
    assert texts(transcript.finish(0.0)) == ["three"]
    assert transcript.finish(0.0) == []
    assert transcript.last_words() == "one\ntwo\nthree"


def test_what_glib_warns_of_is_for_those_who_look_closely() -> None:
    """Requests cause it; what ends the process, and all else, is told to everybody."""
    transcript = Transcript()
    fatal = "(boot.py:77): GLib-ERROR **: 09:52:05.735: creating thread 'pool': no"
    lines = [
        NOISE.decode(),
        "** (process:1): CRITICAL **: 09:52:05.735: no domain",
        "(python3:9): GLib-GObject-CRITICAL **: 09:52:05.735: invalid cast",
        fatal,
        "Traceback (most recent call last):",
    ]
    logged = transcript.take("\n".join(lines).encode() + b"\n", 0.0)
    assert [level for level, _ in logged] == [*[logging.DEBUG] * 3, *[logging.INFO] * 2]
    assert texts(logged) == lines


def test_a_flood_of_warnings_is_left_out_and_counted() -> None:
    """Some pass, the rest is one line after some seconds; then the counting begins anew."""
    transcript = Transcript()
    logged = transcript.take(NOISE + b"\n", 0.0)
    for _ in range(200):
        logged += transcript.take((NOISE + b"\n") * 100, 0.0)
    assert 500 < size(logged) < 2048
    assert transcript.summary(9.9) == []
    left_out = 20001 - len(logged)
    ((level, text),) = transcript.summary(10.1)
    assert level == logging.INFO
    assert text.startswith(f"{left_out} lines ({left_out * len(NOISE)} bytes) ")
    assert transcript.summary(1e9) == []


def test_a_flood_that_goes_on_for_an_hour_is_little() -> None:
    """A megabyte a second in becomes some bytes a second out."""
    transcript = Transcript()
    logged = []
    for second in range(3600):
        logged += transcript.take((NOISE + b"\n") * 100, float(second))
        logged += transcript.summary(float(second))
    assert size(logged) < 3600 * 100


def test_warnings_leave_room_for_a_traceback() -> None:
    """What we have to say of ourselves comes whole amid a flood, and is the last word."""
    transcript = Transcript()
    transcript.take((NOISE + b"\n") * 10_000, 0.0)
    trace = [
        "Traceback (most recent call last):",
        *(f'  File "somewhere.py", line {n}' for n in range(150)),
        "RuntimeError: no",
    ]
    flood = NOISE.decode()
    logged = transcript.take("".join(f"{flood}\n{line}\n" for line in trace).encode(), 0.0)
    assert texts(logged) == trace
    assert transcript.last_words() == "\n".join(trace)


def test_a_long_line_is_cut() -> None:
    """What stands behind is counted; a line without an end takes no memory."""
    transcript = Transcript()
    (text,) = texts(transcript.take(b"x" * 10_000 + b"\n", 0.0))
    assert text == "x" * 4096 + "… (5904 bytes more)"
    (text,) = texts(transcript.take(NOISE + b"y" * 10_000 + b"\n", 0.0))
    assert len(text) < 330
    for _ in range(1000):
        assert not transcript.take(b"z" * 10_000, 0.0)
    assert len(transcript._line) == 4096
    (text,) = texts(transcript.finish(0.0))
    assert text == "z" * 4096 + "… (9995904 bytes more)"


def test_what_is_no_text_is_written_so_that_a_terminal_does_nothing() -> None:
    """Strangers choose what stands in some of these lines."""
    transcript = Transcript()
    assert texts(transcript.take("\x1b[2J\x00\tä\x9b\xff\n".encode("latin-1"), 0.0)) == [
        "\\x1b[2J\\x00\t\\xe4\\x9b\\xff"
    ]
    assert texts(transcript.take("ä\x9b\n".encode(), 0.0)) == ["ä\\x9b"]
