from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from backpack.errors import SettingsError
from backpack.rtsp.settings import RTSPServerSettings, check_mount_path

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
    "address", ["203.0.113.7", "2001:db8::7", "", "no.such.host.invalid", "fe80::1%lo", None, "a b"]
)
def test_an_address_that_is_not_ours_is_refused(address: Any) -> None:
    """An address of another machine, or none at all, is named in the error."""
    with pytest.raises(SettingsError, match="address="):
        RTSPServerSettings(address=address, allow_anonymous=True).validate()


def test_the_error_for_another_machine_names_the_pushing_form() -> None:
    """Who meant to push learns how."""
    with pytest.raises(SettingsError, match=r"rtsp\+push://"):
        RTSPServerSettings(address="203.0.113.7", allow_anonymous=True).validate()


@pytest.mark.parametrize("port", [-1, 65536, "8554", 8554.0, True, None])
def test_a_port_that_cannot_be_is_refused(port: Any) -> None:
    """A port is a whole number from 0 to 65535."""
    with pytest.raises(SettingsError, match="port="):
        RTSPServerSettings(port=port).validate()


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


@pytest.mark.parametrize(
    "users",
    [{"": "pw"}, {"a:b": "pw"}, {'a"b': "pw"}, {"a\n": "pw"}, {"anna": ""}, {"anna": "p\r\nw"}],
)
def test_users_that_cannot_log_in_are_refused(users: dict[str, str]) -> None:
    """A name or password that no client could send is named, but not the password."""
    with pytest.raises(SettingsError, match="users"):
        RTSPServerSettings(users=users).validate()


@pytest.mark.parametrize("path", ["/cam", "/a/b", "/Front-Door_1.x~"])
def test_good_mount_paths_are_taken(path: str) -> None:
    """Letters, digits and the four signs that URLs never escape."""
    assert check_mount_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "cam",
        "/cam/",
        "//cam",
        "/a b",
        "/a?b",
        "/a#b",
        "/ä",
        "/a/../b",
        "/.",
        "/" + 300 * "a",
    ],
)
def test_bad_mount_paths_are_refused(path: str) -> None:
    """A path that players could not ask for is refused, and an example given."""
    with pytest.raises(SettingsError, match="/front_door"):
        check_mount_path(path)


def test_a_certificate_with_its_key_is_taken(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Two files do, and so does one that holds both."""
    cert, key = certificate
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())

    RTSPServerSettings(certificate=str(cert), key=str(key)).validate()
    RTSPServerSettings(certificate=str(both)).validate()


def test_tls_files_that_cannot_be_used_are_named(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Missing, foreign, mismatched, encrypted: each is told apart, with what to do."""
    cert, key = (str(path) for path in certificate)
    text = tmp_path / "text.pem"
    text.write_text("hello")
    encrypted, other = tmp_path / "encrypted.pem", tmp_path / "other.pem"
    for command in (
        f"openssl rsa -aes128 -passout pass:x -in {key} -out {encrypted}",
        f"openssl genrsa -out {other} 2048",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)

    def refusal(certificate: str | None, key: str | None) -> str:
        with pytest.raises(SettingsError) as caught:
            RTSPServerSettings(certificate=certificate, key=key).validate()
        return str(caught.value)

    assert "cannot be read" in refusal(str(tmp_path / "none.pem"), key)
    assert "cannot be read" in refusal(cert, str(tmp_path / "none.pem"))
    assert "not a PEM file" in refusal(str(text), key)
    assert "not the certificate's" in refusal(cert, str(other))
    assert "encrypted" in refusal(cert, str(encrypted))
    assert "private key" in refusal(cert, None)
    assert "without certificate" in refusal(None, key)


def test_the_application_side_needs_no_gstreamer() -> None:
    """The settings load neither gi, nor ssl, nor numpy."""
    code = (
        "import sys, importlib.util as u, pathlib, types\n"
        "import backpack.rtsp.settings\n"
        "print([m for m in ('gi', 'ssl') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
