"""AWS Kinesis Video Streams (KVS): streams to it, and the credentials for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._app.predecessor import deprecated_name
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.handlers import (
    KVSCredentialsHandler,
    KVSEnvironmentCredentialsHandler,
    KVSFileCredentialsHandler,
    KVSInlineCredentialsHandler,
)
from backpack._outputs.kvs.credentials.iot import KVSIoTCredentialsHandler
from backpack._outputs.kvs.spyglass import KVSSpyGlass
from backpack._outputs.kvs.stats import KVSStats

if TYPE_CHECKING:
    from backpack._outputs.kvs.spyglass import KVSSpyGlass as KVSSkyLine  # noqa: F401

__all__ = [
    "Credentials",
    "KVSCredentialsHandler",
    "KVSEnvironmentCredentialsHandler",
    "KVSFileCredentialsHandler",
    "KVSInlineCredentialsHandler",
    "KVSIoTCredentialsHandler",
    "KVSSpyGlass",
    "KVSStats",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name != "KVSSkyLine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept: `from backpack.kvs import KVSSkyLine` asks twice and is warned once.
    found = globals()[name] = deprecated_name(f"{__name__}.{name}", KVSSpyGlass)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
