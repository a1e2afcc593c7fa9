"""Write the environment of the child that kvssink runs in, the only one that gets the `.env`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backpack._outputs.kvs.shared.dotenv import LIBRARY_PATH, PLUGIN_PATH, PRELOAD
from backpack._outputs.kvs.shared.proxy import Route, environment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backpack._outputs.kvs.shared.dotenv import DotEnv
    from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings

_REGISTRY: Final = "GST_REGISTRY"
# They beat kvssink's properties, and so the settings.
_BEATING: Final = ("CONTROL_PLANE_URI", "KVSSINK_CA_CERT_PATH")


def child_environment(
    environ: Mapping[str, str], settings: SinkSettings, dotenv: DotEnv | None
) -> dict[str, str]:
    """
    Write the child's environment.

    Args:
        environ: The streaming process's.
        settings: What is streamed.
        dotenv: What the `.env` says. None: there is none.

    """
    changed = element_environment(environ, dotenv, library_path=settings.library_path)
    changed = {
        name: value
        for name, value in changed.items()
        if not name.startswith("AWS_") and name not in _BEATING
    }
    changed["AWS_DEFAULT_REGION"] = settings.region
    # Its curl reads them.
    changed |= environment_of(Route(settings.proxy_url, settings.proxy_exceptions))
    if settings.control_endpoint is not None:
        changed["CONTROL_PLANE_URI"] = settings.control_endpoint
    if settings.ca_bundle is not None:
        changed["KVSSINK_CA_CERT_PATH"] = settings.ca_bundle
    return changed


def element_environment(
    environ: Mapping[str, str], dotenv: DotEnv | None, *, library_path: str | None = None
) -> dict[str, str]:
    """Write what is needed to load kvssink."""
    changed = dict(environ)
    if library_path:
        changed[LIBRARY_PATH] = library_path
    if dotenv is not None:
        changed = dotenv.applied_to(changed)
    changed[_REGISTRY] = _registry(changed)
    return changed


def _registry(environ: Mapping[str, str]) -> str:
    """
    Name a registry file of GStreamer for these folders alone.

    In the common one, a plugin that could not be loaded once, since
    LD_LIBRARY_PATH was missing, is blacklisted until its file changes; and
    processes with different GST_PLUGIN_PATHs write it anew again and again.
    """
    key = "\0".join(environ.get(name, "") for name in (PLUGIN_PATH, LIBRARY_PATH, PRELOAD))
    suffix = hashlib.sha256(key.encode()).hexdigest()[:16]
    common = environ.get(_REGISTRY)
    if common:
        return f"{common}.kvssink-{suffix}"
    cache = environ.get("XDG_CACHE_HOME") or os.fspath(Path(environ.get("HOME") or "/") / ".cache")
    return os.fspath(Path(cache) / "gstreamer-1.0" / f"kvssink-{os.uname().machine}-{suffix}.bin")
