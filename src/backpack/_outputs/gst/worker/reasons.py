"""Why a pipeline has failed, in one line and without secrets."""

from __future__ import annotations

import re
from typing import Final

from backpack._gst.gi import Gst

_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?([^\s/?#\"']*)[^\s\"']*", re.IGNORECASE
)
_SECRET: Final = re.compile(
    r"\b((?:pass(?:phrase|word|wd)?|user-pw|secret|token|key|streamid)[\w-]*\s*[=:]\s*)[^\s&]+",
    re.IGNORECASE,
)
_GENERAL: Final = re.compile(r"Could not .*\bresource\b|GStreamer |Internal data |Unhandled ")
"""What GStreamer itself writes where an element has given no message of its own."""
_NUMBERS: Final = re.compile(r": domain [\w-]+, code \d+")
_LONGEST: Final = 300


def reason_of(message: Gst.Message) -> str:
    """
    Return the reason in an ERROR message: the element, and what it says.

    Many elements put the cause (the host, "Connection refused") in the debug
    text, behind the line with their source file, and only the kind of the
    failure ("Could not open resource for writing.") in the error itself.
    """
    error, debug = message.parse_error()
    lines = (debug or "").splitlines()[1:]
    cause = " ".join(line.strip() for line in lines if line.strip())
    said = error.message.strip()
    if _says_nothing(cause):
        text = said
    elif _GENERAL.match(said) or not said:
        text = cause
    else:
        text = f"{said.rstrip('.')}: {cause}"
    text = mask(_NUMBERS.sub("", text))
    return f"{element_of(message.src)}: {text[:_LONGEST].rstrip('. ')}"


def element_of(element: Gst.Object | None) -> str:
    """Return the name of an element's kind, as it stands in a pipeline's text."""
    factory = element.get_factory() if isinstance(element, Gst.Element) else None
    if factory is not None:
        return str(factory.get_name())
    return "pipeline" if element is None else str(element.get_name())


def mask(text: str) -> str:
    """Return a text whose URLs end after the host, and whose passwords are hidden."""
    text = _URL.sub(lambda found: f"{found[1]}://{found[2]}", text)
    return _SECRET.sub(lambda found: f"{found[1]}***", text)


def _says_nothing(cause: str) -> bool:
    """Whether a debug text only repeats what is known."""
    return not cause or cause == "Failed to start"
