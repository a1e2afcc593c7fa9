"""Read Matroska element by element, and take nothing that AWS's own producer would not write."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Block",
    "ClusterBegun",
    "Element",
    "EndOfFragment",
    "Event",
    "Metadata",
    "MkvError",
    "MkvReader",
    "TrackInfo",
    "Tracks",
    "elements",
]

EBML, SEGMENT, INFO, TRACKS = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B
TRACK_ENTRY, VIDEO, AUDIO = 0xAE, 0xE0, 0xE1
CLUSTER, TIMECODE, POSITION, SIMPLE_BLOCK = 0x1F43B675, 0xE7, 0xA7, 0xA3
TAGS, TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
MASTERS = {EBML, INFO, TRACKS, TRACK_ENTRY, VIDEO, AUDIO, TAGS, TAG, SIMPLE_TAG}

END_OF_FRAGMENT = "AWS_KINESISVIDEO_END_OF_FRAGMENT"
LARGEST_BLOCK = 50 * 1000 * 1000
LARGEST_HEADER = 2 * 1024 * 1024


class MkvError(Exception):
    """The data is not what KVS takes: where, and what."""


@dataclass
class Element:
    """
    One element.

    Attributes:
        id: With its marker bits.
        size: Bytes of the payload. None: unknown.
        width: Bytes of the size field.
        payload: Empty for masters, which have children.
        children: Of a master.

    """

    id: int
    size: int | None
    width: int
    payload: bytes
    children: list[Element]

    @property
    def number(self) -> int:
        """Read the payload as an unsigned number."""
        return int.from_bytes(self.payload, "big")


@dataclass
class TrackInfo:
    """What a TrackEntry says."""

    number: int
    kind: int
    codec: str
    codec_private: bytes
    width: int = 0
    height: int = 0


@dataclass
class Tracks:
    """The header is complete."""

    tracks: dict[int, TrackInfo]
    segment_uid: bytes
    header: bytes


@dataclass
class ClusterBegun:
    """A fragment begins."""

    timecode: int


@dataclass
class Block:
    """One frame."""

    track: int
    relative: int
    key: bool
    payload: bytes


@dataclass
class Metadata:
    """Tags before a cluster."""

    pairs: list[tuple[str, str]]


@dataclass
class EndOfFragment:
    """The tag that completes a fragment."""


Event = Tracks | ClusterBegun | Block | Metadata | EndOfFragment

# What must stand in a master, in this order; for Info with the lowest and the
# highest size.
_EBML_ORDER = (0x4286, 0x42F7, 0x42F2, 0x42F3)
_INFO_ORDER = (
    (0x73A4, 16, 16),
    (0x2AD7B1, 1, 8),
    (0x7BA9, 1, 255),
    (0x4D80, 1, 255),
    (0x5741, 1, 255),
)


def _head(data: bytes | bytearray, at: int) -> tuple[int, int | None, int, int] | None:
    """Read id, size, the size's width and where the payload begins; None: not all is there."""
    if at >= len(data):
        return None
    id_width = 9 - data[at].bit_length()
    if id_width > 4:
        raise MkvError(f"byte {data[at]:#04x} begins no element")
    if at + id_width >= len(data):
        return None
    first = data[at + id_width]
    width = 9 - first.bit_length()
    if width > 8:
        raise MkvError("a size field of more than 8 bytes")
    end = at + id_width + width
    if end > len(data):
        return None
    value = int.from_bytes(data[at + id_width : end], "big") & ((1 << 7 * width) - 1)
    size = None if value == (1 << 7 * width) - 1 else value
    return int.from_bytes(data[at : at + id_width], "big"), size, width, end


def elements(data: bytes) -> list[Element]:
    """Take data apart completely; children of Segment and Cluster follow them in the list."""
    found, at = [], 0
    while at < len(data):
        head = _head(data, at)
        if head is None:
            raise MkvError(f"an element is cut off at {at}")
        number, size, width, begin = head
        if size is None:
            found.append(Element(number, None, width, b"", []))
            at = begin
            continue
        at = begin + size
        if at > len(data):
            raise MkvError(f"element {number:#x} is longer than what it stands in")
        payload = data[begin:at]
        children = elements(payload) if number in MASTERS else []
        found.append(Element(number, size, width, b"" if children else payload, children))
    return found


class MkvReader:
    """
    Turn a body into events, as it comes.

    Raises:
        MkvError: From `feed`, as soon as something is seen that AWS's own
            producer would not have written.

    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._header = bytearray()
        # What may come next.
        self._place = "EBML"
        self._tracks: dict[int, TrackInfo] = {}
        self._segment_uid = b""
        self._last_relative = -1
        self._clusters = 0

    @property
    def inside(self) -> bool:
        """Tell whether a fragment is open, or an element is cut off."""
        return bool(self._data) or self._place in ("timecode", "position", "block", "blocks")

    def feed(self, data: bytes) -> list[Event]:
        """Take some bytes, and give what they complete."""
        self._data += data
        events: list[Event] = []
        at = 0
        while (head := _head(self._data, at)) is not None:
            number, size, width, begin = head
            if size is None:
                if number not in (SEGMENT, CLUSTER) or width != 1:
                    raise MkvError(f"element {number:#x} of unknown size, {width} bytes wide")
                end = begin
            else:
                limit = LARGEST_BLOCK if number == SIMPLE_BLOCK else LARGEST_HEADER
                if size > limit:
                    raise MkvError(f"element {number:#x} of {size} bytes")
                end = begin + size
                if end > len(self._data):
                    break
            events += self._element(number, size, width, bytes(self._data[begin:end]))
            if self._place in ("Segment", "Info", "Tracks", "first"):
                self._header += self._data[at:end]
                if self._place == "first":
                    self._place = "cluster"
                    events.append(Tracks(self._tracks, self._segment_uid, bytes(self._header)))
            at = end
        del self._data[:at]
        return events

    def _element(self, number: int, size: int | None, width: int, payload: bytes) -> list[Event]:
        place = self._place
        if place in ("EBML", "Segment", "Info", "Tracks"):
            self._header_element(number, size, payload)
            return []
        if number in (EBML, SEGMENT, INFO, TRACKS):
            raise MkvError(f"a second header: element {number:#x} after the first cluster")
        if number == CLUSTER:
            if place not in ("cluster", "blocks"):
                raise MkvError(f"a cluster where {place} is due")
            if size is not None:
                raise MkvError("a cluster of known size")
            self._place, self._last_relative = "timecode", -1
            return []
        if number == TAGS and place in ("cluster", "blocks"):
            return self._tags(payload, width)
        return self._cluster_element(number, width, payload)

    def _header_element(self, number: int, size: int | None, payload: bytes) -> None:
        due = {"EBML": EBML, "Segment": SEGMENT, "Info": INFO, "Tracks": TRACKS}[self._place]
        if number != due:
            raise MkvError(f"element {number:#x} where {self._place} is due")
        if number == SEGMENT:
            if size is not None:
                raise MkvError("a segment of known size")
        else:
            {EBML: _check_ebml, INFO: self._read_info, TRACKS: self._read_tracks}[number](
                elements(payload)
            )
        self._place = {EBML: "Segment", SEGMENT: "Info", INFO: "Tracks", TRACKS: "first"}[number]

    def _cluster_element(self, number: int, width: int, payload: bytes) -> list[Event]:
        if self._place == "timecode":
            if number != TIMECODE or (len(payload), width) != (8, 1):
                raise MkvError(f"a cluster begins with element {number:#x}, {len(payload)} bytes")
            self._place = "position"
            self._clusters += 1
            return [ClusterBegun(int.from_bytes(payload, "big"))]
        if self._place == "position" and number == POSITION:
            if payload != b"\x00":
                raise MkvError("a cluster's position is not 0")
            self._place = "block"
            return []
        if number == SIMPLE_BLOCK and self._place in ("position", "block", "blocks"):
            self._place = "blocks"
            return [self._block(payload, width)]
        raise MkvError(f"element {number:#x} inside of a cluster, where {self._place} is due")

    def _block(self, payload: bytes, width: int) -> Block:
        if width != 8:
            raise MkvError(f"a block's size field has {width} bytes")
        if len(payload) < 5 or payload[0] & 0x80 == 0:
            raise MkvError("a block without a track number of one byte, time, flags and a frame")
        relative = int.from_bytes(payload[1:3], "big", signed=True)
        if payload[3] not in (0x00, 0x80):
            raise MkvError(f"a block's flags are {payload[3]:#04x}: lacing, or not known")
        return Block(payload[0] & 0x7F, relative, payload[3] == 0x80, payload[4:])

    def _tags(self, payload: bytes, width: int) -> list[Event]:
        if width != 8:
            raise MkvError(f"the size field of Tags has {width} bytes")
        pairs = []
        for tag in elements(payload):
            if tag.id != TAG or not tag.children:
                raise MkvError(f"element {tag.id:#x} in Tags")
            for simple in tag.children:
                if simple.id != SIMPLE_TAG:
                    raise MkvError(f"element {simple.id:#x} in Tag")
                if [child.id for child in simple.children] != [TAG_NAME, TAG_STRING]:
                    raise MkvError("a SimpleTag without exactly TagName and TagString")
                name, value = (_text(child.payload) for child in simple.children)
                pairs.append((name, value))
        if not pairs:
            raise MkvError("Tags without any")
        if pairs == [(END_OF_FRAGMENT, "")]:
            if self._place != "blocks":
                raise MkvError("the end of a fragment where there is none")
            self._place = "cluster"
            return [EndOfFragment()]
        self._place = "cluster"
        return [Metadata(pairs)]

    def _read_info(self, found: list[Element]) -> None:
        _in_order("Info", found, [(one, low, high) for one, low, high in _INFO_ORDER])
        self._segment_uid = found[0].payload
        if found[1].number != 1_000_000:
            raise MkvError(f"a time scale of {found[1].number}")

    def _read_tracks(self, found: list[Element]) -> None:
        if not 1 <= len(found) <= 3 or any(one.id != TRACK_ENTRY for one in found):
            raise MkvError("Tracks with other than 1 to 3 entries")
        for entry in found:
            track = _read_track(entry.children)
            if track.number in self._tracks:
                raise MkvError(f"two tracks with number {track.number}")
            self._tracks[track.number] = track


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except ValueError:
        raise MkvError("text that is no UTF-8") from None


def _in_order(name: str, found: list[Element], expected: list[tuple[int, int, int]]) -> None:
    if [one.id for one in found] != [one[0] for one in expected]:
        raise MkvError(f"{name} has {[hex(one.id) for one in found]}")
    for element, (number, low, high) in zip(found, expected, strict=True):
        if element.size is None or not low <= element.size <= high:
            raise MkvError(f"element {number:#x} in {name} has {element.size} bytes")


def _check_ebml(found: list[Element]) -> None:
    numbers = [(number, 1, 1) for number in _EBML_ORDER]
    _in_order("EBML", found, [*numbers, (0x4282, 8, 8), (0x4287, 1, 1), (0x4285, 1, 1)])
    values = [one.payload for one in found]
    if values != [b"\x01", b"\x01", b"\x04", b"\x08", b"matroska", b"\x02", b"\x02"]:
        raise MkvError(f"EBML says {values}")


def _read_track(found: list[Element]) -> TrackInfo:
    common = [(0xD7, 1, 1), (0x73C5, 8, 8), (0x83, 1, 1), (0x536E, 1, 32), (0x86, 1, 32)]
    special = found[len(common)].id if len(found) > len(common) else 0
    if special == VIDEO:
        common.append((VIDEO, 8, 8))
    elif special == AUDIO:
        common.append((AUDIO, 1, 64))
    else:
        raise MkvError(f"a track with {[hex(one.id) for one in found]}")
    if len(found) > len(common):
        common.append((0x63A2, 2, 1024 * 1024))
    _in_order("TrackEntry", found, common)
    if not found[1].number:
        raise MkvError("a TrackUID of 0")
    private = found[6].payload if len(found) > 6 else b""
    track = TrackInfo(found[0].number, found[2].number, _text(found[4].payload), private)
    if track.kind != (1 if special == VIDEO else 2) or not 1 <= track.number <= 127:
        raise MkvError(f"track {track.number} of type {track.kind}")
    if special == VIDEO:
        _in_order("Video", found[5].children, [(0xB0, 2, 2), (0xBA, 2, 2)])
        track.width, track.height = (one.number for one in found[5].children)
    return track
