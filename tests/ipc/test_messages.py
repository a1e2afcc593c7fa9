from __future__ import annotations

import dataclasses
import typing

import pytest

from backpack._ipc.messages import Log, Message, OpenStream, decode, encode

EXAMPLES = {
    "int": 7,
    "str": 'Größe "5" \n',
    "float": 0.5,
    "dict": {"a": [1, None, "x"]},
    "list": ["x264enc"],
    "NoneType": None,
}


def example(kind: type[Message]) -> Message:
    """Make a message of a kind with a value in each field."""
    hints = typing.get_type_hints(kind)
    values = {}
    for entry in dataclasses.fields(kind):
        hint = hints[entry.name]
        name = (typing.get_origin(hint) or hint).__name__
        values[entry.name] = EXAMPLES[name if name in EXAMPLES else "NoneType"]
    return kind(**values)


@pytest.mark.parametrize("kind", Message.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_message_arrives_as_it_was_sent(kind: type[Message]) -> None:
    """Each kind of message is told by its name, with all its values."""
    sent = example(kind)

    assert decode(encode(sent)) == sent


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"[]",
        b"17",
        b"null",
        b"{}",
        b'{"type": "Nobody"}',
        b'{"type": "Message"}',
        b'{"type": "Log"}',
        b'{"type": "Log", "level": 1, "name": "a", "text": "b", "more": 1}',
        b"[" * 100_000,
        b'{"type": ["Log"]}',
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """Whatever the other side sends, there is one error for it."""
    with pytest.raises(ValueError):  # noqa: PT011 - its text is not of interest
        decode(data)


def test_nothing_but_json_travels() -> None:
    """The two ends may be two Pythons: a message that JSON cannot carry is refused here."""
    with pytest.raises(TypeError):
        encode(OpenStream(1, {"fps": object()}, []))


def test_text_of_any_kind_travels() -> None:
    """Log lines may hold what drivers print."""
    sent = Log(20, "gst", "\x00 \ud800 \u2028 ü")

    assert decode(encode(sent)) == sent
