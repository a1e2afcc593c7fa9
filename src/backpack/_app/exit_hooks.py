"""What every SpyGlass does when its process ends, or is forked."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING

# First, since it registers the end of the streaming process: of what is called at the exit
# the last that was registered comes first.
import backpack._app.shared_supervisor  # noqa: F401

if TYPE_CHECKING:
    from backpack._app.spyglass import SpyGlass

_instances: weakref.WeakSet[SpyGlass] = weakref.WeakSet()


def add(instance: SpyGlass) -> None:
    """Call a SpyGlass at exits and forks from now on, for as long as it lives."""
    _instances.add(instance)


def _at_exit() -> None:
    for instance in list(_instances):
        instance._on_exit()  # noqa: SLF001 - of this room


def _after_fork_in_child() -> None:
    for instance in list(_instances):
        instance._become_forked_copy()  # noqa: SLF001 - of this room


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
