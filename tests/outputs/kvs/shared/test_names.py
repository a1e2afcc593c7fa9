from __future__ import annotations

import pytest

from backpack._outputs.kvs.shared.names import (
    check_endpoint,
    check_region,
    check_retention_hours,
    check_stream_name,
    control_endpoint,
)
from backpack.errors import SettingsError

LOCAL = "http://127.0.0.1:8443"


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("us-east-1", "https://kinesisvideo.us-east-1.amazonaws.com"),
        ("ap-southeast-2", "https://kinesisvideo.ap-southeast-2.amazonaws.com"),
        ("us-gov-west-1", "https://kinesisvideo.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://kinesisvideo.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_region_has_its_endpoint(region: str, endpoint: str) -> None:
    """Of the documented form, and taken as one of AWS's."""
    assert control_endpoint(region) == endpoint
    assert check_endpoint(endpoint, region=region) == endpoint


@pytest.mark.parametrize(
    "region",
    ["", "us-east", "US-EAST-1", "us-east-1.evil.test", "us-east-1/", "us_east_1", 7, None],
)
def test_what_is_no_region_is_refused(region: object) -> None:
    """Before a host is made of it."""
    with pytest.raises(SettingsError, match="us-east-1"):
        check_region(region)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 257, "a\n", 7, None])
def test_what_is_no_stream_name_is_refused(name: object) -> None:
    """AWS would refuse it as well, later."""
    with pytest.raises(SettingsError, match="stream_name"):
        check_stream_name(name)


def test_stream_names_that_aws_takes_are_taken() -> None:
    """Letters, digits and three other characters."""
    for name in ("panorama-video", "a.b_C-9", "x" * 256):
        assert check_stream_name(name) == name


@pytest.mark.parametrize("hours", [-1, 87_601, 1.5, "24", True, None])
def test_what_is_no_retention_is_refused(hours: object) -> None:
    """Whole hours, ten years at most."""
    with pytest.raises(SettingsError, match="retention_hours"):
        check_retention_hours(hours)


def test_each_partition_has_its_own_hosts() -> None:
    """GovCloud's are named like all others, China's have a domain of their own."""
    for url, region in (
        ("https://s-1.kinesisvideo-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://s-1.kinesisvideo.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://s-1.kinesisvideo.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ):
        assert check_endpoint(url, region=region, configured=LOCAL) == url


@pytest.mark.parametrize(
    ("url", "configured"),
    [
        ("https://s-1234abcd.kinesisvideo.us-east-1.amazonaws.com", None),
        ("https://s-1234abcd.kinesisvideo.us-east-1.amazonaws.com/", None),
        ("https://b-1234abcd.kinesisvideo.us-east-1.amazonaws.com:443", None),
        ("https://s-1.kinesisvideo-fips.us-east-1.amazonaws.com", None),
        ("https://vpce-1a-2b.kinesisvideo.us-east-1.vpce.amazonaws.com", None),
        ("https://s-1.kinesisvideo.us-east-1.amazonaws.com", "https://proxy.example"),
        ("https://s-1.kinesisvideo.us-east-1.amazonaws.com", LOCAL),
        (
            "https://s-1.kinesisvideo.us-east-1.amazonaws.com",
            "https://kinesisvideo-fips.us-east-1.amazonaws.com",
        ),
        (
            "https://s-1.kinesisvideo-fips.us-east-1.amazonaws.com",
            "https://kinesisvideo-fips.us-east-1.amazonaws.com",
        ),
        (
            "https://s-1.kinesisvideo.us-east-1.amazonaws.com",
            "https://vpce-1a-2b.kinesisvideo.us-east-1.vpce.amazonaws.com",
        ),
        (LOCAL, LOCAL),
        ("http://127.0.0.1:9", "http://localhost:8443"),
        ("http://[::1]:9", LOCAL),
        ("https://video.example:9", "https://video.example"),
    ],
)
def test_endpoints_that_may_be_signed_for(url: str, configured: str | None) -> None:
    """AWS's own in the stream's region, and those on the configured host."""
    found = check_endpoint(url, region="us-east-1", configured=configured)

    assert found == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "https://kinesisvideo.eu-west-1.amazonaws.com",
        "https://s-1.kinesisvideo-fips.eu-west-1.amazonaws.com",
        "https://vpce-1a-2b.kinesisvideo.eu-west-1.vpce.amazonaws.com",
    ],
)
@pytest.mark.parametrize("configured", [True, False])
def test_an_endpoint_of_another_region_is_told_as_that(url: str, *, configured: bool) -> None:
    """Whoever has named it: AWS would refuse the signature, with words about the key."""
    with pytest.raises(SettingsError, match="is of region eu-west-1, and stream_region is"):
        check_endpoint(url, region="us-east-1", configured=url if configured else None)


@pytest.mark.parametrize(
    ("url", "configured"),
    [
        ("https://kinesisvideo.us-east-1.amazonaws.com.evil.test", None),
        ("https://evilkinesisvideo.us-east-1.amazonaws.com", None),
        ("https://s-1.kinesisvideo.eu-west-1.amazonaws.com", None),
        ("https://s3.us-east-1.amazonaws.com", None),
        ("http://s-1.kinesisvideo.us-east-1.amazonaws.com", None),
        ("http://127.0.0.1:9", None),
        ("https://user@s-1.kinesisvideo.us-east-1.amazonaws.com", None),
        ("https://s-1.kinesisvideo.us-east-1.amazonaws.com/putMedia", None),
        ("https://s-1.kinesisvideo.us-east-1.amazonaws.com?x", None),
        ("https://s-1.kinesisvideo.us-east-1.amazonaws.com:x", None),
        ("ftp://127.0.0.1", LOCAL),
        ("https://other.example", "https://video.example"),
        ("https://s-1.kinesisvideo.eu-west-1.amazonaws.com", LOCAL),
        ("http://s-1.kinesisvideo.us-east-1.amazonaws.com", LOCAL),
        ("https://vpce-1.vpce-svc-2.us-east-1.vpce.amazonaws.com", None),
        ("http://127.0.0.1:9", "https://video.example"),
        ("http://video.example", "http://video.example"),
        ("http://192.0.2.1", "http://192.0.2.1"),
        ("", None),
        (None, None),
        ("https://[::1", None),
        ("https://s-1.kinesisvideo.us-east-1.amazonaws.com\r\nx: y", None),
        ("https://s 1.kinesisvideo.us-east-1.amazonaws.com", None),
    ],
)
def test_endpoints_that_may_not_be_signed_for(url: object, configured: str | None) -> None:
    """Other hosts, other regions, plain http over a network, and what is no host alone."""
    with pytest.raises(SettingsError, match="endpoint"):
        check_endpoint(url, region="us-east-1", configured=configured)
