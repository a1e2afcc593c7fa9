"""Get a device's credentials from AWS IoT, to which it shows its certificate (X.509)."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.handlers import KVSCredentialsHandler
from backpack._outputs.kvs.shared.proxy import route_from
from backpack._outputs.kvs.shared.quoting import quote
from backpack.errors import CredentialsError, SettingsError

if TYPE_CHECKING:
    import http.client
    import logging
    import ssl

    from backpack._outputs.kvs.credentials.file import CredentialsFile

_SECONDS: Final = 10.0
"""For the connection, and once more for each answer."""
_LARGEST_ANSWER: Final = 64 * 1024
_LONGEST_MESSAGE: Final = 200
_PORT: Final = 443
_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404

# (AWS IoT API Reference, CreateRoleAlias and CreateThing.)
_ALIAS: Final = re.compile(r"[\w=,@-]{1,128}", re.ASCII)
_THING: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


class KVSIoTCredentialsHandler(KVSCredentialsHandler):
    """
    Credentials of a device, from the credentials provider of AWS IoT.

    For many cameras: each has a certificate of its own, which can be revoked alone, and one
    role alias sets what all of them may do. (Policies may name the device as
    ``${credentials-iot:ThingName}``, so that each may write to its own stream only.) The files
    are those that AWS IoT or Greengrass has put on the device. They are read whenever
    credentials are needed. kvssink gets their names as ``iot-certificate``.

    Args:
        endpoint: Endpoint of the account, as shown by ``aws iot describe-endpoint
            --endpoint-type iot:CredentialProvider``:
            ``….credentials.iot.us-east-1.amazonaws.com``.
        role_alias: Name of the role alias.
        certificate: File with the certificate of the device (PEM).
        key: File with its private key (PEM), without a password.
        thing_name: Name of the device in AWS IoT.
        ca_certificate: File with the certificate authorities that are trusted for the
            endpoint. None: ``AWS_CA_BUNDLE``, else those of the system.
        parent_logger: As in `KVSCredentialsHandler`.

    Raises:
        SettingsError: A file is missing, or a name is invalid.

    """

    def __init__(
        self,
        endpoint: str,
        role_alias: str,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str],
        thing_name: str,
        *,
        ca_certificate: str | os.PathLike[str] | None = None,
        parent_logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(parent_logger=parent_logger)
        self._host, self._port = _place(endpoint)
        if not _ALIAS.fullmatch(role_alias):
            raise SettingsError(f"role_alias={role_alias!r}: give the name of a role alias.")
        if not _THING.fullmatch(thing_name):
            raise SettingsError(f"thing_name={thing_name!r}: give the name of a thing of AWS IoT.")
        self._role_alias, self._thing_name = role_alias, thing_name
        self._certificate = _file("certificate", certificate)
        self._key = _file("key", key)
        self._authorities = (
            None if ca_certificate is None else _file("ca_certificate", ca_certificate)
        )

    def get_credentials(self) -> Credentials:
        """
        Request credentials from AWS IoT. Blocks.

        Raises:
            CredentialsError: It does not answer, or refuses.

        """
        import http.client  # noqa: PLC0415 - for those only who need it
        import ssl  # noqa: PLC0415

        context = self._context()
        try:
            status, body = self._ask(context)
        except ssl.SSLCertVerificationError as error:
            raise CredentialsError(
                f"The certificate of {self._host} is not trusted ({error.verify_message}): give "
                "the file of the authority that signed it as ca_certificate=."
            ) from error
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            raise CredentialsError(
                f"{self._host} does not take the certificate of {self._thing_name}: see in AWS "
                f"IoT that it is active ({_reason(error)})."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise CredentialsError(f"{self._host} is not reached: {_reason(error)}.") from error
        if status != _OK:
            self._refuse(status, body)
        return _read(body)

    def credentials_file(self, *, kvssink: bool) -> CredentialsFile | None:  # noqa: ARG002
        """Return none: kvssink asks AWS IoT itself."""
        return None

    @property
    def iot_certificate(self) -> dict[str, str]:
        """
        What kvssink's property ``iot-certificate`` holds: names, and no secret.

        Raises:
            SettingsError: It has to be told whom to trust, and that is not known.

        """
        trusted = self._trusted() or _system_bundle()
        if not trusted:
            raise SettingsError("ca_certificate: kvssink wants a file of authorities; give one.")
        place = self._host if self._port == _PORT else f"{self._host}:{self._port}"
        return {
            "endpoint": place,
            "cert-path": self._certificate,
            "key-path": self._key,
            "ca-path": trusted,
            "role-aliases": self._role_alias,
            "iot-thing-name": self._thing_name,
        }

    def _trusted(self) -> str | None:
        return self._authorities or os.environ.get("AWS_CA_BUNDLE") or None

    def _context(self) -> ssl.SSLContext:
        import ssl  # noqa: PLC0415

        try:
            context = ssl.create_default_context(cafile=self._trusted())
        except OSError as error:
            raise CredentialsError(
                f"{self._trusted()} cannot be read: {_reason(error)}."
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (OSError, ValueError) as error:
            raise CredentialsError(
                f"The certificate {self._certificate} and the key {self._key} cannot be used "
                f"together: {_reason(error)}."
            ) from error
        return context

    def _ask(self, context: ssl.SSLContext) -> tuple[int, bytes]:
        connection = self._connect(context)
        try:
            connection.request(
                "GET",
                f"/role-aliases/{self._role_alias}/credentials",
                headers={"x-amzn-iot-thingname": self._thing_name},
            )
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST_ANSWER)
        finally:
            connection.close()

    def _connect(self, context: ssl.SSLContext) -> http.client.HTTPSConnection:
        """Prepare a connection, through the application's proxy if there is one."""
        import http.client  # noqa: PLC0415

        proxy = route_from(os.environ).proxy_for(self._host, self._port)
        host, port = (self._host, self._port) if proxy is None else proxy.place
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
        if proxy is not None:
            login = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
            connection.set_tunnel(self._host, self._port, login)
        return connection

    def _refuse(self, status: int, body: bytes) -> NoReturn:
        told = _message(body)
        says = f" (AWS says: {told})" if told else ""
        if status == _NOT_FOUND:
            raise CredentialsError(
                f"There is no role alias {self._role_alias!r} in this account and region{says}."
            )
        if status == _FORBIDDEN:
            raise CredentialsError(
                f"AWS IoT gives {self._thing_name!r} no credentials: attach the certificate to "
                "this thing, and to it a policy that allows iot:AssumeRoleWithCertificate on the "
                f"role alias {self._role_alias!r}, whose role credentials.iot.amazonaws.com may "
                f"assume{says}."
            )
        raise CredentialsError(f"AWS IoT answers {status}{says}.")


def _place(endpoint: str) -> tuple[str, int]:
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        port = parts.port or _PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    plain = parts.path in ("", "/") and not parts.query and parts.username is None
    if parts.scheme != "https" or not parts.hostname or not plain:
        raise SettingsError(
            f"endpoint={endpoint!r}: give the host that `aws iot describe-endpoint "
            "--endpoint-type iot:CredentialProvider` tells."
        )
    return parts.hostname, port


def _file(name: str, path: str | os.PathLike[str]) -> str:
    """Return the path of a file, absolute: kvssink reads it in another directory."""
    found = Path(path).expanduser().absolute()
    try:
        with found.open("rb"):
            return str(found)
    except OSError as error:
        raise SettingsError(f"{name}={str(path)!r} cannot be read: {error.strerror}.") from error


def _system_bundle() -> str | None:
    import ssl  # noqa: PLC0415

    return ssl.get_default_verify_paths().cafile


def _no_password() -> NoReturn:
    """Ask nobody: there is nobody at a camera."""
    raise ValueError("the key has a password; give one without")


def _reason(error: BaseException) -> str:
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return quote(str(text) or type(error).__name__, _LONGEST_MESSAGE).rstrip(".")


def _message(body: bytes) -> str:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ""
    return quote(str(found.get("message", "")), _LONGEST_MESSAGE) if isinstance(found, dict) else ""


def _read(body: bytes) -> Credentials:
    try:
        found = json.loads(body)["credentials"]
        expires = dt.datetime.fromisoformat(str(found["expiration"]).replace("Z", "+00:00"))
        keys = found["accessKeyId"], found["secretAccessKey"], found["sessionToken"]
    except (ValueError, KeyError, TypeError):
        raise CredentialsError("AWS IoT's answer cannot be read.") from None
    return Credentials.of(*keys, expires, source="iot")
