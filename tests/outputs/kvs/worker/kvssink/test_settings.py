from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

LEAST = {"region": "us-east-1", "stream_name": "door"}


def test_the_properties_of_a_plain_stream() -> None:
    """What kvssink is told, and nothing of who we are."""
    settings = SinkSettings.from_dict(
        {"kind": "kvssink", **LEAST, "credentials_path": "/c", "fps": 29.97, "bitrate_kbps": 2500}
    )
    properties = settings.properties
    log_config = properties.pop("log-config")

    assert properties == {
        "stream-name": "door",
        "aws-region": "us-east-1",
        "allow-create-stream": False,
        "retention-period": 24,
        "key-frame-fragmentation": False,
        "fragment-duration": 2000,
        "storage-size": 128,
        "buffer-duration": 120,
        "replay-duration": 40,
        "max-latency": 60,
        "connection-staleness": 60,
        "framerate": 30,
        "stop-stream-timeout": 30,
        "use-original-pts": True,
        "get-kvs-metrics": True,
        "avg-bandwidth-bps": 2_500_000,
        "credential-path": "/c",
    }
    assert str(log_config).endswith("kvs_log_configuration")


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ({"buffer_bytes": 1}, "storage-size", 10),
        ({"buffer_bytes": 1 << 40}, "storage-size", 10_240),
        ({"buffer_bytes": (20 << 20) + 1}, "storage-size", 21),
        ({"buffer_seconds": 1.0}, "buffer-duration", 20),
        ({"buffer_seconds": 1.0}, "max-latency", 20),
        ({"buffer_seconds": 1.0}, "replay-duration", 20),
        ({"fragment_seconds": 1.5}, "fragment-duration", 1500),
        ({"fps": 0.2}, "framerate", 1),
        ({"fps": None}, "framerate", 30),
        ({"stop_seconds": 0.2}, "stop-stream-timeout", 1),
        ({"create_stream": True}, "allow-create-stream", True),
        ({"retention_hours": 0}, "retention-period", 0),
        ({"log_config": "/l"}, "log-config", "/l"),
    ],
)
def test_values_within_what_its_sdk_takes(change: dict[str, Any], name: str, value: Any) -> None:
    """A buffer that is too small for it is made as large as it must be."""
    assert SinkSettings(**LEAST, **change).properties[name] == value


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"region": "mars"}, "stream_region"),
        ({"stream_name": "a b"}, "stream_name"),
        ({"retention_hours": -1}, "retention_hours"),
        ({"endpoint": "http://example.com"}, "plain http"),
        ({"ca_bundle": "/etc/ca.crt"}, "pem"),
        ({"metadata": {"a": "b"}}, "native"),
        ({"buffer_seconds": 0}, "buffer_seconds"),
        ({"fragment_seconds": -1}, "fragment_seconds"),
    ],
)
def test_what_would_be_refused_later_is_refused_now(change: dict[str, Any], match: str) -> None:
    """SettingsError with the value and what is allowed."""
    with pytest.raises(SettingsError, match=match):
        SinkSettings.from_dict(LEAST | change)


def test_a_description_that_lacks_something() -> None:
    """SettingsError, not TypeError."""
    with pytest.raises(SettingsError, match="stream_name"):
        SinkSettings.from_dict({"region": "us-east-1"})


def test_certificates_may_be_a_folder(tmp_path: Path) -> None:
    """As kvssink takes them."""
    SinkSettings(**LEAST, ca_bundle=str(tmp_path)).validate()
    SinkSettings(**LEAST, ca_bundle="/x.pem").validate()
