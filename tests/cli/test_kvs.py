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
    ("path", "action", "verdicts"),
    [
        ("/describeStream", "DescribeStream", ["ok", "failed", "ok", "skipped", "skipped"]),
        ("/getDataEndpoint", "GetDataEndpoint", ["ok", "ok", "failed", "skipped", "skipped"]),
        ("/putMedia", "PutMedia", ["ok", "ok", "ok", "failed", "skipped"]),
    ],
)
def test_an_action_that_is_not_allowed_is_named(
    server: KVSServer, path: str, action: str, verdicts: list[str]
) -> None:
    """Its line says what to give to whom; what does not need it is tried, the rest says so."""
    server.faults.always[path] = HttpError(403, "AccessDenied", "not authorized")

    found = check(status=1)

    assert [one["verdict"] for one in found] == verdicts
    (failed,) = [one for one in found if one["verdict"] == "failed"]
    assert failed["name"] == action
    assert f"kinesisvideo:{action}" in failed["remark"]
    skipped = [one["remark"] for one in found if one["verdict"] == "skipped"]
    assert skipped == [f"not tried: it needs {action}"] * len(skipped)


def test_all_actions_that_are_not_allowed_are_named_at_once(server: KVSServer) -> None:
    """Whoever grants permissions is asked once and not after each of them."""
    for path in ("/describeStream", "/getDataEndpoint"):
        server.faults.always[path] = HttpError(403, "AccessDenied", "not authorized")

    failed = [one["name"] for one in check(status=1) if one["verdict"] == "failed"]

    assert failed == ["DescribeStream", "GetDataEndpoint"]


def test_a_secret_key_that_is_wrong_is_told_without_the_token(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS quotes what it was sent; the remark says what is wrong, and no more."""
    token = "TheSessionToken" * 10
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    server.keys[ACCESS_KEY] = Key("another", token)

    found = check(status=1)

    assert any("secret key" in one["remark"] for one in found)
    assert "TheSessionToken" not in str(found)


def test_keys_of_the_environment_that_have_run_out_are_renewed_by_nobody(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not called lasting before, and what helps is said where AWS refuses them."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    server.keys[ACCESS_KEY] = Key(SECRET_KEY, "token", 1.0)

    credentials, described, *_ = check(status=1)

    assert "nobody says until when" in credentials["remark"]
    assert described["verdict"] == "failed"
    assert "nobody renews them: they come from the environment" in described["remark"]


def test_keys_that_are_known_to_have_run_out_are_told_at_once(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables say it themselves; AWS is not asked."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")

    first, *_ = check(status=1)

    assert (first["name"], first["verdict"]) == ("credentials", "failed")
    assert "have run out" in first["remark"]
    assert not server.requests


def test_who_may_not_watch_can_stream(server: KVSServer) -> None:
    """The action that only viewers need is a warning, and the status is 0."""
    server.faults.always["/getHLSStreamingSessionURL"] = HttpError(403, "AccessDenied")

    last = check(status=0)[-1]

    assert last["verdict"] == "warning"
    assert "kinesisvideo:GetHLSStreamingSessionURL" in last["remark"]


def test_a_missing_stream_is_created_if_asked(server: KVSServer) -> None:
    """Without --create it says that the stream does not exist; with it, it is made, on a line."""
    other = ("--region", "us-east-1", "--stream", "new")
    _, described, created, *rest = check(*other, status=1)
    assert "does not exist" in described["remark"]
    assert (created["name"], created["verdict"]) == ("CreateStream", "skipped")
    assert "--create" in created["remark"]
    assert {one["remark"] for one in rest} == {"not tried: the stream does not exist"}

    created = check(*other, "--create", status=0)[2]
    assert (created["name"], created["verdict"]) == ("CreateStream", "ok")
    assert "new" in server.streams


def test_a_stream_that_may_not_be_created_is_told(server: KVSServer) -> None:
    """On the line of that action, with what to give to whom."""
    server.faults.always["/createStream"] = HttpError(403, "AccessDenied", "not authorized")

    found = check("--region", "us-east-1", "--stream", "new", "--create", status=1)

    created = next(one for one in found if one["name"] == "CreateStream")
    assert created["verdict"] == "failed"
    assert "kinesisvideo:CreateStream" in created["remark"]


@pytest.mark.usefixtures("server")
def test_without_credentials_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says where they are looked for."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")

    first, *rest = check(status=1)

    assert (first["name"], first["verdict"]) == ("credentials", "failed")
    assert first["remark"]
    assert {one["verdict"] for one in rest} == {"skipped"}
    assert {one["remark"] for one in rest} == {"not tried: there are no credentials"}


def test_a_control_plane_that_is_not_there_is_asked_once(server: KVSServer) -> None:
    """What else would be asked of it is not tried."""
    server.refuse()

    _, described, *rest = check(status=1)

    assert described["verdict"] == "failed"
    assert {one["remark"] for one in rest} == {"not tried: DescribeStream got no answer"}


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
