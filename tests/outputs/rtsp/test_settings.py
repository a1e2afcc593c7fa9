from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.rtsp.settings import RTSPServerSettings
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_defaults_are_safe() -> None:
    """Without a word said, the server listens on this machine alone."""
    settings = RTSPServerSettings()

    settings.validate()

    assert settings.address == "127.0.0.1"
    assert settings.port == 8554
    assert not settings.secure


def test_a_password_never_shows() -> None:
    """Neither repr nor str shows a password; the names they do."""
    settings = RTSPServerSettings(users={"anna": "s3cret"})

    for text in (repr(settings), str(settings), f"{settings}"):
        assert "s3cret" not in text
        assert "anna" in text


def test_settings_cross_the_border_as_json() -> None:
    """What to_dict gives survives JSON and makes equal settings."""
    settings = RTSPServerSettings(
        address="::1",
        port=0,
        users={"anna": "s3cret"},
        certificate="/a.pem",
        key="/b.pem",
        rtp_ports=(5000, 5009),
        allow_anonymous=True,
    )

    assert RTSPServerSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert RTSPServerSettings.from_dict(RTSPServerSettings().to_dict()) == RTSPServerSettings()


def test_unknown_settings_are_refused() -> None:
    """A setting that this version does not know is not passed over."""
    with pytest.raises(SettingsError, match="colour"):
        RTSPServerSettings.from_dict({"port": 1, "colour": "red"})


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_wider_address_needs_users(address: str) -> None:
    """Beyond this machine nothing is shown without a login, unless that is asked for."""
    with pytest.raises(SettingsError, match=r"users=.*allow_anonymous=True"):
        RTSPServerSettings(address=address).validate()

    RTSPServerSettings(address=address, users={"anna": "pw"}).validate()
    RTSPServerSettings(address=address, allow_anonymous=True).validate()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.5", "::1", "localhost", "[::1]"])
def test_loopback_needs_no_users(address: str) -> None:
    """Any loopback address, number or name, is open to this machine."""
    RTSPServerSettings(address=address).validate()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"port": 70000}, "port="),
        ({"address": "203.0.113.7", "allow_anonymous": True}, "address="),
        ({"users": {"a:b": "pw"}}, "users"),
        ({"key": "key.pem"}, "without certificate="),
        ({"certificate": "/nowhere.pem"}, "cannot be read"),
    ],
)
def test_what_no_server_can_have_is_refused(settings: dict[str, Any], named: str) -> None:
    """What holds for every server that listens holds for this one."""
    with pytest.raises(SettingsError, match=named):
        RTSPServerSettings(**settings).validate()


def test_a_certificate_makes_it_rtsps(certificate: tuple[Path, Path]) -> None:
    """With a certificate and its key it is secure."""
    cert, key = map(str, certificate)
    settings = RTSPServerSettings(certificate=cert, key=key)

    settings.validate()
    assert settings.secure


@pytest.mark.parametrize(
    "ports", [(1, 1), (5001, 5002), (5000, 5000), (9, 3), (0, 99), (1, 70000), (5000,), "ab", 7]
)
def test_rtp_ports_that_cannot_be_are_refused(ports: Any) -> None:
    """RTP takes an even port and RTCP the odd one above it."""
    with pytest.raises(SettingsError, match="rtp_ports"):
        RTSPServerSettings(rtp_ports=ports).validate()


@pytest.mark.parametrize("ports", [(5000, 5001), (5001, 5003), (1, 65535)])
def test_rtp_ports_with_a_pair_are_taken(ports: tuple[int, int]) -> None:
    """One pair is enough."""
    RTSPServerSettings(rtp_ports=ports).validate()


def test_the_application_side_needs_no_gstreamer() -> None:
    """The settings load neither gi, nor ssl, nor numpy."""
    code = (
        "import sys, importlib.util as u, pathlib, types\n"
        "import backpack._outputs.rtsp.settings\n"
        "print([m for m in ('gi', 'ssl') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
