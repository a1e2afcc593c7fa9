"""Refuse regions, streams and endpoints that cannot be, before anything is signed for them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_STREAM_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
_LONGEST_RETENTION_HOURS: Final = 87_600


def check_region(region: object) -> str:
    """
    Refuse what cannot be the name of a region.

    Raises:
        SettingsError: It has not their form.

    """
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise SettingsError(
            f"stream_region={region!r} is no region of AWS. They look like 'us-east-1'."
        )
    return region


def check_stream_name(name: object) -> str:
    """
    Refuse a stream name that AWS would refuse.

    Raises:
        SettingsError: It is too long, empty, or has other characters.

    """
    if not isinstance(name, str) or not _STREAM_NAME.fullmatch(name):
        raise SettingsError(
            f"stream_name={name!r}: give 1 to 256 letters (a to z), digits, '_', '.' and '-'."
        )
    return name


def check_retention_hours(hours: object) -> int:
    """
    Refuse a retention that AWS would refuse.

    Raises:
        SettingsError: It is no whole number of hours, or more than ten years.

    """
    whole = isinstance(hours, int) and not isinstance(hours, bool)
    if not whole or not 0 <= hours <= _LONGEST_RETENTION_HOURS:  # type: ignore[operator]
        raise SettingsError(
            f"retention_hours={hours!r}: give 0 (nothing is kept, nothing can be played back) "
            f"to {_LONGEST_RETENTION_HOURS}, in whole hours."
        )
    return int(hours)  # type: ignore[call-overload, no-any-return]


def control_endpoint(region: str) -> str:
    """Return where AWS answers for a region, where botocore's data cannot be asked."""
    return f"https://kinesisvideo.{check_region(region)}.{_domain(region)}"


def check_endpoint(
    url: object, *, region: str, configured: str | None = None, hosts: Sequence[str] = ()
) -> str:
    """
    Refuse an endpoint that no request may be signed for.

    Args:
        url: What is to be called, as configured or as AWS named it.
        region: The stream's.
        configured: The endpoint that was named instead of the region's, if one was.
            Others on its host are taken beside AWS's own: it may be a proxy, or one of
            AWS's under another name, and name a host of AWS's for video.
        hosts: AWS's in this region, see `shared.endpoints`. Empty: as far as their
            names are known here.

    Returns:
        The endpoint, without a slash at its end.

    Raises:
        SettingsError: It is no URL of a host alone, is not AWS's nor the
            configured one, or would send in clear over a network.

    """
    parts = _split(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        if not _is_loopback(host):
            raise SettingsError(
                f"endpoint {url!r}: plain http is taken on this machine only. Give https."
            )
    elif parts.scheme != "https":
        raise SettingsError(f"endpoint {url!r}: give https://host.")
    own = "" if configured is None else _split(configured).hostname or ""
    if _is_aws(host, region, hosts):
        return str(url).rstrip("/")
    other = _other_region(host, region, hosts)
    if other:
        raise SettingsError(
            f"endpoint {url!r} is of region {other}, and stream_region is {region!r}: give both "
            "the same region."
        )
    if not _is_same(host, own):
        also = f", and not on the configured host, {own!r}" if own else ""
        raise SettingsError(f"endpoint {url!r} is none of Kinesis Video Streams in {region}{also}.")
    return str(url).rstrip("/")


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _is_aws(host: str, region: str, hosts: Sequence[str]) -> bool:
    return any(host == base or host.endswith(f".{base}") for base in _bases(region, hosts))


def _other_region(host: str, region: str, hosts: Sequence[str]) -> str:
    """Return the other region that a host of AWS's belongs to; empty if to none."""
    for base in _bases(region, hosts):
        form = re.escape(base).replace(re.escape(region), f"({_REGION.pattern})", 1)
        found = re.fullmatch(rf"(?:.*\.)?{form}", host)
        if found is not None:
            return found[1]
    return ""


def _bases(region: str, hosts: Sequence[str]) -> list[str]:
    """List what AWS's hosts of a region are, or are within."""
    known = hosts or [
        f"{service}.{region}.{_domain(region)}" for service in ("kinesisvideo", "kinesisvideo-fips")
    ]
    # The names of a VPC's own endpoints. (Amazon VPC, AWS PrivateLink Guide.)
    own = [base.replace(f".{region}.", f".{region}.vpce.", 1) for base in known]
    return [*known, *own]


def _is_same(host: str, own: str) -> bool:
    return host == own or (_is_loopback(host) and _is_loopback(own))


def _split(url: object) -> SplitResult:
    try:
        # What urlsplit leaves out without a word would still be in the URL.
        text = url if isinstance(url, str) and _PLAIN.fullmatch(url) else ""
        parts = urlsplit(text)
        # Reading the port raises where it is none.
        alone = parts.port != 0 and parts.hostname and parts.path in ("", "/")
    except ValueError:
        alone = None
    if not alone or parts.query or parts.fragment or parts.username is not None:
        raise SettingsError(f"endpoint {url!r}: give a host alone, such as https://host:port.")
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
