from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.playback import playback_url
from backpack._outputs.kvs.settings import ProducerSettings
from backpack._outputs.kvs.shared.api import Operation
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from backpack._outputs.kvs.shared.api import Request

NOON = dt.datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=dt.timezone.utc)
SECOND = dt.timedelta(seconds=1)
DAY = dt.timedelta(hours=24)


class Calls:
    """Answer calls, and keep what was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def call(self, request: Request, _timeout: float) -> str:
        """Answer one."""
        self.asked.append(request)
        if request.operation is Operation.GET_DATA_ENDPOINT:
            return '{"DataEndpoint": "https://b-1.kinesisvideo.us-east-1.amazonaws.com"}'
        return '{"HLSStreamingSessionURL": "https://x"}'


def asked(mode: str, **options: Any) -> dict[str, Any]:
    """Ask, and give what AWS was asked."""
    calls = Calls()
    settings = ProducerSettings("us-east-1", "test")
    options = {"expires_seconds": 300, "timeout": 1.0} | options
    assert playback_url(calls, settings, mode=mode, **options) == "https://x"  # type: ignore[arg-type]
    wanted: dict[str, Any] = json.loads(calls.asked[-1].body)
    return wanted


def test_live_has_no_range() -> None:
    """What comes now is all that there is."""
    assert "HLSFragmentSelector" not in asked("LIVE")


@pytest.mark.parametrize(
    ("mode", "end", "chosen"),
    [
        ("ON_DEMAND", NOON + DAY, {"EndTimestamp": NOON.timestamp() + 86_400}),
        ("LIVE_REPLAY", NOON + SECOND, {"EndTimestamp": NOON.timestamp() + 1}),
        ("LIVE_REPLAY", None, {}),
    ],
)
def test_the_past_is_named_by_the_times_of_capture(
    mode: str, end: dt.datetime | None, chosen: dict[str, float]
) -> None:
    """In seconds since the epoch, wherever the time zone is."""
    zone = dt.timezone(dt.timedelta(hours=-8))
    selector = asked(mode, start=NOON.astimezone(zone), end=end)["HLSFragmentSelector"]

    assert selector == {
        "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": NOON.timestamp(), **chosen},
    }


@pytest.mark.parametrize(
    ("mode", "options", "says"),
    [
        ("LIVE", {"start": NOON}, "LIVE_REPLAY"),
        ("LIVE", {"end": NOON}, "ON_DEMAND"),
        ("ON_DEMAND", {}, "start and end"),
        ("ON_DEMAND", {"start": NOON}, "start and end"),
        ("ON_DEMAND", {"end": NOON}, "start and end"),
        ("LIVE_REPLAY", {"end": NOON}, "start"),
        ("ON_DEMAND", {"start": NOON.replace(tzinfo=None), "end": NOON}, "time zone"),
        ("ON_DEMAND", {"start": NOON, "end": NOON.replace(tzinfo=None)}, "time zone"),
        ("ON_DEMAND", {"start": NOON.timestamp(), "end": NOON}, "time zone"),
        ("ON_DEMAND", {"start": NOON, "end": NOON}, "24 hours"),
        ("ON_DEMAND", {"start": NOON, "end": NOON - SECOND}, "24 hours"),
        ("LIVE_REPLAY", {"start": NOON, "end": NOON + DAY + SECOND}, "24 hours"),
        ("YESTERDAY", {"start": NOON}, "LIVE_REPLAY"),
    ],
    ids=str,
)
def test_what_aws_would_refuse_is_refused_before_it_is_asked(
    mode: str, options: dict[str, Any], says: str
) -> None:
    """The error says what to give."""
    with pytest.raises(SettingsError, match=says):
        asked(mode, **options)
