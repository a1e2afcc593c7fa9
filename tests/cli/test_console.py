from __future__ import annotations

import contextlib
import io
import logging
import os

from backpack._cli.console import Console

logger = logging.getLogger("backpack.tests")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say that this is one."""
        return True


def test_status_lines_are_lines_where_there_is_no_terminal() -> None:
    """In a file each status stands on a line of its own, without control characters."""
    stream = io.StringIO()
    with Console(stream) as console:
        console.show("one")
        console.say("hello")
        console.show("two")

    assert stream.getvalue() == "one\nspyglass: hello\ntwo\n"


def test_a_terminal_keeps_the_status_line_last() -> None:
    """A message goes above the status line, which is written again below it."""
    stream = Terminal()
    with Console(stream) as console:
        console.show("status")
        console.say("hello")

    assert stream.getvalue() == "\r\x1b[Kstatus\r\x1b[Kspyglass: hello\nstatus\n"


def test_a_long_status_line_is_cut() -> None:
    """A status that would wrap could not be rewritten."""
    stream = Terminal()
    Console(stream).show("x" * 500)

    assert stream.getvalue().count("x") == 79


def test_log_records_are_messages() -> None:
    """Warnings of the library are shown; what is only good to know, when asked for."""
    for verbose, expected in ((False, "warning"), (True, "info warning")):
        stream = io.StringIO()
        with Console(stream, verbose=verbose):
            logger.info("info")
            logger.warning("warning")

        assert stream.getvalue().replace("spyglass: ", "").split() == expected.split()


def test_what_is_held_back_is_dropped_when_the_block_fails() -> None:
    """Where an error is raised that says it all, the log does not say it before."""
    stream = io.StringIO()
    with Console(stream) as console:
        with console.holding_back():
            logger.warning("kept")
        with contextlib.suppress(ZeroDivisionError), console.holding_back():
            logger.warning("lost")
            raise ZeroDivisionError
        logger.warning("after")

    assert stream.getvalue() == "spyglass: kept\nspyglass: after\n"


def test_a_terminal_that_was_closed_is_no_error() -> None:
    """Where nobody can be told any more, nothing is raised."""
    read, write = os.pipe()
    os.close(read)
    with contextlib.suppress(BrokenPipeError), os.fdopen(write, "w") as stream:
        Console(stream).say("hello")
        Console(stream).show("status")
