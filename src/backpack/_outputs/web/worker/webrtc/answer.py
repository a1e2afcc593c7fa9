"""Write the answer that a viewer gets, from the one that GStreamer gives to the offer's extract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._outputs.web.worker.webrtc.offer import Offer, Section

# RFC 8839, 5.1
_CANDIDATE = re.compile(
    r"candidate:[A-Za-z0-9+/]{1,32} [12] UDP \d{1,10} "
    r"([0-9A-Fa-f.:]{2,45}) (\d{1,5}) typ host( .*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Candidate:
    """
    A place where we listen.

    Attributes:
        address: Its address.
        port: Its UDP port.
        text: How an answer says it, without ``a=``.

    """

    address: str
    port: int
    text: str


def read_candidate(text: str) -> Candidate | None:
    """Read a candidate of our own; None where it is no UDP port of this machine."""
    text = text.removeprefix("a=").strip()
    found = _CANDIDATE.fullmatch(text)
    return Candidate(found[1], int(found[2]), text) if found else None


def write_answer(offer: Offer, given: str, candidates: Sequence[Candidate]) -> str:
    """
    Write the answer to all that was offered.

    Args:
        offer: What was offered.
        given: GStreamer's answer to the one video.
        candidates: Where we listen.

    """
    lines = given.replace("\r\n", "\n").rstrip("\n").split("\n")
    begin = next(at for at, line in enumerate(lines) if line.startswith("m="))
    session, video = lines[:begin], lines[begin:]
    answer = [line for line in session if not line.startswith(("a=group", "a=ice-options"))]
    if offer.bundles:
        # Of all that was grouped, the one that is not refused.
        answer.append(f"a=group:BUNDLE {offer.mid}")
    # GStreamer leaves the profile out.
    mirrored = f"a=fmtp:{offer.payload_type} "
    video = [
        f"{mirrored}{offer.parameters}" if line.startswith(mirrored) else line for line in video
    ]
    for place, section in enumerate(offer.sections):
        if place == offer.place:
            answer += video
            answer += [f"a={candidate.text}" for candidate in candidates]
            answer.append("a=end-of-candidates")
        else:
            answer += _refusal(section)
    return "".join(f"{line}\r\n" for line in answer)


def _refusal(section: Section) -> list[str]:
    formats = " ".join(section.formats)
    lines = [f"m={section.kind} 0 {section.protocol} {formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    return lines
