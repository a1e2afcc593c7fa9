"""
Send streams to AWS Kinesis Video Streams (KVS): the classes that an application makes.

They are loaded when they are first used: the streaming process, which has a
part of this room too, may run under a Python without numpy.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpack._outputs.kvs.credentials import (
        KVSCredentialsHandler,
        KVSEnvironmentCredentialsHandler,
        KVSFileCredentialsHandler,
        KVSInlineCredentialsHandler,
        KVSIoTCredentialsHandler,
    )
    from backpack._outputs.kvs.output import KVSOutput
    from backpack._outputs.kvs.spyglass import KVSSpyGlass
    from backpack._outputs.kvs.spyglass import KVSSpyGlass as KVSSkyLine  # noqa: F401
    from backpack._outputs.kvs.stats import KVSStats

__all__ = [
    "KVSCredentialsHandler",
    "KVSEnvironmentCredentialsHandler",
    "KVSFileCredentialsHandler",
    "KVSInlineCredentialsHandler",
    "KVSIoTCredentialsHandler",
    "KVSOutput",
    "KVSSpyGlass",
    "KVSStats",
]

_HOMES = {
    "KVSCredentialsHandler": "backpack._outputs.kvs.credentials",
    "KVSEnvironmentCredentialsHandler": "backpack._outputs.kvs.credentials",
    "KVSFileCredentialsHandler": "backpack._outputs.kvs.credentials",
    "KVSInlineCredentialsHandler": "backpack._outputs.kvs.credentials",
    "KVSIoTCredentialsHandler": "backpack._outputs.kvs.credentials",
    "KVSOutput": "backpack._outputs.kvs.output",
    "KVSSpyGlass": "backpack._outputs.kvs.spyglass",
    "KVSStats": "backpack._outputs.kvs.stats",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "KVSSkyLine":
        warnings.warn(  # deprecated in 1.0 - 2026-11-22
            "backpack.kvs.KVSSkyLine is now called backpack.kvs.KVSSpyGlass.",
            DeprecationWarning,
            stacklevel=2,
        )
    elif name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new_name = name.replace("SkyLine", "SpyGlass")
    home = importlib.import_module(_HOMES[new_name])
    # Kept: `from backpack.kvs import KVSSkyLine` asks twice and is warned once.
    found = globals()[name] = getattr(home, new_name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
