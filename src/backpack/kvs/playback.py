"""Find out where a stream can be watched: the address of an HLS playlist."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING

from backpack.errors import OutputError, SettingsError
from backpack.kvs.calls import Operation, read_data_endpoint, write_request
from backpack.kvs.names import check_endpoint

if TYPE_CHECKING:
    from backpack.kvs.caller import Caller
    from backpack.kvs.producer.commands import ProducerSettings

__all__ = ["PlaybackMode", "playback_url"]

SHORTEST_SECONDS = 300
LONGEST_SECONDS = 43_200


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
        expires_seconds: How long the address can be opened, from 300 to 43,200.
        timeout: Seconds to wait for each of two calls.

    Raises:
        SettingsError: A mode or time that cannot be.
        BackpackError: There is no answer, or AWS refuses.

    """
    if mode not in PlaybackMode.__members__:
        known = ", ".join(PlaybackMode.__members__)
        raise SettingsError(f"mode={mode!r}: give one of {known}.")
    if not SHORTEST_SECONDS <= expires_seconds <= LONGEST_SECONDS:
        raise SettingsError(
            f"expires_seconds={expires_seconds!r}: give {SHORTEST_SECONDS} to {LONGEST_SECONDS}."
        )
    asked = {"StreamName": settings.stream_name, "APIName": "GET_HLS_STREAMING_SESSION_URL"}
    answer = caller.call(
        write_request(Operation.GET_DATA_ENDPOINT, settings.control_endpoint, asked), timeout
    )
    endpoint = check_endpoint(
        read_data_endpoint(answer.encode()), region=settings.region, configured=settings.endpoint
    )
    wanted = {
        "StreamName": settings.stream_name,
        "PlaybackMode": mode,
        "ContainerFormat": "FRAGMENTED_MP4",
        "DiscontinuityMode": "ON_DISCONTINUITY",
        "Expires": expires_seconds,
    }
    answer = caller.call(write_request(Operation.GET_HLS_URL, endpoint, wanted), timeout)
    return _read_url(answer)


def _read_url(body: str) -> str:
    try:
        return str(json.loads(body)["HLSStreamingSessionURL"])
    except (ValueError, KeyError, TypeError):
        # The answer may hold what lets anybody watch: it is not shown.
        raise OutputError("KVS answered GetHLSStreamingSessionURL with something else.") from None
