from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commands import run, running
from tests.kvs_server.faults import HttpError
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer
from tests.kvs_server.signature import Key
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = ("--region", "us-east-1", "--stream", "door")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KVSServer]:
    """Run a server with the stream 'door' that commands find by their environment."""
    with KVSServer() as running:
        running.streams.add("door")
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield running


def check(*arguments: str, status: int) -> list[dict[str, Any]]:
    """Run `spyglass kvs check` and give what it finds."""
    done = run("kvs", "check", *(arguments or STREAM), "--json")
    assert done.process.returncode == status, done.err
    return [json.loads(line) for line in done.out]


def test_everything_that_is_needed_is_tried(server: KVSServer) -> None:
    """A line for the credentials, for each action and the upload, which arrives."""
    found = check(status=0)

    assert [(one["name"], one["verdict"]) for one in found] == [
        ("credentials", "ok"),
        ("DescribeStream", "ok"),
        ("GetDataEndpoint", "ok"),
        ("PutMedia", "ok"),
        ("GetHLSStreamingSessionURL", "ok"),
    ]
    assert SECRET_KEY not in str(found)
    line = server.streams["door"].timeline()
    assert line[-1].end - line[0].timecode >= 1500


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/describeStream", "DescribeStream"),
        ("/getDataEndpoint", "GetDataEndpoint"),
        ("/putMedia", "PutMedia"),
    ],
)
def test_an_action_that_is_not_allowed_is_named(server: KVSServer, path: str, action: str) -> None:
    """The first thing that fails is the last line, and says what to give to whom."""
    server.faults.always[path] = HttpError(403, "AccessDenied", "not authorized")

    last = check(status=1)[-1]

    assert (last["name"], last["verdict"]) == (action, "failed")
    assert f"kinesisvideo:{action}" in last["remark"]


def test_a_secret_key_that_is_wrong_is_told_without_the_token(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS quotes what it was sent; the remark says what is wrong, and no more."""
    token = "TheSessionToken" * 10
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    server.keys[ACCESS_KEY] = Key("another", token)

    last = check(status=1)[-1]

    assert "secret key" in last["remark"]
    assert "TheSessionToken" not in str(last)


def test_who_may_not_watch_can_stream(server: KVSServer) -> None:
    """The action that only viewers need is a warning, and the status is 0."""
    server.faults.always["/getHLSStreamingSessionURL"] = HttpError(403, "AccessDenied")

    last = check(status=0)[-1]

    assert last["verdict"] == "warning"
    assert "kinesisvideo:GetHLSStreamingSessionURL" in last["remark"]


def test_a_missing_stream_is_created_if_asked(server: KVSServer) -> None:
    """Without --create it says that the stream does not exist; with it, it is made."""
    other = ("--region", "us-east-1", "--stream", "new")
    last = check(*other, status=1)[-1]
    assert "does not exist" in last["remark"]

    check(*other, "--create", status=0)

    assert "new" in server.streams


@pytest.mark.usefixtures("server")
def test_without_credentials_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says where they are looked for."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")

    (only,) = check(status=1)

    assert (only["name"], only["verdict"]) == ("credentials", "failed")
    assert only["remark"]


def test_serve_prints_where_kvs_can_be_watched(server: KVSServer) -> None:
    """The kvs:// URL comes at once, the address for browsers when video has arrived."""
    with running("serve", "testsrc", "kvs://us-east-1/door") as serving:
        serving.wait_line(serving.out, f"^{server.url}/hls/")
        assert serving.end() == 0, serving.err

    assert serving.out[0] == "kvs://us-east-1/door"
    assert len(serving.out) == 2
    wait_for(lambda: server.streams["door"].sessions[-1].ended)


@pytest.mark.parametrize("url", ["kvs://us-east-1", "kvs://mars/door", "kvs://us-east-1/a/b"])
def test_a_kvs_url_that_cannot_be_is_a_mistake_in_the_command(url: str) -> None:
    """Status 2, and a sentence that shows one that can be."""
    done = run("serve", "testsrc", url)

    assert done.process.returncode == 2
    assert "us-east-1" in done.err[-1]
