"""
Name everything that can go wrong, as one tree.

::

    BackpackError
    ├── FrameError(ValueError)                 what was put is not a frame
    ├── SettingsError(ValueError)              a rate, size, name or address that cannot be
    ├── StateError(RuntimeError)               called at the wrong time
    ├── MissingDependencyError(ImportError)    a library or element that is not installed
    ├── ShortageError(OSError)                 too few descriptors, threads or memory
    ├── PipelineError(RuntimeError)            GStreamer failed
    │   └── EncoderError                       an encoder failed, or none works
    └── OutputError(RuntimeError)              an output could not be opened or kept open
        └── AddressInUseError(OSError)         another program listens there

A class of its own stands wherever a caller would act differently. Each also
is the builtin that a reader would catch. Weather (a slow viewer, a lost
connection) is counted and logged, and raises none of these.
"""

from __future__ import annotations

__all__ = [
    "AddressInUseError",
    "BackpackError",
    "EncoderError",
    "FrameError",
    "MissingDependencyError",
    "OutputError",
    "PipelineError",
    "SettingsError",
    "ShortageError",
    "StateError",
    "error_from_name",
]


class BackpackError(Exception):
    """Be the base of every error that this package raises."""


class FrameError(BackpackError, ValueError):
    """Say that what was put is not a frame: which property, and what is taken."""


class SettingsError(BackpackError, ValueError):
    """Say that a setting cannot be: which value, and what is allowed."""


class StateError(BackpackError, RuntimeError):
    """Say that a call came at the wrong time: in which state, and which call."""


class MissingDependencyError(BackpackError, ImportError):
    """Say which library or element is missing and how to install it."""


class ShortageError(BackpackError, OSError):
    """Say of what this process may not have enough, and how to raise that limit."""


class PipelineError(BackpackError, RuntimeError):
    """Carry a failure of GStreamer: the element, its message, its debug text."""


class EncoderError(PipelineError):
    """Say that an encoder failed, or that none of them works here."""


class OutputError(BackpackError, RuntimeError):
    """Say which output could not be opened, and why."""


class AddressInUseError(OutputError, OSError):
    """Say that another program listens on the address."""


def _tree(root: type[BackpackError]) -> dict[str, type[BackpackError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def error_from_name(name: str, message: str) -> BackpackError:
    """
    Make the error that another process named.

    Errors cross the border between the two processes as a class name and a
    message; a name that this side does not know becomes an `OutputError`.

    """
    return _tree(BackpackError).get(name, OutputError)(message)
