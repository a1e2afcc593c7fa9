"""
Read what a viewer offers, and write the little of it that GStreamer must know.

GStreamer's parser of session descriptions is written in C and trusts them. So
it sees no text of a stranger's: an offer is read here, and what was found in
it is written anew, value by value (SDP: RFC 8866, WebRTC's use of it: RFC 9429).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LARGEST_OFFER_BYTES = 32 * 1024
"""Chromium's have 6 KB."""

MOST_LINES = 2000
MOST_SECTIONS = 16

_LINE = re.compile(r"[a-z]=")
_MID = re.compile(r"[A-Za-z0-9_.+-]{1,32}")
# RFC 8839, 5.4
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}")
_MEDIA = re.compile(
    r"([a-z]{1,16}) (\d{1,5})(?:/\d+)? ([A-Z/]{3,32})((?: [A-Za-z0-9-]{1,32}){1,200})"
)
_PROFILE = re.compile(r"[0-9a-f]{6}")

_MIRRORED = ("level-asymmetry-allowed", "packetization-mode", "profile-level-id")
"""What an answer says about H.264 as the offer does (RFC 6184, 8.2.2)."""

_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP")
_NUMBER = re.compile(r"0|[1-9]\d{0,2}")
_LAST_PAYLOAD_TYPE = 127

# RFC 6184, table 5: what a decoder must be able to do so that constrained
# baseline is within it, the best fit first.
_BASELINE, _MAIN, _HIGH = 66, 77, 100
_CONSTRAINED = 0x40


class OfferError(ValueError):
    """An offer that is none."""


class NoCodecError(OfferError):
    """An offer that is right, but has nothing that we could send."""


@dataclass
class Section:
    """
    One thing that is offered.

    Attributes:
        kind: ``video``, ``audio`` or another word.
        port: 0 where it is not meant.
        protocol: How it is to be carried.
        formats: Payload types, as they are offered.
        attributes: Name and value of each.

    """

    kind: str
    port: int
    protocol: str
    formats: list[str]
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str | None:
        """Return an attribute's first value."""
        return next((value for key, value in self.attributes if key == name), None)

    def every(self, name: str) -> list[str]:
        """Return all values of an attribute."""
        return [value for key, value in self.attributes if key == name]

    @property
    def mid(self) -> str | None:
        """Its name within the offer; None where it has none that can be."""
        mid = self.first("mid")
        return mid if mid is not None and _MID.fullmatch(mid) else None


@dataclass(frozen=True)
class Offer:
    """
    What a viewer offers to receive.

    Attributes:
        sections: All that is offered, in order: an answer has as many.
        place: Which of them is the video that we send.
        mid: Its name.
        user: ICE's user name fragment of the viewer.
        password: ICE's password of the viewer.
        fingerprint: Of the viewer's certificate, SHA-256.
        payload_type: The H.264 that fits.
        parameters: What the viewer says of it.
        retransmission: The payload type of lost packets that are sent again;
            None: they are not.
        can_nack: Whether the viewer tells which packets were lost.
        bundles: Whether the viewer groups what it offers.

    """

    sections: tuple[Section, ...]
    place: int
    mid: str
    user: str
    password: str
    fingerprint: str
    payload_type: int
    parameters: str
    retransmission: int | None
    can_nack: bool
    bundles: bool

    def text(self) -> str:
        """Write the offer as GStreamer gets it: the one video, with the one codec."""
        payload = self.payload_type
        again = self.retransmission
        lines = [
            "v=0",
            "o=- 0 0 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            f"a=group:BUNDLE {self.mid}",
            f"m=video 9 UDP/TLS/RTP/SAVPF {payload}" + (f" {again}" if again is not None else ""),
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{self.user}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:sha-256 {self.fingerprint}",
            "a=setup:actpass",
            f"a=mid:{self.mid}",
            "a=recvonly",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            f"a=rtpmap:{payload} H264/90000",
            f"a=rtcp-fb:{payload} nack pli",
            f"a=rtcp-fb:{payload} ccm fir",
            f"a=fmtp:{payload} {self.parameters}",
        ]
        if self.can_nack:
            lines.append(f"a=rtcp-fb:{payload} nack")
        if again is not None:
            lines += [f"a=rtpmap:{again} rtx/90000", f"a=fmtp:{again} apt={payload}"]
        return "".join(f"{line}\r\n" for line in lines)


def read_offer(body: bytes) -> Offer:
    """
    Read an offer.

    Raises:
        OfferError: It is none, or lacks what WebRTC needs; says what.
        NoCodecError: It has no video that we could send.

    """
    lines = split_lines(body)
    if lines[0] != "v=0":
        raise OfferError("An offer begins with v=0.")
    session, sections = _read_sections(lines)
    place = next((at for at, one in enumerate(sections) if _is_wanted(one)), None)
    if place is None:
        raise NoCodecError("The offer has no video that is to be received over UDP.")
    video = sections[place]
    mid = video.mid
    if mid is None:
        raise OfferError("The offer's video has no name (a=mid).")
    if video.first("rtcp-mux") is None:
        raise OfferError("The offer's video does not take RTCP at the same port (a=rtcp-mux).")
    payload_type, parameters = _choose(video)
    feedback = {*video.every("rtcp-fb")}
    return Offer(
        sections=tuple(sections),
        place=place,
        mid=mid,
        user=_required(video, session, "ice-ufrag", _UFRAG),
        password=_required(video, session, "ice-pwd", _PASSWORD),
        fingerprint=_fingerprint(video, session),
        payload_type=payload_type,
        parameters=parameters,
        retransmission=_retransmission(video, payload_type),
        can_nack=bool(feedback & {f"{payload_type} nack", "* nack"}),
        bundles=any(value.split()[:1] == ["BUNDLE"] for value in session.every("group")),
    )


def split_lines(body: bytes) -> list[str]:
    """
    Take a description apart into its lines.

    Raises:
        OfferError: It is too long, or is none.

    """
    if len(body) > LARGEST_OFFER_BYTES:
        raise OfferError(f"A description has at most {LARGEST_OFFER_BYTES} bytes.")
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise OfferError("A description has ASCII characters only.") from None
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > MOST_LINES:
        raise OfferError(f"A description has at most {MOST_LINES} lines.")
    for number, line in enumerate(lines, 1):
        if not _LINE.match(line) or not line.isprintable():
            raise OfferError(f"Line {number} is no line of a session description (SDP).")
    return lines


def _read_sections(lines: list[str]) -> tuple[Section, list[Section]]:
    """Return what holds for all, and what is offered."""
    current = session = Section("", 0, "", [])
    sections: list[Section] = []
    for line in lines:
        if line.startswith("m="):
            found = _MEDIA.fullmatch(line[2:].rstrip())
            if found is None or len(sections) == MOST_SECTIONS:
                raise OfferError(f"What the offer says at {line[:40]!r} cannot be.")
            kind, port, protocol, formats = found.groups()
            current = Section(kind, int(port), protocol, formats.split())
            sections.append(current)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            current.attributes.append((name, value.rstrip()))
    return session, sections


def _is_wanted(section: Section) -> bool:
    names = {name for name, _ in section.attributes}
    return (
        section.kind == "video"
        and section.protocol in _PROTOCOLS
        # Bundled with another, it may have port 0 (RFC 9143, 7.2.1).
        and (section.port > 0 or "bundle-only" in names)
        and not names & {"sendonly", "inactive"}
    )


def _required(video: Section, session: Section, name: str, form: re.Pattern[str]) -> str:
    value = video.first(name) or session.first(name)
    if value is None or not form.fullmatch(value):
        raise OfferError(f"The offer's a={name} is missing, or cannot be.")
    return value


def _fingerprint(video: Section, session: Section) -> str:
    for value in video.every("fingerprint") or session.every("fingerprint"):
        kind, _, digits = value.partition(" ")
        if kind.lower() == "sha-256" and _SHA256.fullmatch(digits):
            return digits.upper()
    raise OfferError("The offer has no a=fingerprint of the kind sha-256.")


def _choose(video: Section) -> tuple[int, str]:
    """Choose the payload type whose decoder takes constrained baseline."""
    maps = _by_payload_type(video, "rtpmap")
    formats = _by_payload_type(video, "fmtp")
    fitting = []
    for order, name in enumerate(video.formats):
        number = _payload_type(name)
        if number is None or maps.get(number, "").upper() != "H264/90000":
            continue
        parameters = _parameters(formats.get(number, ""))
        rank = _rank(parameters)
        if rank is not None:
            fitting.append((rank, order, number, parameters))
    if not fitting:
        raise NoCodecError(
            "The offer has no H.264 in baseline profile with packetization-mode=1, which is what "
            "there is."
        )
    _, _, number, parameters = min(fitting, key=lambda one: one[:2])
    return number, ";".join(f"{key}={value}" for key, value in parameters.items())


def _by_payload_type(video: Section, attribute: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for value in video.every(attribute):
        name, _, rest = value.partition(" ")
        number = _payload_type(name)
        if number is not None:
            found.setdefault(number, rest.strip())
    return found


def _payload_type(name: str) -> int | None:
    return int(name) if _NUMBER.fullmatch(name) and int(name) <= _LAST_PAYLOAD_TYPE else None


def _parameters(text: str) -> dict[str, str]:
    given = dict(one.strip().lower().partition("=")[::2] for one in text.split(";"))
    return {name: given[name] for name in _MIRRORED if name in given}


def _rank(parameters: dict[str, str]) -> int | None:
    """Return how well a decoder fits what we send; less is better, None does not."""
    # RFC 6184, 8.1: what it means where it says nothing.
    profile = parameters.get("profile-level-id", "420010")
    if parameters.get("packetization-mode", "0") != "1" or not _PROFILE.fullmatch(profile):
        return None
    if parameters.get("level-asymmetry-allowed", "0") not in ("0", "1"):
        return None
    kind, flags = int(profile[:2], 16), int(profile[2:4], 16)
    if kind == _BASELINE:
        return 0 if flags & _CONSTRAINED else 1
    return {_MAIN: 2, _HIGH: 3}.get(kind)


def _retransmission(video: Section, payload_type: int) -> int | None:
    """Find the payload type for packets that are sent again (RFC 4588)."""
    maps = _by_payload_type(video, "rtpmap")
    for number, text in _by_payload_type(video, "fmtp").items():
        parameters = [one.strip() for one in text.split(";")]
        if (
            maps.get(number, "").lower() == "rtx/90000"
            and f"apt={payload_type}" in parameters
            and str(number) in video.formats
        ):
            return number
    return None
