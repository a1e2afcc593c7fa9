"""Write what is known of a picture beside it, where every H.264 decoder passes it over."""

from __future__ import annotations

from typing import Final

SEI_UUID: Final = bytes.fromhex("412466203f8152c391816bdb597cc2f0")
"""Says that what follows is ours: 41246620-3f81-52c3-9181-6bdb597cc2f0 (docs/rtsp.md)."""

REPEAT: Final = b'{"repeat":true}'
"""The picture shows a frame again, or the placeholder: it was made for viewers."""

_START: Final = b"\x00\x00\x01"
_SLICES: Final = (1, 5)
_SEI: Final = 6
_USER_DATA_UNREGISTERED: Final = 5
_LONGEST: Final = 254


def with_user_data(data: bytes, text: bytes) -> bytes:
    """
    Return an access unit with a message before its first slice.

    The message is an SEI of the kind ``user_data_unregistered`` (ITU-T H.264, clause
    D.1.7), with `SEI_UUID`.

    Args:
        data: The access unit, in Annex B form.
        text: JSON in ASCII, so that nothing in it can be taken for a start code;
            at most 238 bytes.

    """
    payload = SEI_UUID + text
    if len(payload) > _LONGEST:
        raise ValueError(f"The message has {len(text)} bytes; 238 are the most.")
    begin = data.find(_START)
    while begin >= 0 and data[begin + 3] & 31 not in _SLICES:
        begin = data.find(_START, begin + 3)
    if begin < 0:
        return data
    if begin and not data[begin - 1]:
        # A start code may have four bytes.
        begin -= 1
    message = bytes([_SEI, _USER_DATA_UNREGISTERED, len(payload)]) + payload + b"\x80"
    return data[:begin] + b"\x00" + _START + message + data[begin:]
