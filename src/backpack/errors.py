"""
Everything that can go wrong, as one tree of exceptions.

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
        ├── AddressInUseError(OSError)         another program listens there
        ├── CredentialsError                   no AWS credentials were found
        └── SigningError                       a request to AWS could not be signed

There is a separate class wherever a caller would act differently. Each class also
inherits the builtin exception that a caller would expect. A slow viewer or a lost
connection is counted and logged, and raises none of these.
"""

from __future__ import annotations

__all__ = [
    "AddressInUseError",
    "BackpackError",
    "CredentialsError",
    "EncoderError",
    "FrameError",
    "MissingDependencyError",
    "OutputError",
    "PipelineError",
    "SettingsError",
    "ShortageError",
    "SigningError",
    "StateError",
]


class BackpackError(Exception):
    """Base class of all errors raised by this package."""


class FrameError(BackpackError, ValueError):
    """What was put is not a frame. Names the property that is wrong, and what is accepted."""


class SettingsError(BackpackError, ValueError):
    """A setting is invalid. Names the value, and what is allowed."""


class StateError(BackpackError, RuntimeError):
    """A method was called in a state that does not allow it. Names both."""


class MissingDependencyError(BackpackError, ImportError):
    """A library or GStreamer element is missing. Says how to install it."""


class ShortageError(BackpackError, OSError):
    """The process may not have enough descriptors, threads or memory. Says which limit to raise."""


class PipelineError(BackpackError, RuntimeError):
    """GStreamer failed. Holds the element, its message and its debug text."""


class EncoderError(PipelineError):
    """An encoder failed, or none works on this machine."""


class OutputError(BackpackError, RuntimeError):
    """An output could not be opened or kept open. Names the output and the reason."""


class AddressInUseError(OutputError, OSError):
    """Another program listens on the address."""


class CredentialsError(OutputError):
    """No AWS credentials were found, or they are invalid. Says what to do."""


class SigningError(OutputError):
    """A request to AWS could not be signed."""


def _tree(root: type[BackpackError]) -> dict[str, type[BackpackError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def error_from_name(name: str, message: str) -> BackpackError:
    """
    Return the error that the other process named.

    Errors are sent between the two processes as a class name and a message; an
    unknown name becomes an `OutputError`.

    """
    return _tree(BackpackError).get(name, OutputError)(message)
