"""Decide whether a certificate and its key can be used, and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backpack.errors import SettingsError

if TYPE_CHECKING:
    import os
    import ssl


def absolute_path(path: str | os.PathLike[str] | None) -> str | None:
    """Return the path of a file as the streaming process, which stands elsewhere, can use it."""
    return None if path is None else str(Path(path).absolute())


def check_certificate(certificate: str | None, key: str | None) -> None:
    """
    Refuse a certificate and a key that a server cannot use. Reads the files.

    Args:
        certificate: Path of a PEM file. None: there is none.
        key: Path of the private key, PEM. None: it stands in the same file.

    Raises:
        SettingsError: Which file, why, and what to give instead.

    """
    if key is not None and certificate is None:
        raise SettingsError("key= was given without certificate=. Give both, as PEM files.")
    if certificate is None:
        return
    for name, path in (("certificate", certificate), ("key", key)):
        if path is not None:
            _check_pem(name, path)
    server_context(certificate, key)


def server_context(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """
    Make what a server needs to speak TLS, 1.2 or newer (RFC 8996). Reads the files.

    Args:
        certificate: Path of a PEM file. None: no TLS.
        key: Path of the private key, PEM. None: it stands in the same file.

    Raises:
        SettingsError: They cannot be used.

    """
    if certificate is None:
        return None
    # Costs 10 ms to import; only those who serve over TLS pay.
    import ssl  # noqa: PLC0415

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password function OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        where = f"certificate={certificate!r}" + ("" if key is None else f" and key={key!r}")
        raise SettingsError(f"{where} cannot be used: {_explain_tls(error)}.") from error
    return context


def _check_pem(name: str, path: str) -> None:
    try:
        text = Path(path).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        raise SettingsError(f"{name}={path!r} cannot be read: {error}. Give a PEM file.") from error
    if b"-----BEGIN " not in text:
        raise SettingsError(
            f"{name}={path!r} is not a PEM file. Give one that has a line '-----BEGIN …'."
        )


def _explain_tls(error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    if "KEY_VALUES_MISMATCH" in reason or "KEY_TYPE_MISMATCH" in reason:
        return "the key is not the certificate's. Give the key it was made with"
    if "BAD_DECRYPT" in reason or "BAD_PASSWORD" in reason or "PROBLEMS_GETTING" in reason:
        return "the key is encrypted. Give one without a passphrase, readable by you alone"
    return f"{error}. Give a PEM certificate, and its private key in the same file or as key="
