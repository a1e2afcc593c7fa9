"""Make elements and set their properties; say what to install where one is missing."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, TypeAlias

from backpack._gst.elements import package_of
from backpack._gst.gi import Gst
from backpack.errors import MissingDependencyError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterable

Value: TypeAlias = "bool | int | float | str | Gst.Caps | Gst.Structure"

logger = logging.getLogger(__name__)


def exists(name: str) -> bool:
    """Return whether GStreamer's registry knows the element, without loading it."""
    return Gst.ElementFactory.find(name) is not None


def make(name: str, **properties: Value) -> Gst.Element:
    """
    Make one element and set its properties.

    Args:
        name: The element's name in GStreamer.
        **properties: Its properties, ``_`` for ``-`` in their names and one
            behind a name that is a word of Python's.

    Raises:
        MissingDependencyError: The element is not installed.
        PipelineError: It is installed but cannot be made, or has no such
            property.

    """
    factory = Gst.ElementFactory.find(name)
    if factory is None:
        package = package_of(name)
        hint = f" It comes with {package}." if package else ""
        raise MissingDependencyError(f"GStreamer's element {name!r} is missing.{hint}")
    element = factory.create(None)
    if element is None:
        raise PipelineError(f"GStreamer's element {name!r} is installed but cannot be made.")
    for key, value in properties.items():
        if not set_property(element, key.rstrip("_").replace("_", "-"), value):
            raise PipelineError(f"GStreamer's element {name!r} does not take {key}={value!r}.")
    return element


def set_property(element: Gst.Element, name: str, value: Value) -> bool:
    """
    Set a property if the element has it and takes the value.

    Versions of an element differ: a number outside of the range is moved to
    its end, a property or a word that is not there is left out and logged.

    Returns:
        Whether the property was set.

    """
    spec = element.find_property(name)  # type: ignore[attr-defined] # absent from the stubs
    if spec is None:
        logger.debug("%s has no property %r", element.get_name(), name)
        return False
    low, high = getattr(spec, "minimum", None), getattr(spec, "maximum", None)
    if isinstance(value, (int, float)) and low is not None and high is not None:
        # GObject would refuse the value with nothing but a line on stderr.
        value = type(value)(min(max(value, low), high))
    try:
        if isinstance(value, str):
            Gst.util_set_object_arg(element, name, value)
        else:
            element.set_property(name, value)
    except (TypeError, ValueError, OverflowError) as error:
        logger.debug("%s does not take %s=%r: %s", element.get_name(), name, value, error)
        return False
    if isinstance(value, str) and not _is_word(element.get_property(name), value):
        logger.debug("%s does not know %s=%r", element.get_name(), name, value)
        return False
    return True


def _is_word(held: object, word: str) -> bool:
    """Return whether an enum or flags took a word; one that it does not know changes nothing."""
    nick = getattr(held, "value_nick", None)
    if isinstance(nick, str):
        return nick == word
    nicks = getattr(held, "value_nicks", None)
    return nicks is None or set(nicks) == set(word.split("+"))


def link(elements: Iterable[Gst.Element]) -> None:
    """
    Link elements in a row.

    Raises:
        PipelineError: Two of them do not fit together.

    """
    for left, right in itertools.pairwise(elements):
        if not left.link(right):
            raise PipelineError(f"{left.get_name()} and {right.get_name()} cannot be linked.")
