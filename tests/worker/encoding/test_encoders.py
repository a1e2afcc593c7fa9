from __future__ import annotations

import logging

import pytest

from backpack._gst import factory
from backpack._gst.elements import package_of
from backpack._worker.encoding.encoders import ENCODERS, EncoderSpec, find_spec
from tests.fakes.elements import STAND_INS, registered

STAND_IN_NAMES = [name for name in STAND_INS if name != "nvvidconv"]

# Names of the other generation of the same element, and what came later.
MAY_BE_MISSING = {
    "nvh264enc": {"tune", "zero-reorder-delay", "b-frames", "rc-lookahead",
                  "repeat-sequence-header", "aud"},
}  # fmt: skip
MAY_BE_MISSING["nvcudah264enc"] = MAY_BE_MISSING["nvh264enc"]


def test_hardware_comes_before_software() -> None:
    """The order of the table is the order of preference."""
    assert [spec.name for spec in ENCODERS] == [
        "nvv4l2h264enc", "nvh264enc", "nvcudah264enc", "vah264enc", "vah264lpenc", "vaapih264enc",
        "qsvh264enc", "v4l2h264enc", "mpph264enc", "vtenc_h264_hw", "x264enc", "openh264enc",
    ]  # fmt: skip
    assert [spec.hardware for spec in ENCODERS] == [True] * 10 + [False] * 2


@pytest.mark.parametrize("spec", ENCODERS, ids=lambda spec: spec.name)
def test_each_row_is_complete(spec: EncoderSpec) -> None:
    """A source, a unit, a package for the message where it is missing."""
    assert spec.source
    assert spec.bitrate_unit_bps in (1, 1000)
    assert set(spec.raw_formats) <= {"I420", "NV12"}
    assert package_of(spec.name)
    assert find_spec(spec.name) is spec


def test_an_unknown_name_has_no_row() -> None:
    """None, not an error: the caller says what is known."""
    assert find_spec("theoraenc") is None


@pytest.mark.parametrize("name", ["x264enc", "openh264enc", *STAND_IN_NAMES])
def test_every_setting_is_taken(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Names, types, words and ranges are those of the element."""
    caplog.set_level(logging.DEBUG, logger="backpack")
    spec = find_spec(name)
    assert spec is not None
    with registered():
        element = factory.make(name)
        refused = {
            key for key, value in spec.settings if not factory.set_property(element, key, value)
        }
    # One of the two words for NVENC's preset is always the other generation's.
    assert refused - {"preset"} <= MAY_BE_MISSING.get(name, set())
