from __future__ import annotations

import itertools
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from backpack.errors import OutputError, SettingsError
from backpack.kvs import (
    KVSCredentialsHandler,
    KVSEnvironmentCredentialsHandler,
    KVSFileCredentialsHandler,
    KVSInlineCredentialsHandler,
    KVSIoTCredentialsHandler,
    KVSSpyGlass,
)
from tests.end_to_end.apps import App
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.tls import make_certificate
from tests.numbered import numbered
from tests.outputs.kvs.iot import ALIAS, THING, IoTProvider, make_authority, make_device
from tests.waiting import is_running, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kvs_server.server import KVSServer

HANDLERS: dict[str, Callable[[], KVSCredentialsHandler]] = {
    "chain": KVSCredentialsHandler,
    "inline": lambda: KVSInlineCredentialsHandler(ACCESS_KEY, SECRET_KEY),
    "environment": KVSEnvironmentCredentialsHandler,
    "file": KVSFileCredentialsHandler,
}


@pytest.fixture
def environment(server: KVSServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an application find the server and its credentials."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


def spyglass(
    dotenv: Path, handler: KVSCredentialsHandler | None = None, **more: Any
) -> KVSSpyGlass:
    """Give a SpyGlass that streams to 'test' through kvssink."""
    return KVSSpyGlass(
        "us-east-1",
        "test",
        handler,
        dotenv_path=dotenv,
        fragment_seconds=1.0,
        **{"producer": "kvssink", **more},
    )


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", HANDLERS)
def test_every_handler_works_with_kvssink(server: KVSServer, dotenv: Path, kind: str) -> None:
    """What is put arrives, frame by frame, wherever the credentials come from."""
    put, taken = itertools.count(1), []
    with spyglass(dotenv, HANDLERS[kind]()) as streaming:

        def put_next() -> int:
            # Where it takes long to begin, or to encode, frames are replaced or not due.
            number = next(put)
            if streaming.put(numbered(number)):
                taken.append(number)
            return number

        wait_for(
            lambda: put_next() >= 60 and streaming.kvs_stats().fragments_persisted, every=1 / 30
        )
        streaming.stop_streaming(20)
        replaced = streaming.stats().replaced

    seen = frame_numbers(server.streams["test"].timeline())
    assert seen == sorted(set(seen))  # type: ignore[type-var]
    assert set(seen) <= set(taken)
    assert len(seen) >= len(taken) - replaced
    assert seen[-1] == taken[-1]


@pytest.mark.parametrize("producer", ["native", "kvssink"])
@pytest.mark.usefixtures("environment")
def test_a_device_streams_with_its_certificate(
    server: KVSServer, dotenv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, producer: str
) -> None:
    """Without any key: both producers get credentials from AWS IoT, which asks who they are."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    server.keys.clear()
    authority, certificate = make_authority(tmp_path), make_certificate(tmp_path)
    device = make_device(tmp_path / "a device", authority)
    with IoTProvider(certificate, authority, server) as provider:
        handler = KVSIoTCredentialsHandler(
            provider.endpoint,
            ALIAS,
            device.certificate,
            device.key,
            THING,
            ca_certificate=certificate,
        )
        with spyglass(dotenv, handler, producer=producer) as streaming:
            numbers = itertools.count(1)
            wait_for(
                lambda: (
                    streaming.put(numbered(next(numbers)))
                    and streaming.kvs_stats().fragments_persisted
                ),
                every=1 / 30,
            )
            assert streaming.kvs_stats().credentials_source == "iot"
        # The application, and with kvssink its child, too.
        assert len(provider.asked) == (1 if producer == "native" else 2)
        assert list(tmp_path.rglob("credentials")) == []


@pytest.mark.usefixtures("environment")
def test_a_missing_element_is_an_error_of_the_start(dotenv: Path, tmp_path: Path) -> None:
    """It names the variable, and the producer that needs no build."""
    dotenv.write_text(f"GST_PLUGIN_PATH={tmp_path}\n")
    with pytest.raises(OutputError, match=r"GST_PLUGIN_PATH.*native"):
        spyglass(dotenv).start_streaming()


@pytest.mark.usefixtures("environment")
def test_a_missing_dotenv_is_an_error_of_the_start(tmp_path: Path) -> None:
    """With kvssink it is needed."""
    with pytest.raises(SettingsError, match=r"dotenv_path=.*none"):
        spyglass(tmp_path / "none").start_streaming()


@pytest.mark.usefixtures("environment")
def test_what_kvssink_cannot_do_is_refused(dotenv: Path, tmp_path: Path) -> None:
    """Metadata and a place on the disk would be left out without a word."""
    with pytest.raises(SettingsError, match=r'metadata: .*"native"'):
        spyglass(dotenv, metadata={"door": "front"})
    with pytest.raises(SettingsError, match=r'buffer_path: .*"native"'):
        spyglass(dotenv, buffer_path=tmp_path)


@pytest.mark.usefixtures("environment")
def test_a_credentials_file_that_cannot_be_written_is_told(dotenv: Path, tmp_path: Path) -> None:
    """The numbers name the file, and once it can be written what was put arrives."""
    folder = tmp_path / "folder"
    folder.touch()
    handler = KVSFileCredentialsHandler(folder / "credentials", ACCESS_KEY, SECRET_KEY)
    with spyglass(dotenv, handler) as streaming:
        streaming.put(numbered(1))
        wait_for(lambda: streaming.kvs_stats().trouble)
        stats = streaming.kvs_stats()
        assert str(folder / "credentials") in stats.trouble
        assert "cannot be written" in stats.trouble
        assert stats.credentials_file_trouble
        assert stats.credentials_file_failures
        assert SECRET_KEY not in str(stats)
        folder.unlink()
        wait_for(lambda: streaming.put(numbered(2)) and streaming.kvs_stats().frames_persisted)
        assert streaming.kvs_stats().trouble == ""
        assert streaming.kvs_stats().credentials_file_trouble == ""


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("given", [False, True])
def test_a_killed_application_leaves_no_credentials_behind(
    server: KVSServer, dotenv: Path, tmp_path: Path, *, given: bool
) -> None:
    """After SIGKILL the file of its own goes in the end; one at a path that was given stays."""
    (tmp_path / "own").mkdir()
    (tmp_path / "given").touch()
    settings = {
        "stream_region": "us-east-1",
        "stream_name": "test",
        "producer": "kvssink",
        "dotenv_path": str(dotenv),
        "fragment_seconds": 1.0,
    }
    credentials = ["--credentials-path", str(tmp_path / "given")] if given else []
    app = App(30, "--kvs", json.dumps(settings), *credentials, TMPDIR=str(tmp_path / "own"))
    try:
        numbers = app.wait_for_numbers(lambda told: told["outputs"][0].get("fragments_persisted"))
        files = [one.name for one in (tmp_path / "own").rglob("credentials")]
        assert files == ([] if given else ["credentials"])
        app.signal(signal.SIGKILL)
        app.wait()
        wait_for(lambda: not is_running(numbers["streamer_pid"]), 40, what="its end")
    finally:
        app.close()

    assert list((tmp_path / "own").glob("spyglass-kvs-*")) == []
    assert (SECRET_KEY in (tmp_path / "given").read_text()) is given
    assert server.streams["test"].sessions[-1].said_end
