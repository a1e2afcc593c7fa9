"""Answer the calls of the control plane, and the one that asks where to watch."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from tests.kvs_server.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kvs_server.streams import Stream, Streams
    from tests.kvs_server.wire import Request

__all__ = ["Control"]

_API_NAMES = {
    "PUT_MEDIA",
    "GET_MEDIA",
    "LIST_FRAGMENTS",
    "GET_MEDIA_FOR_FRAGMENT_LIST",
    "GET_HLS_STREAMING_SESSION_URL",
    "GET_DASH_STREAMING_SESSION_URL",
    "GET_CLIP",
    "GET_IMAGES",
}
_LIVE_SECONDS = 30
_LONGEST_RANGE_SECONDS = 24 * 3600
_HLS = {
    "PlaybackMode": ("LIVE", "LIVE_REPLAY", "ON_DEMAND"),
    "ContainerFormat": ("FRAGMENTED_MP4", "MPEG_TS"),
    "DiscontinuityMode": ("ALWAYS", "NEVER", "ON_DISCONTINUITY"),
    "DisplayFragmentTimestamp": ("ALWAYS", "NEVER"),
}
_HLS_NUMBERS = {"Expires": (300, 43_200), "MaxMediaPlaylistFragmentResults": (1, 5_000)}


class Control:
    """
    Answer what is asked in JSON.

    Args:
        streams: All streams.
        data_endpoint: Tells where video is taken.
        clock: Seconds since the epoch.

    """

    def __init__(
        self, streams: Streams, data_endpoint: Callable[[], str], clock: Callable[[], float]
    ) -> None:
        self._streams = streams
        self._data_endpoint = data_endpoint
        self._clock = clock
        self._calls = {
            "/describeStream": self._describe,
            "/createStream": self._create,
            "/getDataEndpoint": self._endpoint,
            "/getHLSStreamingSessionURL": self._hls,
        }

    def answer(self, request: Request) -> dict[str, object]:
        """Do what a request asks for."""
        call = self._calls.get(request.target)
        if call is None or request.method != "POST":
            raise Refused(404, "UnknownOperation", f"{request.method} {request.target}")
        return call(request.json())

    def _describe(self, content: dict[str, object]) -> dict[str, object]:
        _only(content, "StreamName", "StreamARN")
        stream = self._streams.find(content)
        stream.note("DescribeStream", time.monotonic())
        return {"StreamInfo": stream.describe()}

    def _create(self, content: dict[str, object]) -> dict[str, object]:
        return {"StreamARN": self._streams.create(content).arn}

    def _endpoint(self, content: dict[str, object]) -> dict[str, object]:
        _only(content, "StreamName", "StreamARN", "APIName")
        if content.get("APIName") not in _API_NAMES:
            raise Refused(400, "InvalidArgument", f"APIName {content.get('APIName')!r}")
        self._streams.find(content).note("GetDataEndpoint", time.monotonic())
        return {"DataEndpoint": self._data_endpoint()}

    def _hls(self, content: dict[str, object]) -> dict[str, object]:
        _only(content, "StreamName", "StreamARN", "HLSFragmentSelector", *_HLS, *_HLS_NUMBERS)
        for name, allowed in _HLS.items():
            if content.get(name, allowed[0]) not in allowed:
                raise Refused(400, "InvalidArgument", f"{name} {content[name]!r}")
        for name, (low, high) in _HLS_NUMBERS.items():
            value = content.get(name, low)
            if not isinstance(value, int) or not low <= value <= high:
                raise Refused(400, "InvalidArgument", f"{name} {value!r}")
        stream = self._streams.find(content)
        live = content.get("PlaybackMode", "LIVE") == "LIVE"
        begin, end = _check_selector(content, live=live)
        if not stream.retention_hours:
            raise Refused(400, "NoDataRetention", "The stream keeps nothing.")
        there = any(begin <= one.timecode / 1000 <= end for one in stream.timeline())
        if not (self._is_live(stream) if live else there):
            raise Refused(404, "ResourceNotFound", "No fragments found in the stream.")
        url = f"{self._data_endpoint()}/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=token"
        return {"HLSStreamingSessionURL": url}

    def _is_live(self, stream: Stream) -> bool:
        line = stream.timeline()
        return bool(line) and self._clock() - line[-1].end / 1000 < _LIVE_SECONDS


def _only(content: dict[str, object], *names: str) -> None:
    unknown = set(content) - set(names)
    if unknown:
        raise Refused(400, "InvalidArgument", f"Unknown {sorted(unknown)}")


def _check_selector(content: dict[str, object], *, live: bool) -> tuple[float, float]:
    """
    Refuse a selector that does not go with the mode, and give the range in seconds.

    (GetHLSStreamingSessionURL, HLSFragmentSelector and HLSTimestampRange in botocore's model.)
    """
    selector = content.get("HLSFragmentSelector")
    if selector is None and live:
        return 0.0, math.inf
    if not isinstance(selector, dict):
        raise Refused(400, "InvalidArgument", f"HLSFragmentSelector {selector!r}")
    _only(selector, "FragmentSelectorType", "TimestampRange")
    if selector.get("FragmentSelectorType") not in ("PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP"):
        raise Refused(400, "InvalidArgument", f"HLSFragmentSelector {selector!r}")
    if live:
        if "TimestampRange" in selector:
            raise Refused(400, "InvalidArgument", "TimestampRange with LIVE")
        return 0.0, math.inf
    chosen = selector.get("TimestampRange")
    if not isinstance(chosen, dict):
        raise Refused(400, "InvalidArgument", f"TimestampRange {chosen!r}")
    _only(chosen, "StartTimestamp", "EndTimestamp")
    begin, end = chosen.get("StartTimestamp"), chosen.get("EndTimestamp")
    if end is None and content["PlaybackMode"] == "LIVE_REPLAY":
        end = math.inf
    if not isinstance(begin, (int, float)) or not isinstance(end, (int, float)):
        raise Refused(400, "InvalidArgument", f"TimestampRange {chosen!r}")
    if end <= begin or _LONGEST_RANGE_SECONDS < end - begin < math.inf:
        raise Refused(400, "InvalidArgument", f"TimestampRange {chosen!r}")
    return begin, end
