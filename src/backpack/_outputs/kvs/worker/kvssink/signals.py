"""
Read the C structures that kvssink's signals point to.

PyGObject gives a signal's pointer no way to be read, so handlers are connected
through GObject's own C function, and what they get is read field by field.
The layouts are those of "Include.h" of AWS's PIC library (FragmentAck version 0;
of StreamMetrics only the head, which is the same in all versions). The
pointers are good while the handler runs, and no longer.
"""

from __future__ import annotations

import ctypes
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_CAPSULE: Final = "__gpointer__"
"""Where PyGObject keeps the pointer (pygobject-object.c)."""

_LONGEST_NUMBER: Final = 128
_KINDS: Final = {1: "buffering", 2: "received", 3: "persisted", 4: "error", 5: "idle"}
_NEWEST_ACK: Final = 0
_NEWEST_METRICS: Final = 9
"""Four are known; a large number would tell that this is not what we take it for."""

# A time in milliseconds since the epoch has 13 digits until the year 2286, one
# in units of 100 ns 17. Which one stands in FragmentAck has not always been the same.
_SURELY_TICKS: Final = 10**15
_TICKS_A_MILLISECOND: Final = 10_000
_TICKS_A_SECOND: Final = 10_000_000


class FragmentAck(ctypes.Structure):
    """See ``struct __FragmentAck``."""

    _fields_: ClassVar = [
        ("version", ctypes.c_uint32),
        ("kind", ctypes.c_int),
        ("timestamp", ctypes.c_uint64),
        ("number", ctypes.c_char * (_LONGEST_NUMBER + 1)),
        ("result", ctypes.c_uint32),
    ]


class StreamMetrics(ctypes.Structure):
    """See ``struct __StreamMetrics``, which a KvsSinkMetric begins with."""

    _fields_: ClassVar = [
        ("version", ctypes.c_uint32),
        ("current_duration", ctypes.c_uint64),
        ("overall_duration", ctypes.c_uint64),
        ("current_size", ctypes.c_uint64),
        ("overall_size", ctypes.c_uint64),
        ("frame_rate", ctypes.c_double),
        ("transfer_rate", ctypes.c_uint64),
    ]


@dataclass(frozen=True)
class Ack:
    """
    What the service says of a fragment.

    Attributes:
        kind: buffering, received, persisted, error or idle.
        timecode_ms: Of the fragment.
        fragment: Its number.
        status: Of an error, as the service numbers them (ErrorId).

    """

    kind: str
    timecode_ms: int
    fragment: str
    status: int


@dataclass(frozen=True)
class Metrics:
    """
    What the SDK measures.

    Attributes:
        buffered_seconds: Video that it keeps.
        buffered_bytes: The same in bytes.
        bytes_a_second: What goes out.

    """

    buffered_seconds: float
    buffered_bytes: int
    bytes_a_second: int


def read_ack(ack: FragmentAck) -> Ack | None:
    """Read an acknowledgement; None where it is none that we know."""
    kind = _KINDS.get(ack.kind)
    if ack.version > _NEWEST_ACK or kind is None:
        return None
    timecode = int(ack.timestamp)
    if timecode >= _SURELY_TICKS:
        timecode //= _TICKS_A_MILLISECOND
    number = ack.number.decode("ascii", "replace")
    return Ack(kind, timecode, number if number.isalnum() else "", int(ack.result))


def read_metrics(metrics: StreamMetrics) -> Metrics | None:
    """Read what was measured; None where it is not what we take it for."""
    if metrics.version > _NEWEST_METRICS:
        return None
    seconds = metrics.overall_duration / _TICKS_A_SECOND
    return Metrics(seconds, int(metrics.overall_size), int(metrics.transfer_rate))


def on_ack(element: object, then: Callable[[Ack], None]) -> object:
    """
    Handle the acknowledgements, on the SDK's own threads.

    Args:
        element: kvssink.
        then: What to do.

    Returns:
        What must be kept as long as the element lives.

    """
    return _connect(element, "fragment-ack", FragmentAck, read_ack, then)


def on_metrics(element: object, then: Callable[[Metrics], None]) -> object:
    """Handle what is measured at each key frame; as `on_ack`."""
    return _connect(element, "stream-client-metric", StreamMetrics, read_metrics, then)


def _connect(
    element: object,
    signal: str,
    layout: type[ctypes.Structure],
    read: Callable[[Any], Any],
    then: Callable[[Any], None],
) -> object:
    def called(_: int | None, pointer: ctypes._Pointer[Any], __: int | None) -> None:
        # Nothing may get out of here: above is C.
        try:
            found = read(pointer.contents) if pointer else None
            if found is not None:
                then(found)
        except Exception:
            logger.exception("kvssink's signal %s could not be read.", signal)

    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(layout), ctypes.c_void_p)
    handler = kind(called)
    library = ctypes.CDLL("libgobject-2.0.so.0")
    connect = library.g_signal_connect_data
    connect.restype = ctypes.c_ulong
    connect.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        kind,
        *[ctypes.c_void_p] * 2,
        ctypes.c_int,
    ]
    if not connect(_address(element), signal.encode(), handler, None, None, 0):
        logger.warning("This kvssink has no signal %s.", signal)
    return handler


def _address(element: object) -> int | None:
    """Return where the GObject behind a Python object lies."""
    unwrap = ctypes.pythonapi.PyCapsule_GetPointer
    unwrap.restype = ctypes.c_void_p
    unwrap.argtypes = [ctypes.py_object, ctypes.c_char_p]
    found = unwrap(getattr(element, _CAPSULE), None)
    return None if found is None else int(found)
