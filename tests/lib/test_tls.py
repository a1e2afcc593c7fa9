from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backpack._lib.tls import absolute_path, check_certificate
from backpack.errors import SettingsError


def test_a_certificate_with_its_key_is_taken(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Two files do, and so does one that holds both, and so does none."""
    cert, key = certificate
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())

    check_certificate(str(cert), str(key))
    check_certificate(str(both), None)
    check_certificate(None, None)


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
            check_certificate(certificate, key)
        return str(caught.value)

    assert "cannot be read" in refusal(str(tmp_path / "none.pem"), key)
    assert "cannot be read" in refusal(cert, str(tmp_path / "none.pem"))
    assert "not a PEM file" in refusal(str(text), key)
    assert "not the certificate's" in refusal(cert, str(other))
    assert "encrypted" in refusal(cert, str(encrypted))
    assert "private key" in refusal(cert, None)
    assert "without certificate" in refusal(None, key)


def test_paths_are_those_of_the_application() -> None:
    """The streaming process stands in another folder."""
    assert absolute_path("cert.pem") == str(Path.cwd() / "cert.pem")
    assert absolute_path(Path("/etc/cert.pem")) == "/etc/cert.pem"
    assert absolute_path(None) is None
