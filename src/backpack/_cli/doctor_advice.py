"""Advice for an encoder that does not work though its hardware is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Family:
    """
    Encoders that stand on the same driver.

    Attributes:
        name: What people call it.
        encoders: Names of the elements.
        devices: Files that are there where the hardware is, as patterns.
        advice: What to look at.

    """

    name: str
    encoders: tuple[str, ...]
    devices: tuple[str, ...]
    advice: str


FAMILIES: Final[tuple[Family, ...]] = (
    Family(
        "NVIDIA Jetson",
        ("nvv4l2h264enc",),
        ("/etc/nv_tegra_release", "/dev/nvhost-msenc", "/dev/v4l2-nvenc"),
        "In a container, run it with `--runtime nvidia`. Outside, install nvidia-l4t-gstreamer. "
        "The Orin Nano has no encoder.",
    ),
    Family(
        "NVENC",
        ("nvh264enc", "nvcudah264enc"),
        ("/dev/nvidiactl",),
        "In a container, the driver capability `video` is needed: run it with `--gpus all -e "
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video`. Outside, libnvidia-encode of the "
        "driver's own version is needed (libnvidia-encode-NNN; see nvidia-smi). Consumer cards "
        "encode only a few streams at a time. After a change: rm -r ~/.cache/gstreamer-1.0",
    ),
    Family(
        "VA-API and Quick Sync",
        ("vah264enc", "vah264lpenc", "vaapih264enc", "qsvh264enc"),
        ("/dev/dri/renderD*",),
        "The user needs the group `render` (sudo usermod -aG render $USER), a container needs "
        "`--device /dev/dri`. Drivers: intel-media-va-driver-non-free for Intel, "
        "mesa-va-drivers for AMD; `vainfo` shows whether they encode H.264.",
    ),
    Family(
        "V4L2",
        ("v4l2h264enc",),
        ("/dev/video11",),
        "The user needs the group `video`, a container needs `--device /dev/video11`. "
        "The Raspberry Pi 5 has no encoder.",
    ),
    Family(
        "Rockchip",
        ("mpph264enc",),
        ("/dev/mpp_service",),
        "The user needs access to /dev/mpp_service and /dev/dma_heap, and the board maker's "
        "gstreamer-rockchip.",
    ),
    Family(
        "VideoToolbox",
        ("vtenc_h264_hw",),
        (),
        "It needs GStreamer's own packages for macOS, and a session on the Mac itself.",
    ),
    Family(
        "software",
        ("x264enc", "openh264enc"),
        (),
        "It needs nothing but its package: reinstall gstreamer1.0-plugins-ugly (x264enc) or "
        "gstreamer1.0-plugins-bad (openh264enc).",
    ),
)


def advice_for(encoders: Sequence[dict[str, Any]], root: Path = Path("/")) -> dict[str, str]:
    """
    Return advice on families of which nothing works though something is there.

    Args:
        encoders: What the probe has found of each.
        root: Where the machine's files are.

    Returns:
        Name of the family → what to look at.

    """
    verdicts = {encoder["name"]: encoder["verdict"] for encoder in encoders}
    advice = {}
    for family in FAMILIES:
        found = [verdicts.get(name, "missing") for name in family.encoders]
        if "works" in found:
            continue
        # GStreamer does not even list an encoder whose driver it cannot load.
        is_there = any(
            next(root.glob(device.lstrip("/")), None) is not None for device in family.devices
        )
        if "failed" in found or is_there:
            advice[family.name] = family.advice
    return advice
