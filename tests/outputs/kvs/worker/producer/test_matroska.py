from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backpack._media.nal import split_annex_b
from backpack._outputs.kvs.worker.producer import matroska as mkv
from tests.kvs_server.decoding import packets
from tests.kvs_server.ebml import (
    Block,
    ClusterBegun,
    Element,
    EndOfFragment,
    Metadata,
    MkvReader,
    Tracks,
    elements,
)
from tests.outputs.kvs.worker.producer.video import pictures

GOLDEN = (Path(__file__).parent / "golden" / "putmedia.mkv").read_bytes()
UID = bytes(range(16))

# Title, applications, track name, segment id: they differ by nature.
FREE = {0x7BA9, 0x4D80, 0x5741, 0x536E, 0x73A4}


def shape(element: Element) -> tuple[object, ...]:
    """Give what has to be equal: id, form of the size, and payload where it is not free."""
    children = tuple(shape(child) for child in element.children)
    free = element.id in FREE or children
    return (element.id, element.width, element.size is None, free or element.payload, children)


def golden_events() -> list[object]:
    """Read what AWS's own producer sent."""
    return list(MkvReader().feed(GOLDEN))


def rebuilt() -> bytes:
    """Write the golden recording again, with our muxer."""
    data = b""
    for event in golden_events():
        if isinstance(event, Tracks):
            track = event.tracks[1]
            data += mkv.header(UID, mkv.Track(track.width, track.height, track.codec_private))
        elif isinstance(event, ClusterBegun):
            data += mkv.cluster_start(event.timecode)
        elif isinstance(event, Block):
            data += mkv.simple_block(event.payload, event.relative, key=event.key)
        elif isinstance(event, EndOfFragment):
            data += mkv.END_OF_FRAGMENT
    return data


@pytest.mark.parametrize("data", [GOLDEN, rebuilt()], ids=["theirs", "ours"])
def test_mkvinfo_reads_it(data: bytes, tmp_path: Path) -> None:
    """A reader that is not ours sees track and clusters, and complains of nothing."""
    path = tmp_path / "putmedia.mkv"
    path.write_bytes(data)
    done = subprocess.run(
        ["mkvinfo", "--ui-language", "en_US", "--all", path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("|+ Cluster") == data.count(b"\x1f\x43\xb6\x75")
    assert "V_MPEG4/ISO/AVC" in done.stdout
    assert "Error" not in done.stdout
    assert "unknown" not in done.stdout.lower().replace("size unknown", "").replace(
        "unknown size", ""
    )


def test_every_element_is_as_aws_writes_it() -> None:
    """Same elements, order, payloads and form of sizes as the golden recording has."""
    ours, golden = elements(rebuilt()), elements(GOLDEN)

    assert [shape(one) for one in ours] == [shape(one) for one in golden]
    # Everything after the header is the same to the byte.
    assert rebuilt()[rebuilt().index(b"\x1f\x43\xb6\x75") :] == GOLDEN[278:]


def test_the_decoder_configuration_is_the_one_of_the_golden_recording() -> None:
    """CodecPrivate made from the parameter sets in the stream is what h264parse made of them."""
    events = golden_events()
    tracks = next(event for event in events if isinstance(event, Tracks))
    first = next(event for event in events if isinstance(event, Block))
    annex_b, at = b"", 0
    while at < len(first.payload):
        size = int.from_bytes(first.payload[at : at + 4], "big")
        annex_b += b"\0\0\0\1" + first.payload[at + 4 : at + 4 + size]
        at += 4 + size

    track = mkv.track_of(annex_b)

    assert track == mkv.Track(320, 180, tracks.tracks[1].codec_private)
    assert mkv.frame_payload(annex_b) == first.payload


def test_start_codes_of_either_length_become_lengths() -> None:
    """Annex B to length-prefixed, with the zeros before a start code left out."""
    data = b"\0\0\0\1\x09\x10\0\0\1\x67\x01\x02\0\0\0\0\1\x65\x88"

    assert mkv.frame_payload(data) == (b"\0\0\0\2\x09\x10\0\0\0\3\x67\x01\x02\0\0\0\2\x65\x88")


def test_a_frame_without_parameter_sets_has_no_track() -> None:
    """Nothing is made up where SPS and PPS are missing."""
    assert mkv.track_of(pictures()[1]) is None


def test_others_read_what_is_written() -> None:
    """Ffmpeg finds each frame at its time, with its key flag."""
    made = pictures()
    track = mkv.track_of(made[0])
    assert track is not None
    begin = 1_795_341_036_923
    data = mkv.header(UID, track)
    for number, picture in enumerate(made[:30]):
        if number % 10 == 0:
            data += mkv.metadata_tags({"place": "north"})
            data += mkv.cluster_start(begin + number * 100)
        payload = mkv.frame_payload(picture)
        data += mkv.simple_block(payload, number % 10 * 100, key=number % 10 == 0)
    data += mkv.END_OF_FRAGMENT

    found = packets(data)

    # ffprobe counts from the first one, or from the epoch, as it likes.
    assert [time - found[0][0] for time, _ in found] == [number * 100 for number in range(30)]
    assert [key for _, key in found] == [number % 10 == 0 for number in range(30)]


def test_metadata_stands_before_its_cluster() -> None:
    """Names and values are read back in order."""
    tags = {"camera": "north", "größe": ""}
    event = MkvReader()
    event.feed(GOLDEN[:278])

    assert event.feed(mkv.metadata_tags(tags)) == [Metadata(list(tags.items()))]
    assert mkv.metadata_tags({}) == b""


@pytest.mark.parametrize("relative_ms", [-1, 32_768])
def test_a_block_too_far_from_its_cluster_is_refused(relative_ms: int) -> None:
    """The distance would not fit its field, and would come out as another one."""
    with pytest.raises(ValueError, match="cluster"):
        mkv.simple_block(b"", relative_ms, key=False)


@pytest.mark.parametrize("size", [10, 126, 127, 128, 16_382, 16_383])
def test_sizes_are_as_short_as_they_can_be(size: int) -> None:
    """A size field of ones alone would mean "unknown", so that size takes a byte more."""
    data = mkv.header(UID, mkv.Track(320, 240, bytes(size)))
    private = elements(data)[-1].children[0].children[-1]

    assert (private.size, private.width) == (size, 1 if size < 127 else 2 if size < 16_383 else 3)


def test_units_of_every_size_are_kept() -> None:
    """A NAL unit's length field holds what split finds."""
    units = list(split_annex_b(pictures()[0]))

    assert sum(len(unit) + 4 for unit in units) == len(mkv.frame_payload(pictures()[0]))
