from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from backpack.errors import CredentialsError, SettingsError
from backpack.kvs import KVSIoTCredentialsHandler
from tests.kvs_server.proxy import ConnectProxy
from tests.kvs_server.server import SECRET_KEY
from tests.kvs_server.tls import make_certificate
from tests.outputs.kvs.iot import ALIAS, THING, Device, IoTProvider, make_authority, make_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make who signs devices."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the endpoint's own certificate."""
    return make_certificate(tmp_path_factory.mktemp("endpoint"))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Device:
    """Make a device."""
    return make_device(tmp_path_factory.mktemp("device"), authority)


@pytest.fixture
def provider(certificate: Path, authority: Path) -> Iterator[IoTProvider]:
    """Run a provider that demands certificates."""
    with IoTProvider(certificate, authority) as running:
        yield running


@pytest.fixture
def options(provider: IoTProvider, device: Device, certificate: Path) -> dict[str, Any]:
    """Give a handler's arguments."""
    return {
        "endpoint": provider.endpoint,
        "role_alias": ALIAS,
        "certificate": device.certificate,
        "key": device.key,
        "thing_name": THING,
        "ca_certificate": certificate,
    }


def test_a_device_gets_credentials_for_its_certificate(
    provider: IoTProvider, options: dict[str, Any]
) -> None:
    """They are temporary, and say until when; each time others."""
    handler = KVSIoTCredentialsHandler(**options)
    found, other = handler.get_credentials(), handler.get_credentials()

    assert provider.asked == [THING, THING]
    assert found.access_key != other.access_key
    assert found.secret_key.reveal() == SECRET_KEY
    assert found.session_token is not None
    assert found.expires_in_seconds(time.time()) == pytest.approx(3600, abs=10)
    assert found.source == "iot"


def test_the_authorities_may_come_from_the_environment(
    options: dict[str, Any], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for everything else that is AWS's."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    del options["ca_certificate"]
    assert KVSIoTCredentialsHandler(**options).get_credentials()


def test_the_applications_proxy_leads_to_it(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its login."""
    with ConnectProxy("camera:s3cret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert KVSIoTCredentialsHandler(**options).get_credentials()
        assert proxy.targets == [options["endpoint"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role_alias": "other"}, "no role alias 'other'.*Role alias does not exist"),
        ({"thing_name": "other"}, "gives 'other' no credentials.*iot:AssumeRoleWithCertificate"),
        ({"endpoint": "localhost:1"}, "localhost is not reached: Connection refused"),
        ({"ca_certificate": None}, "The certificate of localhost is not trusted.*ca_certificate="),
    ],
    ids=["alias", "thing", "refused", "authority"],
)
def test_what_is_wrong_is_told_with_what_helps(
    options: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    """In one sentence."""
    with pytest.raises(CredentialsError, match=words):
        KVSIoTCredentialsHandler(**(options | changes)).get_credentials()


def test_a_certificate_that_aws_iot_does_not_know_is_told(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """One that is not active, or of another account: TLS ends without an answer."""
    stranger = make_device(tmp_path, make_authority(tmp_path))
    changes = {"certificate": stranger.certificate, "key": stranger.key}
    with pytest.raises(CredentialsError, match=f"does not take the certificate of {THING}"):
        KVSIoTCredentialsHandler(**(options | changes)).get_credentials()


def test_a_key_of_another_certificate_is_told(
    options: dict[str, Any], tmp_path: Path, authority: Path
) -> None:
    """Before anything is sent."""
    other = make_device(tmp_path, authority)
    with pytest.raises(CredentialsError, match="cannot be used together"):
        KVSIoTCredentialsHandler(**(options | {"key": other.key})).get_credentials()


def test_a_key_with_a_password_asks_nobody(
    options: dict[str, Any], device: Device, tmp_path: Path
) -> None:
    """OpenSSL would ask on the terminal, and wait."""
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", device.key, "-out", locked]
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
    with pytest.raises(CredentialsError, match="has a password"):
        KVSIoTCredentialsHandler(**(options | {"key": locked})).get_credentials()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"credentials":{"accessKeyId":"x"}}'])
def test_an_answer_that_cannot_be_read_is_an_error(
    provider: IoTProvider, options: dict[str, Any], body: bytes
) -> None:
    """And quotes nothing."""
    provider.instead = (200, body)
    with pytest.raises(CredentialsError, match="cannot be read"):
        KVSIoTCredentialsHandler(**options).get_credentials()
    provider.instead = (500, body)
    with pytest.raises(CredentialsError, match="answers 500"):
        KVSIoTCredentialsHandler(**options).get_credentials()


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "http://a.test"}, {"endpoint": "a.test/path"}, {"endpoint": ""},
        {"endpoint": "a.test:x"}, {"role_alias": "a/b"}, {"role_alias": ""}, {"thing_name": "a b"},
        {"certificate": "/nowhere"}, {"key": "/nowhere"}, {"ca_certificate": "/nowhere"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_of_the_constructor(
    options: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Which names the argument."""
    with pytest.raises(SettingsError, match=next(iter(changes))):
        KVSIoTCredentialsHandler(**(options | changes))


def test_kvssink_is_told_names_and_no_secret(options: dict[str, Any]) -> None:
    """Exactly the fields that it knows; it asks AWS IoT itself, and no file is written."""
    handler = KVSIoTCredentialsHandler(**options)
    assert handler.iot_certificate == {
        "endpoint": options["endpoint"],
        "cert-path": str(options["certificate"]),
        "key-path": str(options["key"]),
        "ca-path": str(options["ca_certificate"]),
        "role-aliases": ALIAS,
        "iot-thing-name": THING,
    }
    assert handler.credentials_file(kvssink=True) is None
