"""Offers as clients make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

USER = "Yv3k"

_TEXT = """v=0
o=- 8536376027928083717 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 0.0.0.0
a=ice-ufrag:Yv3k
a=ice-pwd:hb8RZj98RdXSlU6zzfw1UJYp
a=fingerprint:sha-256 FINGERPRINT
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 108 109 116 117
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:53247688 1 udp 2113937151 97ddd39d-58c0-4375-bdde-e9047c64aa5b.local 59747 typ host
a=ice-ufrag:Yv3k
a=ice-pwd:hb8RZj98RdXSlU6zzfw1UJYp
a=ice-options:trickle
a=fingerprint:sha-256 FINGERPRINT
a=setup:actpass
a=mid:1
a=extmap:3 urn:3gpp:video-orientation
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H264/90000
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:107 rtx/90000
a=fmtp:107 apt=104
a=rtpmap:108 H264/90000
a=rtcp-fb:108 ccm fir
a=rtcp-fb:108 nack
a=rtcp-fb:108 nack pli
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01f
a=rtpmap:109 rtx/90000
a=fmtp:109 apt=108
a=rtpmap:116 H264/90000
a=rtcp-fb:116 nack
a=fmtp:116 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f
a=rtpmap:117 rtx/90000
a=fmtp:117 apt=116
"""

_FINGERPRINT = ":".join(["2C", "77", "9E", "AA"] * 8)

CHROMIUM = _TEXT.replace("FINGERPRINT", _FINGERPRINT).replace("\n", "\r\n").encode()
"""Chromium's, shortened: sound and video that are to be received."""

_PIECES = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"=",
    b":",
    b" ",
    b"m=video 9 X 96\r\n",
    b"a=" + b"9" * 300,
    b"%n",
)


def spoilt(random_: random.Random) -> bytes:
    """Spoil an offer: a byte, a line, an end, or many of these."""
    offer = CHROMIUM
    for _ in range(random_.choice((1, 1, 2, 5, 30))):
        at = random_.randrange(len(offer) or 1)
        lines = offer.split(b"\r\n")
        ways = (
            lambda at=at, offer=offer: offer[:at],
            lambda at=at, offer=offer: (
                offer[:at] + bytes([random_.randrange(256)]) + offer[at + 1 :]
            ),
            lambda at=at, offer=offer: offer[:at] + random_.choice(_PIECES) + offer[at:],
            lambda lines=lines: b"\r\n".join(random_.sample(lines, len(lines))),
            lambda lines=lines: b"\r\n".join(one for one in lines if random_.random() > 0.1),
            lambda lines=lines: b"\r\n".join([*lines, *lines[4:]]),
        )
        offer = random_.choices(ways, (1, 9, 9, 1, 3, 1))[0]()
    return offer
