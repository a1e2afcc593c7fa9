from __future__ import annotations

import base64

import pytest

from backpack._outputs.kvs.output import KVSOutput
from backpack._outputs.kvs.shared.proxy import Proxy, Route, route_from
from backpack.errors import SettingsError

VARIABLES = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
AWS = "kinesisvideo.us-east-1.amazonaws.com"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no proxy of whoever runs the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("http://proxy:3128", "proxy", 3128, ""),
        ("proxy.example:8080", "proxy.example", 8080, ""),
        ("http://proxy/", "proxy", 80, ""),
        ("http://[::1]:3128", "::1", 3128, ""),
        ("http://me:s3cret@proxy:1", "proxy", 1, "me:s3cret"),
        ("http://me%40x:p%3Aw%2F%C3%A9@proxy:1", "proxy", 1, "me@x:p:w/é"),
        ("http://me@proxy:1", "proxy", 1, "me:"),
    ],
)
def test_the_variable_names_a_proxy(url: str, host: str, port: int, login: str) -> None:
    """With its login, in which letters may stand as %40; the password is never shown."""
    proxy = Proxy.of(url)

    assert proxy.place == (host, port)
    name, _, value = proxy.authorization.partition(" ")
    assert (name, base64.b64decode(value).decode()) == ("Basic" if login else "", login)
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize(
    "url", ["https://me:s3cret@proxy:1", "socks5://proxy:1", "http://", "http://proxy:x", "ftp://a"]
)
def test_a_proxy_that_cannot_be_gone_through_is_an_error(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the constructor, which names the variable and shows no password."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as raised:
        KVSOutput("us-east-1", "door")
    assert "s3cret" not in str(raised.value)
    monkeypatch.setenv("NO_PROXY", ".amazonaws.com")
    KVSOutput("us-east-1", "door")


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "is_excepted"),
    [
        ("", AWS, 443, False),
        ("*", AWS, 443, True),
        ("localhost, .amazonaws.com", AWS, 443, True),
        ("amazonaws.com", AWS, 443, True),
        ("*.amazonaws.com", AWS, 443, True),
        ("AMAZONAWS.COM", AWS, 443, True),
        ("azonaws.com", AWS, 443, False),
        ("amazonaws.com:443", AWS, 443, True),
        ("amazonaws.com:8443", AWS, 443, False),
        ("a.test b.test", "b.test", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("127.0.0.1", "127.0.0.1", 8443, True),
        ("fd00::/8", "fd00::1", 443, True),
        ("::1", "::1", 443, True),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(
    exceptions: str, host: str, port: int, *, is_excepted: bool
) -> None:
    """As curl and requests read it."""
    found = Route("http://proxy:1", exceptions).proxy_for(host, port)
    assert (found is None) is is_excepted


def test_the_variable_in_small_letters_counts_first() -> None:
    """So it is with curl and with Python."""
    both = {"HTTPS_PROXY": "http://b:1", "https_proxy": "http://a:1", "NO_PROXY": "x"}
    assert route_from(both) == Route("http://a:1", "x")
    assert route_from({"HTTPS_PROXY": "", "https_proxy": ""}) == Route()


@pytest.mark.parametrize("producer", ["native", "kvssink"])
def test_the_applications_proxy_is_described(
    producer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The streaming process has another environment, and sends."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    described = KVSOutput("us-east-1", "door", producer=producer).describe()

    assert described["proxy_url"] == "http://proxy:3128"
    assert described["proxy_exceptions"] == "localhost"
