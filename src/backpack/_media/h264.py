"""
Look into H.264 access units, and describe their colours and their rate.

An encoder that writes no colour description leaves players to guess, and from
720 lines on they guess BT.709: every colour is off. One that claims a fixed rate
makes recorders play at that rate, whatever the pictures' times say. So what
encoders write about both is replaced. Clauses are those of ITU-T H.264.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from backpack._media.bits import BitReader, BitWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLICE: Final = 1
_IDR: Final = 5
_SPS: Final = 7

COLOUR: Final = (1, 1, 6)
"""
BT.709 as primaries and transfer, BT.601 as matrix (tables E-3 to E-5).

Frames are sRGB, whose primaries are those of BT.709, and whose transfer players treat as that of
BT.709. Only the matrix is what they were converted with.
"""

_UNSPECIFIED_FORMAT: Final = 5
_EXTENDED_ASPECT: Final = 255

# Profiles whose parameter sets tell the chroma format (clause 7.3.2.1.1).
_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})

_START: Final = b"\x00\x00\x01"


@dataclass(frozen=True)
class Sps:
    """
    What a sequence parameter set says, as far as it is needed here.

    Attributes:
        profile: 66 is baseline, 77 main, 100 high.
        width: Of the picture that is shown.
        height: Of the picture that is shown.
        colour: Primaries, transfer and matrix, None if it does not say.
        full_range: Whether luma goes from 0 to 255.
        rate: Pictures a second, None if it does not say.
        has_fixed_rate: Whether it claims that all pictures are equally far apart.

    """

    profile: int
    width: int
    height: int
    colour: tuple[int, int, int] | None
    full_range: bool
    rate: Fraction | None = None
    has_fixed_rate: bool = False


def _nal_units(data: bytes, *, only_headers: bool) -> Iterator[tuple[int, int]]:
    """
    Return begin and end of each NAL unit (annex B).

    With ``only_headers`` the search ends at the first slice: what follows is
    nearly all of the data and holds no parameter sets.
    """
    begin = data.find(_START) + len(_START)
    while begin >= len(_START):
        if only_headers and data[begin] & 31 in (_SLICE, _IDR):
            return
        following = data.find(_START, begin)
        end = len(data) if following < 0 else following
        yield begin, begin + len(data[begin:end].rstrip(b"\x00"))
        begin = following + len(_START)


def nal_types(data: bytes) -> list[int]:
    """List the types of the NAL units in an access unit (table 7-1)."""
    return [data[begin] & 31 for begin, _ in _nal_units(data, only_headers=False)]


def has_b_slices(data: bytes) -> bool:
    """Return whether a picture refers to later ones, which costs its length in latency."""
    for begin, _ in _nal_units(data, only_headers=False):
        if data[begin] & 31 in (_SLICE, _IDR):
            reader = BitReader(_unescape(data[begin + 1 : begin + 16]))
            reader.unsigned()  # first_mb_in_slice
            if reader.unsigned() in (1, 6):
                return True
    return False


def read_sps(data: bytes) -> Sps | None:
    """
    Read the first sequence parameter set of an access unit, None if it has none.

    Raises:
        ValueError: It is broken.

    """
    for begin, end in _nal_units(data, only_headers=True):
        if data[begin] & 31 == _SPS:
            return _Parser(data[begin:end]).sps
    return None


class ParameterSetWriter:
    """
    Replace what encoders write about colours and rate.

    Used by one thread. What was done to a parameter set is remembered: they
    rarely differ from one key frame to the next.

    Args:
        rate: Pictures a second that the application has promised. None: it has
            promised none, and none is written.

    """

    def __init__(self, rate: Fraction | None = None) -> None:
        self._rate = rate
        self._known: dict[bytes, bytes] = {}

    def describe(self, data: bytes) -> bytes:
        """
        Return a key frame whose parameter set says `COLOUR`, limited range, and the rate.

        The rate is never claimed to be fixed.

        Raises:
            ValueError: Its parameter set is broken.

        """
        for begin, end in _nal_units(data, only_headers=True):
            if data[begin] & 31 == _SPS:
                nal = data[begin:end]
                described = self._known.get(nal)
                if described is None:
                    described = nal[:1] + _escape(_Parser(nal).described(self._rate))
                    self._known = {nal: described}
                if described != nal:
                    return data[:begin] + described + data[end:]
        return data


class _Parser:
    """Read a sequence parameter set (clause 7.3.2.1.1) and note where colours and rate stand."""

    def __init__(self, nal: bytes) -> None:
        self._payload = _unescape(nal[1:])
        reader = self._reader = BitReader(self._payload)
        profile = reader.bits(8)
        reader.bits(16)  # constraint flags, level
        reader.unsigned()  # seq_parameter_set_id
        chroma_format = self._read_chroma_format() if profile in _HIGH_PROFILES else 1
        reader.unsigned()  # log2_max_frame_num_minus4
        self._skip_order_count()
        self._most_references = reader.unsigned()
        reader.flag()  # gaps_in_frame_num_value_allowed_flag
        width = (reader.unsigned() + 1) * 16
        height = (reader.unsigned() + 1) * 16
        frames_only = reader.flag()
        if not frames_only:
            height *= 2
            reader.flag()  # mb_adaptive_frame_field_flag
        reader.flag()  # direct_8x8_inference_flag
        if reader.flag():  # frame_cropping_flag
            left, right, top, bottom = (reader.unsigned() for _ in range(4))
            x_unit = 1 if chroma_format in (0, 3) else 2
            y_unit = (2 if chroma_format == 1 else 1) * (1 if frames_only else 2)
            width -= (left + right) * x_unit
            height -= (top + bottom) * y_unit
        # Bits before vui_parameters_present_flag.
        self._before_vui = reader.position
        self._has_vui = reader.flag()
        described = self._read_vui() if self._has_vui else (None, False, None, False)
        self.sps = Sps(profile, width, height, *described)

    def _read_chroma_format(self) -> int:
        reader = self._reader
        chroma_format = reader.unsigned()
        if chroma_format == 3:  # noqa: PLR2004 - 4:4:4
            reader.flag()
        reader.unsigned()
        reader.unsigned()
        reader.flag()
        if reader.flag():
            raise ValueError("Scaling matrices in a parameter set are not read.")
        return chroma_format

    def _skip_order_count(self) -> None:
        reader = self._reader
        kind = reader.unsigned()  # pic_order_cnt_type
        if kind == 0:
            reader.unsigned()
        elif kind == 1:
            reader.flag()
            reader.signed()
            reader.signed()
            for _ in range(reader.unsigned()):
                reader.signed()

    def _read_vui(self) -> tuple[tuple[int, int, int] | None, bool, Fraction | None, bool]:
        """Read the beginning of the usability information (clause E.1.1)."""
        reader = self._reader
        if reader.flag() and reader.bits(8) == _EXTENDED_ASPECT:
            reader.bits(32)
        if reader.flag():  # overscan_info_present_flag
            reader.flag()
        self._before_colour = reader.position
        colour, full_range = None, False
        if reader.flag():  # video_signal_type_present_flag
            reader.bits(3)
            full_range = reader.flag()
            if reader.flag():
                colour = (reader.bits(8), reader.bits(8), reader.bits(8))
        self._after_colour = reader.position
        if reader.flag():  # chroma_loc_info_present_flag
            reader.unsigned()
            reader.unsigned()
        self._before_timing = reader.position
        rate, has_fixed_rate = None, False
        if reader.flag():  # timing_info_present_flag
            tick, scale, has_fixed_rate = reader.bits(32), reader.bits(32), reader.flag()
            # Two ticks a picture, for its two fields.
            rate = Fraction(scale, 2 * tick) if tick else None
        self._after_timing = reader.position
        return colour, full_range, rate, has_fixed_rate

    def described(self, rate: Fraction | None) -> bytes:
        """Return the parameter set with our colours and that rate in it."""
        writer = BitWriter()
        if self._has_vui:
            self._copy(writer, 0, self._before_colour)
            _write_colour(writer)
            self._copy(writer, self._after_colour, self._before_timing)
            _write_rate(writer, rate)
            self._copy(writer, self._after_timing, self._end())
        else:
            self._copy(writer, 0, self._before_vui)
            writer.bits(0b100, 3)  # there is usability information; no aspect, no overscan
            _write_colour(writer)
            writer.bits(0, 1)  # no chroma location
            _write_rate(writer, rate)
            self._write_no_reordering(writer)
        return writer.finish()

    def _write_no_reordering(self, writer: BitWriter) -> None:
        # No HRD or structure; bitstream_restriction. Saying that nothing is
        # reordered keeps decoders from waiting for it.
        writer.bits(0b0001, 4)
        writer.bits(1, 1)
        for value in (0, 0, 16, 16, 0, self._most_references):
            writer.unsigned(value)

    def _copy(self, writer: BitWriter, begin: int, end: int) -> None:
        reader = BitReader(self._payload)
        reader.bits(begin)
        writer.bits(reader.bits(end - begin), end - begin)

    def _end(self) -> int:
        """Find the stop bit, the last one that is set."""
        number = int.from_bytes(self._payload, "big")
        return len(self._payload) * 8 - (number & -number).bit_length()


def _write_colour(writer: BitWriter) -> None:
    writer.bits(1, 1)
    writer.bits(_UNSPECIFIED_FORMAT, 3)
    writer.bits(0b01, 2)  # limited range; a description follows
    for code in COLOUR:
        writer.bits(code, 8)


def _write_rate(writer: BitWriter, rate: Fraction | None) -> None:
    writer.bits(rate is not None, 1)
    if rate is not None:
        writer.bits(rate.denominator, 32)
        writer.bits(2 * rate.numerator, 32)
        writer.bits(0, 1)  # not fixed


def _unescape(data: bytes) -> bytes:
    """Take out what keeps start codes from appearing by chance (clause 7.4.1.1)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def _escape(data: bytes) -> bytes:
    result = bytearray()
    for byte in data:
        if byte <= 3 and result.endswith(b"\x00\x00"):  # noqa: PLR2004 - clause 7.4.1.1
            result.append(3)
        result.append(byte)
    return bytes(result)
