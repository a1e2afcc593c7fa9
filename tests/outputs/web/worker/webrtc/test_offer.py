from __future__ import annotations

import random
import re

import pytest

from backpack._outputs.web.worker.webrtc.answer import Candidate, read_candidate, write_answer
from backpack._outputs.web.worker.webrtc.fragment import read_fragment
from backpack._outputs.web.worker.webrtc.offer import (
    LARGEST_OFFER_BYTES,
    NoCodecError,
    Offer,
    OfferError,
    read_offer,
)
from tests.outputs.web.worker.webrtc.offers import CHROMIUM, USER, spoilt

FORM = re.compile(
    r"v=0\r\no=- 0 0 IN IP4 127\.0\.0\.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE [\w.+-]+\r\n"
    r"m=video 9 UDP/TLS/RTP/SAVPF \d+( \d+)?\r\nc=IN IP4 0\.0\.0\.0\r\n"
    r"(a=[a-z-]+(:[\w ./:;=+-]+)?\r\n)+"
)


def without(*lines: str) -> bytes:
    """Give the offer without the lines that begin so."""
    kept = [
        line
        for line in CHROMIUM.decode().splitlines()
        if not any(line.startswith(one) for one in lines)
    ]
    return "\r\n".join(kept).encode()


def test_the_best_fitting_h264_is_chosen() -> None:
    """Constrained baseline in mode 1 goes before what could decode it too; and its own rtx."""
    offer = read_offer(CHROMIUM)

    assert (offer.payload_type, offer.retransmission, offer.mid) == (108, 109, "1")
    assert offer.parameters == (
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    )
    assert offer.can_nack
    assert offer.user == USER


@pytest.mark.parametrize(
    ("gone", "chosen"),
    [(("a=fmtp:108",), 102), (("a=fmtp:108", "a=fmtp:102"), 116)],
)
def test_another_decoder_does_too(gone: tuple[str, ...], chosen: int) -> None:
    """Baseline, main and high contain what we send; in this order."""
    assert read_offer(without(*gone)).payload_type == chosen


@pytest.mark.parametrize(
    "offer",
    [
        without("a=fmtp:108", "a=fmtp:102", "a=fmtp:116"),
        CHROMIUM.replace(b"packetization-mode=1", b"packetization-mode=0"),
        CHROMIUM.replace(b"H264", b"H265"),
        CHROMIUM.replace(b"m=video 9", b"m=video 0"),
        CHROMIUM.replace(b"a=recvonly", b"a=sendonly"),
        CHROMIUM.replace(b"m=video 9 UDP/TLS/RTP/SAVPF", b"m=video 9 TCP/TLS/RTP/SAVPF"),
        CHROMIUM.partition(b"m=video")[0],
    ],
)
def test_nothing_that_could_be_sent_is_said(offer: bytes) -> None:
    """No H.264 in mode 1, no video, or not to be received."""
    with pytest.raises(NoCodecError):
        read_offer(offer)


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        b"hello",
        CHROMIUM[1:],
        CHROMIUM + b"\xff",
        CHROMIUM + b"a=\0\r\n",
        CHROMIUM + b"a=x\ry\r\n",
        CHROMIUM + b"a=" + b"x" * LARGEST_OFFER_BYTES,
        CHROMIUM + b"a=x\r\n" * 3000,
        CHROMIUM + b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 20,
        CHROMIUM + b"m=video\r\n",
        without("a=mid"),
        without("a=rtcp-mux"),
        without("a=ice-ufrag"),
        without("a=ice-pwd"),
        without("a=fingerprint"),
        CHROMIUM.replace(b"sha-256", b"sha-1"),
        CHROMIUM.replace(b"a=ice-pwd:hb8RZj98RdXSlU6zzfw1UJYp", b"a=ice-pwd:short"),
        CHROMIUM.replace(b"a=mid:1", b"a=mid:" + b"1" * 99),
    ],
)
def test_what_is_no_offer_is_refused(offer: bytes) -> None:
    """With a sentence that says what is wrong."""
    with pytest.raises(OfferError) as refusal:
        read_offer(offer)

    assert not isinstance(refusal.value, NoCodecError)
    assert str(refusal.value).endswith(".")


def test_gstreamer_sees_no_word_of_a_strangers() -> None:
    """Whatever stands in an offer, what is passed on has one form and is read without fault."""
    sdp = pytest.importorskip("backpack._gst.webrtc", exc_type=ImportError).GstSdp
    random_ = random.Random(4)
    taken = 0
    for _ in range(3000):
        try:
            offer = read_offer(spoilt(random_))
        except OfferError:
            continue
        taken += 1
        text = offer.text()
        assert FORM.fullmatch(text), text
        assert sdp.SDPMessage.new_from_text(text)[0] is sdp.SDPResult.OK

    assert taken > 100


def answered(offer: Offer) -> list[str]:
    """Answer an offer, as GStreamer would."""
    given = (
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-options:trickle\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\na=mid:1\r\n"
        "a=fmtp:108 packetization-mode=1\r\na=sendonly\r\n"
    )
    here = Candidate("127.0.0.1", 4000, "candidate:1 1 UDP 1 127.0.0.1 4000 typ host")
    return write_answer(offer, given, [here]).split("\r\n")


def test_an_answer_has_a_place_for_all_that_was_offered() -> None:
    """What is not sent is refused in its place; the video has our candidates and its own words."""
    answer = answered(read_offer(CHROMIUM))
    media = [line for line in answer if line.startswith("m=")]

    assert media == [
        "m=audio 0 UDP/TLS/RTP/SAVPF 111 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
    ]
    assert [line for line in answer if line.startswith("a=group")] == ["a=group:BUNDLE 1"]
    assert "a=candidate:1 1 UDP 1 127.0.0.1 4000 typ host" in answer
    assert f"a=fmtp:108 {read_offer(CHROMIUM).parameters}" in answer


def test_only_udp_ports_of_ours_are_candidates() -> None:
    """No TCP, no port of a router's."""
    good = "candidate:1 1 UDP 2015364095 127.0.0.1 45179 typ host"
    found = read_candidate(good)

    assert found
    assert (found.address, found.port) == ("127.0.0.1", 45179)
    assert read_candidate(good.replace("UDP", "TCP")) is None
    assert read_candidate(good.replace("host", "srflx raddr 1.2.3.4 rport 5")) is None


@pytest.mark.parametrize(
    ("fragment", "user"),
    [
        (b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 X 0\r\n", "EsAw"),
        (b"a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=end-of-candidates\r\n", None),
    ],
)
def test_a_fragment_says_which_session_it_is_for(fragment: bytes, user: str | None) -> None:
    """Or leaves it open."""
    assert read_fragment(fragment) == user


@pytest.mark.parametrize("fragment", [b"", b"\xff", b"a=ice-ufrag:a\r\na=ice-ufrag:b\r\n"])
def test_what_is_no_fragment_is_refused(fragment: bytes) -> None:
    """As an offer would be."""
    with pytest.raises(OfferError):
        read_fragment(fragment)
