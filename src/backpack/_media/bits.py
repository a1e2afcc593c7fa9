"""Read and write single bits and Exp-Golomb numbers, as H.264 uses them (clause 9.1)."""

from __future__ import annotations


class BitReader:
    """
    Read bits from the front of some bytes.

    Raises:
        ValueError: From every method, when the bytes end too early.

    """

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self._length = len(data) * 8
        # How many bits have been read.
        self.position = 0

    def bits(self, count: int) -> int:
        """Read ``count`` bits as one number."""
        end = self.position + count
        if end > self._length:
            raise ValueError("The H.264 data ends too early.")
        self.position = end
        return self._number >> (self._length - end) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.bits(1) == 1

    def unsigned(self) -> int:
        """Read an Exp-Golomb number, ``ue(v)`` in the standard."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Read a signed Exp-Golomb number, ``se(v)`` in the standard."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)


class BitWriter:
    """Gather bits into bytes."""

    def __init__(self) -> None:
        self._number = 0
        self._length = 0

    def bits(self, value: int, count: int) -> None:
        """Append ``count`` bits."""
        self._number = self._number << count | value
        self._length += count

    def unsigned(self, value: int) -> None:
        """Append an Exp-Golomb number."""
        self.bits(value + 1, (value + 1).bit_length() * 2 - 1)

    def finish(self) -> bytes:
        """Append the stop bit, pad to whole bytes (clause 7.3.2.11) and give them."""
        self.bits(1, 1)
        padding = -self._length % 8
        return (self._number << padding).to_bytes((self._length + padding) // 8, "big")
