from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.web.settings import WebServerSettings, check_stream_path
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0123456789abcdef"


def test_settings_cross_the_border_as_json() -> None:
    """What the application gives is what the streaming process reads."""
    settings = WebServerSettings(
        port=81, token=TOKEN, users={"anna": "pw"}, allowed_hosts=("cam.example.org",)
    )

    assert WebServerSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_a_setting_of_another_version_is_named() -> None:
    """The two sides may differ in version."""
    with pytest.raises(SettingsError, match="sparkle"):
        WebServerSettings.from_dict({"sparkle": 1})


def test_no_secret_is_shown() -> None:
    """Whoever logs the settings logs neither token nor password."""
    shown = repr(WebServerSettings(token=TOKEN, users={"anna": "secret"}))

    assert TOKEN not in shown
    assert "secret" not in shown
    assert "anna" in shown


@pytest.mark.parametrize(
    "settings",
    [
        {"token": TOKEN},
        {"users": {"anna": "pw"}},
        {"allow_anonymous": True},
        {"token": TOKEN, "address": "0.0.0.0"},
        {"token": TOKEN, "address": "::1"},
        {"token": TOKEN, "allowed_hosts": ("cam.example.org", "10.0.0.1", "[2001:db8::1]")},
    ],
)
def test_what_can_be_is_taken(settings: dict[str, Any]) -> None:
    """A token or users or an explicit yes to anybody, on any address of ours."""
    WebServerSettings(**settings).validate()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "allow_anonymous"),
        ({"address": "0.0.0.0"}, "allow_anonymous"),
        ({"token": "short"}, "token"),
        ({"token": "has spaces in it, and commas"}, "token"),
        ({"token": TOKEN, "address": "203.0.113.7"}, "address="),
        ({"token": TOKEN, "port": 70000}, "port="),
        ({"token": TOKEN, "users": {"a:b": "pw"}}, "users"),
        ({"token": TOKEN, "users": {"anna": ""}}, "users"),
        ({"token": TOKEN, "key": "key.pem"}, "without certificate="),
        ({"token": TOKEN, "certificate": "/nowhere.pem"}, "cannot be read"),
        ({"token": TOKEN, "allowed_hosts": "cam.example.org"}, "allowed_hosts"),
        ({"token": TOKEN, "allowed_hosts": ("http://cam.example.org",)}, "allowed_hosts"),
        ({"token": TOKEN, "max_viewers": 0}, "max_viewers"),
        ({"token": TOKEN, "max_viewers": "many"}, "max_viewers"),
    ],
)
def test_what_cannot_be_is_named(settings: dict[str, Any], named: str) -> None:
    """The error says which setting, and never shows a token."""
    with pytest.raises(SettingsError) as caught:
        WebServerSettings(**settings).validate()
    assert named in str(caught.value)
    assert "spaces" not in str(caught.value)


def test_a_server_is_open_only_without_any_secret() -> None:
    """Saying yes to anybody takes back neither token nor users that were given."""
    assert WebServerSettings(allow_anonymous=True).is_open
    assert not WebServerSettings(allow_anonymous=True, token=TOKEN).is_open
    assert not WebServerSettings(allow_anonymous=True, users={"anna": "pw"}).is_open


def test_a_certificate_makes_it_https(certificate: tuple[Path, Path]) -> None:
    """With a certificate and its key it is secure."""
    cert, key = map(str, certificate)
    settings = WebServerSettings(token=TOKEN, certificate=cert, key=key)

    settings.validate()
    assert settings.secure


@pytest.mark.parametrize("path", ["/cam", "/a/b", "/Front-Door_1.x~", "/wsx", "/a/snapshot"])
def test_good_paths_are_taken(path: str) -> None:
    """Letters, digits and the four signs that URLs never escape."""
    assert check_stream_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "cam", "/cam/", "/a b", "/a/../b", "/ä"),
        *("/metrics", "/healthz", "/api/streams", "/static/x", "/a/ws", "/a/whep", "/ws"),
        *("/a/snapshot.jpg", "/a/stream.mjpg/b", "/favicon.ico"),
    ],
)
def test_bad_paths_are_refused(path: str) -> None:
    """No browser could ask for it, or the server itself answers there; an example is given."""
    with pytest.raises(SettingsError, match="/front_door"):
        check_stream_path(path)
