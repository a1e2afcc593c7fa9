"""Find out where a stream can be watched: the address of an HLS playlist."""

from __future__ import annotations

import datetime as dt
import enum
import json
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.shared.api import Operation, read_data_endpoint, write_request
from backpack.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from backpack._outputs.kvs.client import Caller
    from backpack._outputs.kvs.settings import ProducerSettings

SHORTEST_SECONDS = 300
LONGEST_SECONDS = 43_200

LONGEST_RANGE = dt.timedelta(hours=24)
"""From the first to the last fragment that one address plays."""


class PlaybackMode(enum.Enum):
    """
    What is played.

    Attributes:
        LIVE: What comes now.
        LIVE_REPLAY: From a past time on, going over into what comes now.
        ON_DEMAND: What was recorded.

    """

    LIVE = "LIVE"
    LIVE_REPLAY = "LIVE_REPLAY"
    ON_DEMAND = "ON_DEMAND"


def playback_url(
    caller: Caller,
    settings: ProducerSettings,
    *,
    mode: str,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    expires_seconds: int,
    timeout: float,
) -> str:
    """
    Ask AWS where a stream can be watched.

    The stream is asked for with ON_DISCONTINUITY: pauses of the source must not
    stall the player. (GetHLSStreamingSessionURL in the API reference of
    Kinesis Video Streams Archived Media.)

    Args:
        caller: Who calls.
        settings: Which stream of which region.
        mode: One of `PlaybackMode`.
        start: Of what is played, unless it is live.
        end: The same. None, from a past time on: it goes over into what comes now.
        expires_seconds: How long the address can be opened, from 300 to 43,200.
        timeout: Seconds to wait for each of two calls.

    Raises:
        SettingsError: A mode, range or time that cannot be.
        BackpackError: There is no answer, or AWS refuses.

    """
    if mode not in PlaybackMode.__members__:
        known = ", ".join(PlaybackMode.__members__)
        raise SettingsError(f"mode={mode!r}: give one of {known}.")
    if not SHORTEST_SECONDS <= expires_seconds <= LONGEST_SECONDS:
        raise SettingsError(
            f"expires_seconds={expires_seconds!r}: give {SHORTEST_SECONDS} to {LONGEST_SECONDS}."
        )
    selector = _selector(PlaybackMode(mode), start, end)
    asked = {"StreamName": settings.stream_name, "APIName": "GET_HLS_STREAMING_SESSION_URL"}
    answer = caller.call(
        write_request(Operation.GET_DATA_ENDPOINT, settings.control_endpoint, asked), timeout
    )
    endpoint = settings.check_endpoint(read_data_endpoint(answer.encode()))
    wanted = {
        "StreamName": settings.stream_name,
        "PlaybackMode": mode,
        "ContainerFormat": "FRAGMENTED_MP4",
        "DiscontinuityMode": "ON_DISCONTINUITY",
        "Expires": expires_seconds,
        **selector,
    }
    answer = caller.call(write_request(Operation.GET_HLS_URL, endpoint, wanted), timeout)
    return _read_url(answer)


def _selector(
    mode: PlaybackMode, start: dt.datetime | None, end: dt.datetime | None
) -> dict[str, Any]:
    """Return which fragments, by the times of their first frames; none are named if it is live."""
    if mode is PlaybackMode.LIVE:
        if start is not None or end is not None:
            raise SettingsError(
                'mode="LIVE" plays what comes now and has no start or end: give "LIVE_REPLAY" or '
                '"ON_DEMAND" with them.'
            )
        return {}
    if start is None or (end is None and mode is PlaybackMode.ON_DEMAND):
        needed = "start and end" if mode is PlaybackMode.ON_DEMAND else "start"
        raise SettingsError(
            f"mode={mode.value!r} plays what was recorded: say from when, {needed}."
        )
    chosen = {"StartTimestamp": _epoch("start", start)}
    if end is not None:
        chosen["EndTimestamp"] = _epoch("end", end)
        if not dt.timedelta(0) < end - start <= LONGEST_RANGE:
            raise SettingsError(f"start={start}, end={end}: give an end up to 24 hours later.")
    return {
        "HLSFragmentSelector": {
            "FragmentSelectorType": "PRODUCER_TIMESTAMP",
            "TimestampRange": chosen,
        }
    }


def _epoch(name: str, time: dt.datetime) -> float:
    if not isinstance(time, dt.datetime) or time.utcoffset() is None:
        raise SettingsError(
            f"{name}={time!r}: give a datetime with a time zone, "
            "such as datetime.now(timezone.utc)."
        )
    return round(time.timestamp(), 3)


def _read_url(body: str) -> str:
    try:
        return str(json.loads(body)["HLSStreamingSessionURL"])
    except (ValueError, KeyError, TypeError):
        # The answer may hold what lets anybody watch: it is not shown.
        raise OutputError("KVS answered GetHLSStreamingSessionURL with something else.") from None
