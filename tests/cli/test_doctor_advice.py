from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._cli.doctor_advice import FAMILIES, advice_for
from backpack._worker.encoding.encoders import ENCODERS

if TYPE_CHECKING:
    from pathlib import Path


def _found(**verdicts: str) -> list[dict[str, str]]:
    return [{"name": name, "verdict": verdict} for name, verdict in verdicts.items()]


def test_every_encoder_of_the_table_has_a_family() -> None:
    """A row that is added to the table gets its advice, too."""
    assert {name for family in FAMILIES for name in family.encoders} == {
        spec.name for spec in ENCODERS
    }


def test_an_encoder_that_fails_gets_its_familys_advice(tmp_path: Path) -> None:
    """NVENC in a container wants the driver capability `video`."""
    advice = advice_for(_found(nvh264enc="failed", x264enc="works"), tmp_path)

    assert list(advice) == ["NVENC"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in advice["NVENC"]


def test_hardware_without_its_encoder_gets_advice(tmp_path: Path) -> None:
    """GStreamer does not list an encoder whose driver is missing; the device is there still."""
    device = tmp_path / "dev" / "nvidiactl"
    device.parent.mkdir()
    device.touch()

    assert list(advice_for(_found(nvh264enc="missing"), tmp_path)) == ["NVENC"]


def test_nothing_is_said_of_hardware_that_is_absent_or_works(tmp_path: Path) -> None:
    """A machine without a graphics card hears nothing of drivers, nor one whose encoder works."""
    found = _found(nvh264enc="missing", vah264enc="failed", vaapih264enc="works")

    assert advice_for(found, tmp_path) == {}
