from __future__ import annotations

import pytest

from backpack._gst import factory
from backpack.errors import MissingDependencyError, PipelineError


def test_an_element_is_made_with_its_properties() -> None:
    """Words, numbers and booleans, with underscores for the dashes."""
    element = factory.make("appsrc", format="time", max_bytes=5, emit_signals=False)
    assert element.get_property("format").value_nick == "time"
    assert element.get_property("max-bytes") == 5
    assert factory.make("appsink", async_=False).get_property("async") is False


def test_a_missing_element_names_its_package() -> None:
    """The message says where it comes from."""
    with pytest.raises(MissingDependencyError, match="JetPack"):
        factory.make("nvvidconv")
    with pytest.raises(MissingDependencyError, match="'nosuchelement' is missing"):
        factory.make("nosuchelement")


def test_a_property_that_is_asked_for_must_be_there() -> None:
    """`make` is for what is known to exist."""
    with pytest.raises(PipelineError, match="colour"):
        factory.make("appsrc", colour="red")


def test_set_property_leaves_out_what_a_version_does_not_know() -> None:
    """Neither an unknown name nor an unknown word changes anything."""
    element = factory.make("x264enc")
    assert not factory.set_property(element, "no-such", 1)
    assert not factory.set_property(element, "speed-preset", "warp")
    assert not factory.set_property(element, "tune", "warp")
    assert element.get_property("speed-preset").value_nick == "medium"
    assert factory.set_property(element, "tune", "zerolatency")
    assert element.get_property("tune").value_nicks == ["zerolatency"]


def test_a_number_outside_of_the_range_is_moved_to_its_end() -> None:
    """GObject itself would drop it with a warning."""
    element = factory.make("x264enc")
    assert factory.set_property(element, "bframes", 99)
    assert element.get_property("bframes") == 16
    assert factory.set_property(element, "bitrate", -5)
    assert element.get_property("bitrate") == 1


def test_elements_that_do_not_fit_are_named() -> None:
    """The error says which two."""
    with pytest.raises(PipelineError, match=r"appsink.*appsrc"):
        factory.link([factory.make("appsink"), factory.make("appsrc")])
