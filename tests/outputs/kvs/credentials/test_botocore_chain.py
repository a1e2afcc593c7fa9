from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from backpack._outputs.kvs.credentials.botocore_chain import Chain, require_botocore
from backpack._outputs.kvs.credentials.trouble import describe
from backpack.errors import CredentialsError, MissingDependencyError
from tests.outputs.kvs.credentials.stand_ins import SECRET, TOKEN, Endpoint, iso

if TYPE_CHECKING:
    from tests.outputs.kvs.credentials.stand_ins import Container


def profile(**values: str) -> str:
    """Write the default profile."""
    return "[default]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())


def write_shared(**values: str) -> None:
    """Write it where credentials are shared."""
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(profile(**values))


def test_a_profile_is_found() -> None:
    """Lasting credentials of the shared file; changed ones are seen."""
    chain = Chain()
    write_shared(aws_access_key_id="AKIA1", aws_secret_access_key=SECRET)
    first = chain.get()
    write_shared(aws_access_key_id="AKIA2", aws_secret_access_key=SECRET, aws_session_token=TOKEN)
    second = chain.get()

    assert first.access_key == "AKIA1"
    assert first.session_token is None
    assert first.expires_at is None
    assert first.source == "shared-credentials-file"
    assert second.access_key == "AKIA2"
    assert second.session_token is not None
    assert second.session_token.reveal() == TOKEN


def test_the_environment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its token and its expiry, which botocore reads."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    expires_at = time.time() + 7200
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", iso(expires_at))
    found = Chain().get()

    assert found.source == "env"
    assert found.session_token is not None
    assert found.expires_at == pytest.approx(expires_at, abs=2)


@pytest.mark.parametrize("given", [None, "boto3", "botocore"])
@pytest.mark.parametrize("place", ["profile", "source"])
def test_a_profile_that_wants_a_code_asks_nobody(
    monkeypatch: pytest.MonkeyPatch, given: str | None, place: str
) -> None:
    """The terminal would be asked, and an application that has none would wait for ever."""
    monkeypatch.setattr("getpass.getpass", lambda *_: pytest.fail("asked for a code"))
    mfa = "mfa_serial = arn:aws:iam::123456789012:mfa/me"
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        "[profile door]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
        f"region = us-east-1\n{mfa if place == 'profile' else ''}\n"
        f"[profile base]\naws_access_key_id = AKIA1\naws_secret_access_key = {SECRET}\n"
        f"{mfa if place == 'source' else ''}\n"
    )
    session: Any = None
    if given is None:
        monkeypatch.setenv("AWS_PROFILE", "door")
    elif given == "botocore":
        session = botocore.session.Session(profile="door")
    else:
        session = SimpleNamespace(
            profile_name="door",
            get_credentials=botocore.session.Session(profile="door").get_credentials,
        )
    with pytest.raises(CredentialsError, match=r"wants a code \(MFA\)"):
        Chain(session).get()


def test_a_process_is_asked(tmp_path: Path) -> None:
    """`credential_process` of a profile, each time that its credentials near their end."""
    script = tmp_path / "process.py"
    content = {
        "Version": 1,
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": SECRET,
        "SessionToken": TOKEN,
    }
    script.write_text(
        "import datetime as dt, json, pathlib\n"
        f"calls = pathlib.Path({str(tmp_path / 'calls')!r})\n"
        "calls.write_text(calls.read_text() + '.' if calls.exists() else '.')\n"
        "expiry = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=60)\n"
        f"print(json.dumps({content!r} | {{'Expiration': expiry.isoformat()}}))\n"
    )
    command = f"{sys.executable} {script}"
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(profile(credential_process=command))
    chain = Chain()
    found = chain.get()
    before = len((tmp_path / "calls").read_text())
    chain.get()

    assert found.source == "custom-process"
    assert found.expires_at == pytest.approx(time.time() + 60, abs=20)
    assert len((tmp_path / "calls").read_text()) == before + 1


@pytest.mark.usefixtures("container")
def test_a_container_is_asked_and_asked_again() -> None:
    """Short-lived credentials of ECS are others each time, with their expiry."""
    chain = Chain()
    first, second = chain.get(), chain.get()

    assert first.source == "container-role"
    assert first.access_key != second.access_key
    assert second.expires_at == pytest.approx(time.time() + 60, abs=20)


def test_what_lasts_is_not_asked_for_again(container: Container) -> None:
    """An hour before expiry botocore has them still; `forget` gets others all the same."""
    container.lasts = 3600
    chain = Chain()
    first, second = chain.get(), chain.get()
    assert first.is_same(second)
    assert container.asked == 1

    chain.forget()
    assert not chain.get().is_same(first)
    assert container.asked == 2


def test_a_failed_renewal_that_botocore_only_logs_is_an_error(
    container: Container, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Between 15 and 10 minutes before expiry it gives the old ones, as if nothing had been."""
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.RETRY_ATTEMPTS", 1)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    container.lasts = 12 * 60
    chain = Chain()
    first = chain.get()
    container.instead = 500, f"out of order {SECRET}".encode()
    with pytest.raises(CredentialsError, match=r"out of order \*\*\*"):
        chain.get()
    # What it logs has a traceback, which would quote the answer.
    assert "Refreshing temporary credentials failed" in caplog.text
    assert SECRET not in caplog.text

    container.instead = None
    assert not chain.get().is_same(first)


def test_nothing_is_found() -> None:
    """The error says where was looked."""
    with pytest.raises(CredentialsError, match=r"no AWS credentials.*AWS_ACCESS_KEY_ID.*profile"):
        Chain().get()


def test_a_session_of_botocores_is_used() -> None:
    """Its own credentials, whatever the environment says."""
    session = botocore.session.Session()
    session.set_credentials("AKIAGIVEN", SECRET)
    write_shared(aws_access_key_id="AKIA1", aws_secret_access_key=SECRET)
    chain = Chain(session)
    chain.forget()

    assert chain.get().access_key == "AKIAGIVEN"
    assert chain.get().source == "explicit"


class Boto3Session:
    """What a session of boto3 is to us: it asks the one of botocore that it holds."""

    def __init__(self) -> None:
        self._session = botocore.session.Session()

    def get_credentials(self) -> Any:
        """Give what it finds."""
        return self._session.get_credentials()


def test_a_session_of_boto3_is_used(container: Container) -> None:
    """It has one public method that is needed; its credentials are renewed."""
    chain = Chain(Boto3Session())

    assert not chain.get().is_same(chain.get())
    assert container.asked > 1


def assumed_role(_: bytes) -> tuple[int, bytes]:
    """Answer as STS does."""
    return 200, (
        "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult>"
        "<AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId>"
        "<Arn>arn:aws:sts::123456789012:assumed-role/video/s</Arn></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>{SECRET}role"
        f"</SecretAccessKey><SessionToken>{TOKEN}</SessionToken><Expiration>"
        f"{iso(time.time() + 3600)}</Expiration></Credentials></AssumeRoleResult>"
        "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>"
    ).encode()


def test_a_role_is_assumed_and_nothing_of_it_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG botocore logs STS' whole answer; on this thread it does not."""
    caplog.set_level(logging.DEBUG)
    write_shared(
        role_arn="arn:aws:iam::123456789012:role/video",
        source_profile="default",
        region="us-east-1",
        aws_access_key_id="AKIASOURCE",
        aws_secret_access_key=SECRET,
    )
    with Endpoint(assumed_role) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        found = Chain().get()

        assert found.access_key == "ASIAROLE"
        assert found.source == "assume-role"
        assert SECRET not in caplog.text
        assert TOKEN not in caplog.text

        # The test would see it: another thread of the application logs what it always did.
        session = botocore.session.Session()
        session.get_credentials().get_frozen_credentials()
        assert TOKEN in caplog.text


def test_an_answer_that_cannot_be_read_is_not_quoted(
    container: Container, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of an answer has half of a secret in it; neither error nor log tells it."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.RETRY_ATTEMPTS", 1)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    half = json.dumps({"SecretAccessKey": SECRET, "Token": TOKEN})[:-9].encode()
    for instead in ((200, half), (503, half)):
        container.instead = instead
        with pytest.raises(Exception, match="container metadata") as caught:
            Chain().get()
        for hidden in (SECRET, TOKEN):
            assert hidden not in describe(caught.value)
            assert hidden not in caplog.text


def test_without_botocore_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the extra."""
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "backpack-spyglass\[kvs\]"'):
        require_botocore()
    with pytest.raises(MissingDependencyError, match="botocore"):
        Chain().get()
