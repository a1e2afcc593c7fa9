from __future__ import annotations

from backpack._gst import factory
from backpack._gst.elements import ELEMENTS, package_of
from backpack._worker.encoding.encoders import ENCODERS


def test_each_element_stands_once_with_its_package() -> None:
    """`spyglass doctor` prints the table as it is."""
    names = [element.name for element in ELEMENTS]
    assert len(names) == len(set(names))
    assert all(element.package and element.needed_for for element in ELEMENTS)
    assert package_of("h264parse") == "gstreamer1.0-plugins-bad"
    assert package_of("nosuchelement") is None


def test_every_encoder_and_what_stands_before_it_is_listed() -> None:
    """Else its package could not be told."""
    for spec in ENCODERS:
        elements = [text for text in spec.in_front if "/" not in text]
        assert all(package_of(name) for name in [spec.name, *elements])


def test_what_is_required_is_here() -> None:
    """The tests run where streaming works."""
    assert [element.name for element in ELEMENTS if element.required]
    for element in ELEMENTS:
        assert factory.exists(element.name) or not element.required
