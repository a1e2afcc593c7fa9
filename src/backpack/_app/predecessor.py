"""Run what was written for panorama-backpack, or say what to do where that cannot be."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from backpack.errors import SettingsError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

USE_LAST_VALUE: Final = -999
"""What `SpyGlass.start_streaming` takes for a value that an earlier start has fixed."""

_HAND_A_SINK: Final = (
    "Hand the part behind the encoder to SpyGlass as GstSink('h264parse ! ...'): docs/porting.md."
)
_NO_PIPELINE: Final = f"SpyGlass makes the pipeline up to the encoder by itself. {_HAND_A_SINK}"
_NO_WRITER: Final = f"SpyGlass opens no cv2.VideoWriter any more. {_HAND_A_SINK}"
_NO_WARMUP: Final = "No frame is thrown away to measure the rate: give start_streaming(fps=...)."
_NO_ENVIRONMENT: Final = (
    "GStreamer runs in a process of its own: set its variables before the application starts, "
    "and ask `spyglass doctor` what is missing."
)
_NO_LOOPBACK: Final = "Frames do not go through UDP ports of this machine any more."
_BY_THEMSELVES: Final = "Credentials are renewed by themselves."
_GIVE_THEM: Final = "Override get_credentials(), and return the credentials from there."


class _Table(NamedTuple):
    """
    Names of a class that are gone, each with what to do instead.

    Attributes:
        hooks: Methods that nobody calls any more. Overriding one is an error.
        constants: Settings that have no effect any more. Setting one warns.
        attributes: What could be read or assigned.

    """

    hooks: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    attributes: Mapping[str, str] = {}


def deprecated_name(old: str, new: type) -> type:
    """Return what a name stands for that was given up, with a warning at the caller's caller."""
    module, _, _ = old.rpartition(".")
    warnings.warn(  # deprecated in 1.0 - 2026-11-22
        f"{old} is now called {module}.{new.__name__}.", DeprecationWarning, stacklevel=3
    )
    return new


PIPELINE: Final = _Table(
    hooks={
        "_get_pipeline": _NO_PIPELINE,
        "_get_server_pipeline": _NO_PIPELINE,
        "_open_stream": _NO_WRITER,
        "_try_open_stream": _NO_WRITER,
        "_close_stream": _NO_WRITER,
        "_put_frame": "Change the frame before put(), or override put().",
        "_start_warmup": _NO_WARMUP,
        "_finish_warmup": _NO_WARMUP,
        "_config_env": _NO_ENVIRONMENT,
        "_check_env": _NO_ENVIRONMENT,
        "_check_gst_plugin": _NO_ENVIRONMENT,
        "_frame_log": "What is logged is in docs/porting.md; stats() tells the numbers.",
    },
    constants={
        "FPS_METER_WARMUP_FRAMES": "no frame is thrown away",
        "LOCALHOST": "frames do not go through UDP ports of this machine",
        "last_loopback_port": "frames do not go through UDP ports of this machine",
    },
    attributes={
        "LOCALHOST": _NO_LOOPBACK,
        "loopback_port": _NO_LOOPBACK,
        "last_loopback_port": _NO_LOOPBACK,
        "state": "It follows from start_streaming(), stop_streaming() and what happens to them.",
        "video_fps": "Give it to start_streaming(fps=...).",
        "video_width": "Give it to start_streaming(width=...).",
        "video_height": "Give it to start_streaming(height=...).",
    },
)
"""Of `SkyLine` and those that derive from it."""

RTSP_SERVER: Final = _Table(
    attributes={"gst_server": "It runs in the streaming process. add_stream() serves a pipeline."}
)
"""Of its `RTSPServer`."""

HANDLER: Final = _Table(
    hooks={
        "_save_credentials": _GIVE_THEM,
        "plugin_config": _GIVE_THEM,
        "plugin_config_mask": _GIVE_THEM,
        "_refresh": _GIVE_THEM,
    },
    constants={
        "REFRESH_BEFORE_EXPIRATION": "credentials are renewed by themselves",
        "FILE_REFRESH_GRACE_PERIOD": "the file is rewritten minutes before they run out",
    },
    attributes={
        "credentials": "get_credentials() gives them.",
        "session": "Give one of boto3 as session=, and keep it.",
        "caller_arn": "`spyglass kvs check` tells it.",
        "schedule": _BY_THEMSELVES,
        "next_update": _BY_THEMSELVES,
    },
)
"""Of its `KVSCredentialsHandler` and those that derive from it."""

MODULES: Final = ("annotation", "autoidentity", "config", "cwadapter", "geometry", "timepiece")
"""Modules of panorama-backpack that are none of ours."""


class OldNames:
    """
    Say what to do to who uses a name that only panorama-backpack's class of this name had.

    Raises:
        SettingsError: A subclass overrides what is called by nobody any more.

    """

    _old_names: ClassVar[_Table] = _Table()

    def __init__(self) -> None:
        kind = type(self)
        for name, instead in self._old_names.hooks.items():
            if hasattr(kind, name):
                raise SettingsError(f"{kind.__name__}.{name}() would never be called. {instead}")
        for name, why in self._old_names.constants.items():
            # Ours stands where it had to stay: as 0.
            if getattr(kind, name, 0) != 0:
                _warn(f"{kind.__name__}.{name} has no effect: {why}.")

    if not TYPE_CHECKING:  # else every name would pass

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            if hasattr(type(self), name):
                return super().__getattribute__(name)  # raises what a property has raised
            raise AttributeError(self._explain(name, "has no attribute"), name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        try:
            super().__setattr__(name, value)
        except AttributeError:
            if name not in self._old_names.attributes:
                raise
            raise AttributeError(
                self._explain(name, "does not take a value for"), name=name, obj=self
            ) from None

    def _explain(self, name: str, what: str) -> str:
        table = self._old_names
        instead = table.attributes.get(name) or table.hooks.get(name) or ""
        return f"{type(self).__name__!r} object {what} {name!r}. {instead}".rstrip(". ") + (
            "." if instead else ""
        )


def tell_unused(logger: logging.Logger, name: str, why: str) -> None:
    """Log that an argument was given that is not used: nothing is lacking, so it is no warning."""
    logger.info("%s is not used: %s.", name, why)


def _warn(text: str) -> None:
    """Warn at the line of the application that called us, however deep it did."""
    level, frame = 2, sys._getframe(1)  # noqa: SLF001 - warnings' skip_file_prefixes is of 3.12
    ours = str(Path(__file__).parents[1])
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, DeprecationWarning, stacklevel=level)  # deprecated in 1.0 - 2026-11-27


def missing_module(name: str) -> ModuleNotFoundError:
    """Make the error for a module that panorama-backpack had and we have not."""
    return ModuleNotFoundError(
        f"No module named {name!r}. It is panorama-backpack's: install that beside "
        f"backpack-spyglass, without what it asks for, and this one last: {sys.executable} -m pip "
        f"install --no-deps panorama-backpack==0.3.2 && {repair_command()}",
        name=name,
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
    if not hasattr(sys.modules["backpack"], "_HOMES"):
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
        same = Path(str(found.locate_file("backpack"))).samefile(Path(__file__).parents[1])
        if same and url.startswith("file:"):
            source = url
    words = [sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", source]
    return shlex.join(words)
