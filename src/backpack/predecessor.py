"""Run what was written for panorama-backpack, or say what to do where that cannot be."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "PIPELINE_HOOKS",
    "USE_LAST_VALUE",
    "check_hooks",
    "lazy_property",
    "repair_command",
    "warn_if_overwritten",
    "warn_of_warmup",
]

USE_LAST_VALUE: Final = -999
"""What `SpyGlass.start_streaming` takes for a value that an earlier start has fixed."""

_HAND_A_SINK: Final = (
    "Hand the part behind the encoder to SpyGlass as GstSink('h264parse ! ...'): docs/porting.md."
)
PIPELINE_HOOKS: Final = {
    "_get_pipeline": f"SpyGlass makes the pipeline up to the encoder by itself. {_HAND_A_SINK}",
    "_open_stream": f"SpyGlass opens no cv2.VideoWriter any more. {_HAND_A_SINK}",
    "_put_frame": "Change the frame before put(), or override put(); see docs/porting.md.",
}
"""Methods that subclasses of panorama-backpack's SkyLine override, and what to do instead."""


def check_hooks(kind: type, hooks: Mapping[str, str]) -> None:
    """
    Refuse a class that overrides what is called by nobody any more.

    Args:
        kind: The class.
        hooks: Names of methods, and what to do instead.

    Raises:
        SettingsError: It overrides one.

    """
    for name, instead in hooks.items():
        if hasattr(kind, name):
            raise SettingsError(f"{kind.__name__}.{name}() would never be called. {instead}")


def warn_of_warmup(kind: type) -> None:
    """Warn where a class sets how many frames are thrown away, as panorama-backpack's did."""
    if "FPS_METER_WARMUP_FRAMES" in kind.__dict__:
        warnings.warn(  # deprecated in 1.0 - 2026-11-27
            f"{kind.__name__}.FPS_METER_WARMUP_FRAMES has no effect: no frame is thrown away.",
            DeprecationWarning,
            stacklevel=3,
        )


def lazy_property(function: Callable[[Any], Any]) -> property:
    """Make a property that is computed once; panorama-backpack's own modules ask for it."""
    name = f"_{function.__name__}"

    @functools.wraps(function)
    def get(instance: Any) -> Any:  # noqa: ANN401 - whatever it is
        if not hasattr(instance, name):
            # Also of a frozen dataclass.
            object.__setattr__(instance, name, function(instance))
        return getattr(instance, name)

    return property(get)


@functools.cache
def warn_if_overwritten() -> None:
    """Warn, once, where panorama-backpack was installed over this package."""
    if not hasattr(sys.modules["backpack"], "HOMES"):
        warnings.warn(
            "panorama-backpack has overwritten or removed backpack-spyglass's first file. "
            f"{repair_command()} mends it; both then work.",
            RuntimeWarning,
            stacklevel=4,
        )


def repair_command() -> str:
    """Return the command that puts this package's files back."""
    import importlib.metadata  # noqa: PLC0415 - takes 20 ms, and is needed by few
    import json  # noqa: PLC0415 - for this sentence only

    source = "backpack-spyglass"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError):
        found = importlib.metadata.distribution(source)
        text = found.read_text("direct_url.json") or "{}"
        url = str(json.loads(text).get("url", ""))
        # Where pip took it from, if that was no index; and if this package is what it put there.
        same = Path(str(found.locate_file("backpack"))).samefile(Path(__file__).parent)
        if same and url.startswith("file:"):
            source = url
    words = [sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", source]
    return shlex.join(words)
