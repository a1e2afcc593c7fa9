from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from backpack._outputs.kvs.credentials.handlers import (
    KVSCredentialsHandler,
    KVSEnvironmentCredentialsHandler,
    KVSFileCredentialsHandler,
    KVSInlineCredentialsHandler,
)
from backpack.errors import CredentialsError, SettingsError
from tests.outputs.kvs.credentials.stand_ins import SECRET, TOKEN

if TYPE_CHECKING:
    from tests.outputs.kvs.credentials.stand_ins import Container

HANDLERS = [
    KVSCredentialsHandler,
    KVSEnvironmentCredentialsHandler,
    KVSFileCredentialsHandler,
    KVSInlineCredentialsHandler,
]


@pytest.mark.parametrize("handler", HANDLERS)
def test_keys_that_are_given_are_used(handler: Any) -> None:
    """Under the names that the first version published, and with their token."""
    with ThreadPoolExecutor(1) as executor:
        found = handler(
            aws_access_key_id="AKIA1",
            aws_secret_access_key=SECRET,
            executor=executor,
            parent_logger=logging.getLogger("app"),
            aws_session_token=TOKEN,
        ).get_credentials()

    assert found.access_key == "AKIA1"
    assert found.secret_key.reveal() == SECRET
    assert found.session_token.reveal() == TOKEN
    assert found.source == "inline"


def test_places_are_as_they_were() -> None:
    """Keys, executor and logger by place; the file's path before them."""
    logger = logging.getLogger("app")
    inline = KVSInlineCredentialsHandler("AKIA1", SECRET, None, logger)
    file = KVSFileCredentialsHandler("/nowhere/file", "AKIA1", SECRET, None, logger)

    assert inline.get_credentials().access_key == file.get_credentials().access_key == "AKIA1"
    assert file.credentials_path == "/nowhere/file"
    assert inline.logger.name == "app.KVSInlineCredentialsHandler"
    assert KVSCredentialsHandler().logger.name == "backpack.kvs.credentials"


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"aws_access_key_id": "AKIA1"}, "both"),
        ({"aws_secret_access_key": SECRET}, "both"),
        ({"aws_session_token": TOKEN}, "keys"),
        ({"aws_access_key_id": "AKIA1", "aws_secret_access_key": ""}, "aws_secret_access_key"),
        ({"aws_access_key_id": "", "aws_secret_access_key": SECRET}, "aws_access_key_id"),
    ],
)
def test_half_of_a_pair_is_refused(handler: Any, options: dict[str, str], says: str) -> None:
    """When the handler is made, not when streaming has begun."""
    with pytest.raises(SettingsError, match=says):
        handler(**options)


def test_keys_and_a_session_are_refused() -> None:
    """One of them would be ignored."""
    with pytest.raises(SettingsError, match="either"):
        KVSCredentialsHandler("AKIA1", SECRET, session=botocore.session.Session())


@pytest.mark.parametrize(
    "handler",
    [KVSCredentialsHandler, KVSFileCredentialsHandler, KVSInlineCredentialsHandler],
)
def test_the_whole_chain_is_the_default(handler: Any, container: Container) -> None:
    """A role's credentials, renewed, whatever the handler is called."""
    container.lasts = 3600
    made = handler()
    assert container.asked == 0

    assert made.get_credentials().source == "container-role"
    made.forget()
    assert made.get_credentials().session_token.reveal() == TOKEN
    assert container.asked == 2


def test_a_session_is_taken() -> None:
    """Whatever it finds."""
    session = botocore.session.Session()
    session.set_credentials("AKIAGIVEN", SECRET, TOKEN)
    found = KVSFileCredentialsHandler(session=session).get_credentials()

    assert found.access_key == "AKIAGIVEN"
    assert found.session_token is not None


def test_the_environment_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the handler is made; with the token; and nothing else is looked at."""
    handler = KVSEnvironmentCredentialsHandler()
    with pytest.raises(CredentialsError, match="AWS_ACCESS_KEY_ID"):
        handler.get_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert handler.get_credentials().session_token is None
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    found = handler.get_credentials()

    assert found.session_token is not None
    assert found.session_token.reveal() == TOKEN
    assert found.source == "env"


def test_this_processs_environment_is_left_alone() -> None:
    """Keys that are given go into kvssink's environment only."""
    before = dict(os.environ)
    handler = KVSEnvironmentCredentialsHandler("AKIA1", SECRET)

    assert handler.get_credentials().environment()["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert dict(os.environ) == before


def test_how_kvssink_gets_them(tmp_path: Path) -> None:
    """By a private file, by the file that was named, or by its environment."""
    path = tmp_path / "file"
    for private in (
        KVSCredentialsHandler(),
        KVSInlineCredentialsHandler(),
        KVSFileCredentialsHandler(),
    ):
        file = private.credentials_file(kvssink=True)
        assert file is not None
        assert file.path == ""
        assert not private.by_environment
    named = KVSFileCredentialsHandler(path).credentials_file(kvssink=True)
    assert named is not None
    assert named.path == str(path)
    environment = KVSEnvironmentCredentialsHandler()
    variables = environment.credentials_file(kvssink=True)
    assert variables is not None
    assert variables.path == ""
    assert environment.by_environment


def test_a_path_is_the_same_in_another_directory() -> None:
    """What reads the file runs elsewhere."""
    assert KVSFileCredentialsHandler("file").credentials_path == str(Path("file").absolute())


def test_the_native_producer_needs_no_file(tmp_path: Path) -> None:
    """None is written, but where a path was given."""
    for handler in HANDLERS:
        assert handler().credentials_file(kvssink=False) is None
    named = KVSFileCredentialsHandler(tmp_path / "file").credentials_file(kvssink=False)
    assert named is not None
    assert named.path == str(tmp_path / "file")


def test_importing_and_making_them_loads_nothing_foreign() -> None:
    """Neither boto3 nor botocore nor numpy, until streaming starts."""
    code = (
        "from backpack._outputs.kvs.credentials.botocore_chain import require_botocore\n"
        "from backpack._outputs.kvs.credentials.handlers import (\n"
        "    KVSCredentialsHandler, KVSEnvironmentCredentialsHandler,\n"
        "    KVSFileCredentialsHandler, KVSInlineCredentialsHandler)\n"
        "from backpack._outputs.kvs.credentials.signer import Signer\n"
        "for handler in (KVSCredentialsHandler, KVSEnvironmentCredentialsHandler,\n"
        "                KVSFileCredentialsHandler, KVSInlineCredentialsHandler):\n"
        "    Signer('us-east-1', handler())\n"
        "require_botocore()\n"
        "import json, sys; print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}

    assert not loaded & {"boto3", "botocore", "urllib3", "numpy", "gi"}
