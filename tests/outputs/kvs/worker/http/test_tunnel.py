from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.proxy import ConnectProxy
from tests.kvs_server.server import KVSServer
from tests.kvs_server.tls import context_of
from tests.outputs.kvs.worker.rig import Rig
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = "camera:s3cret"


def nowhere(*_: object, **__: object) -> list[tuple[Any, ...]]:
    """Be a name server that knows nobody, as in a network that only a proxy leads out of."""
    raise socket.gaierror("nobody")


@pytest.fixture
def named(certificate: Path) -> Iterator[KVSServer]:
    """Run a server that has a name, and speaks TLS."""
    with KVSServer(tls=context_of(certificate), address="localhost") as running:
        running.streams.add("test")
        yield running


def through(
    server: KVSServer, certificate: Path, proxy: str, exceptions: str = "", **more: Any
) -> Rig:
    """Upload through a proxy to a server that only the proxy finds."""
    options: dict[str, Any] = {"lookup": nowhere, "ca_bundle": str(certificate)} | more
    return Rig(
        server,
        proxy_url=proxy,
        proxy_exceptions=exceptions,
        **options,
    )


@pytest.mark.parametrize("login", [None, LOGIN])
def test_everything_goes_through_the_proxy(
    named: KVSServer, certificate: Path, login: str | None
) -> None:
    """Calls and video, encrypted to AWS, whose names only the proxy knows; AWS sees no login."""
    with (
        ConnectProxy(login) as proxy,
        through(named, certificate, proxy.url) as rig,
    ):
        rig.frames(1, 25)
        rig.finish()
        assert frame_numbers(rig.stream.timeline()) == list(range(1, 26))
        assert [path for path, _ in named.requests] == [
            "/describeStream", "/getDataEndpoint", "/putMedia",
        ]  # fmt: skip
        assert proxy.targets == [f"localhost:{named.address[1]}"] * 3
        assert proxy.complaints == []
        assert all(head.get("proxy-authorization") is None for head in named.heads)


def test_what_no_proxy_names_is_reached_directly(named: KVSServer, certificate: Path) -> None:
    """Here all of it."""
    with (
        ConnectProxy() as proxy,
        through(named, certificate, proxy.url, "localhost,127.0.0.0/8", lookup=None) as rig,
    ):
        rig.frames(1, 15)
        rig.finish()

        assert frame_numbers(rig.stream.timeline()) == list(range(1, 16))
        assert proxy.targets == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "allows no connection to localhost: it answers 403"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "does not reach localhost: it answers 502"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer as a proxy of HTTP does"),
        # As tinyproxy says that it does not reach somebody, and that a login is wrong.
        (b"HTTP/1.0 500 Unable to connect\r\n\r\n", "does not reach localhost: it answers 500"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "does not take the login that stands in HTTPS"),
        (b"HTTP/1.1 407 X\r\n\r\n", "does not take the login that stands in HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_does_not_connect_is_told(
    named: KVSServer, certificate: Path, answer: bytes, words: str
) -> None:
    """By its name and without its password; what waits is sent once it does."""
    with (
        ConnectProxy(LOGIN) as proxy,
        through(named, certificate, proxy.url) as rig,
    ):
        proxy.answer = answer
        rig.frames(1, 15)
        wait_for(lambda: words in rig.upload.trouble, what=rig.upload.trouble)
        assert f"127.0.0.1:{proxy.port}" in rig.upload.trouble
        assert "s3cret" not in rig.upload.trouble
        assert rig.numbers()["state"] == "BUFFERING"
        proxy.answer = b""
        rig.finish()
        assert frame_numbers(rig.stream.timeline()) == list(range(1, 16))
        assert rig.upload.trouble == ""


def test_a_login_that_is_missing_is_told(named: KVSServer, certificate: Path) -> None:
    """With where to write it."""
    with (
        ConnectProxy(LOGIN) as proxy,
        through(named, certificate, f"http://127.0.0.1:{proxy.port}") as rig,
    ):
        rig.frames(1, 5)
        wait_for(lambda: "wants a login" in rig.upload.trouble)
        assert "http://user:password@host:port" in rig.upload.trouble
        assert proxy.complaints == []


@pytest.mark.parametrize("url", ["http://proxy.invalid:3128", "http://127.0.0.1:1"])
def test_a_proxy_that_is_not_there_is_told(named: KVSServer, certificate: Path, url: str) -> None:
    """It is the proxy that is not reached, and not AWS."""
    with through(named, certificate, url) as rig:
        rig.frames(1, 5)
        wait_for(lambda: "(HTTPS_PROXY) is not reached" in rig.upload.trouble)
        assert url.removeprefix("http://") in rig.upload.trouble


def test_a_certificate_behind_a_proxy_is_the_far_sides(named: KVSServer, certificate: Path) -> None:
    """A proxy that opens what it carries is found out, and told as who stands between."""
    with (
        ConnectProxy() as proxy,
        through(named, certificate, proxy.url, ca_bundle=None) as rig,
    ):
        rig.frames(1, 5)
        wait_for(lambda: "The certificate of localhost is not trusted" in rig.upload.trouble)
    assert named.heads == []
