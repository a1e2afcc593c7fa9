from __future__ import annotations

import base64

import pytest

from backpack._outputs.web.settings import WebServerSettings
from backpack._outputs.web.worker.access import Authenticator, AuthResult, cookies_named, host_name

TOKEN = "0123456789abcdef"


def keeper(instance: str = "here:8080", **settings: object) -> Authenticator:
    """Make a authenticator with a token."""
    return Authenticator(WebServerSettings(**{"token": TOKEN, **settings}), instance)  # type: ignore[arg-type]


def basic(login: str) -> str:
    """Write an Authorization header."""
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:9000", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:8080", "::1"),
        ("Cam.Example.ORG", "cam.example.org"),
    ],
)
def test_a_hosts_name_has_no_port(header: str, name: str) -> None:
    """Through a tunnel the port is another one; letters count the same in either case."""
    assert host_name(header) == name


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "a b",
        "a/b",
        "x@localhost",
        "localhost:99999",
        "[::1",
        "localhost?x",
        "ä",
        "a\tb",
        ":80",
    ],
)
def test_what_is_no_host_is_none(header: str) -> None:
    """Anything odd is refused rather than understood."""
    assert host_name(header) is None


@pytest.mark.parametrize("name", ["localhost", "door.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_names_are_ours(name: str) -> None:
    """Who comes through a tunnel asks for one of them."""
    assert keeper().host_is_ours(name, "127.0.0.1")


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"]
)
def test_foreign_names_are_not_ours(name: str) -> None:
    """A page that points its own name at us gets nothing."""
    assert not keeper().host_is_ours(name, "127.0.0.1")


def test_the_address_that_was_connected_to_is_ours() -> None:
    """No name can be pointed elsewhere where there is none; also for IPv4 that came over IPv6."""
    assert keeper().host_is_ours("10.0.0.1", "10.0.0.1")
    assert keeper().host_is_ours("10.0.0.1", "::ffff:10.0.0.1")
    assert keeper(allowed_hosts=("Cam.Example.org",)).host_is_ours("cam.example.org", "10.0.0.1")


def test_each_way_in_leads_in() -> None:
    """The token in the address or as a bearer, the cookie, a user's password."""
    door = keeper(users={"anna": "p:w ä"})

    assert door.look(token=TOKEN) is AuthResult.TOKEN
    assert door.look(header=f"Bearer {TOKEN}") is AuthResult.HEADER
    assert door.look(header=basic("anna:p:w ä")) is AuthResult.HEADER
    assert door.look(cookie=door.cookie_value) is AuthResult.COOKIE


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer x", f"bearer{TOKEN}", "Digest x", "Basic", "Basic %%%"),
        *("Basic /////w==", basic("anna"), basic("anna:"), basic("anna:x"), basic("bert:pw")),
        *(basic(":"), basic("bert:"), "Basic " + "=" * 500),
    ],
)
def test_no_other_header_leads_in(header: str) -> None:
    """Also not an unknown user without a password."""
    assert keeper(users={"anna": "pw"}).look(header=header) is AuthResult.WRONG


def test_nothing_is_not_a_guess() -> None:
    """Neither is an old cookie: its owner was let in once. A wrong token is one."""
    assert keeper().look() is AuthResult.NOTHING
    assert keeper().look(cookie="old") is AuthResult.NOTHING
    assert keeper().look(token="wrong") is AuthResult.WRONG
    assert keeper().look(token="ä\udcff") is AuthResult.WRONG


def test_an_open_server_asks_nobody() -> None:
    """With neither token nor users anybody is in."""
    assert keeper(token=None, allow_anonymous=True).look() is AuthResult.OPEN


def test_cookies_of_two_servers_have_two_names() -> None:
    """Cookies know no ports, so a name for all would be overwritten by the next server."""
    assert keeper("here:8080").cookie_name != keeper("here:8081").cookie_name
    assert keeper("here:8080").cookie_name == keeper("here:8080").cookie_name


def test_ones_own_cookie_is_found_among_others() -> None:
    """In any header, however often, and only by its whole name."""
    headers = ['x={"a": "b c"}; ours=1', "ours2=2;ours=3;  ours = 4 ; yours=ours=5", "ours", ""]
    assert cookies_named("ours", headers) == ["1", "3", "4", ""]


def test_the_cookie_is_not_the_token() -> None:
    """It lets in, but the address cannot be made of it; another token makes another cookie."""
    assert TOKEN not in keeper().cookie_value
    assert keeper().cookie_value != keeper(token="another-token-here").cookie_value


def test_a_page_of_our_own_is_known_by_its_origin() -> None:
    """Name and port are those that the request itself asks for."""
    door = keeper()

    for entry in (AuthResult.COOKIE, AuthResult.HEADER, AuthResult.OPEN):
        assert door.origin_is_ours("http://localhost:9000", "localhost:9000", entry)
        assert door.origin_is_ours("https://CAM.example.org", "cam.example.org", entry)
        for origin in (
            "http://localhost:9001",
            "http://evil.example",
            "null",
            "",
            "file://",
            "http://[",
            "http://℀",
        ):
            assert not door.origin_is_ours(origin, "localhost:9000", entry)


def test_who_has_no_origin_must_have_more_than_the_cookie() -> None:
    """A browser always tells it, and sends a cookie by itself."""
    assert not keeper().origin_is_ours(None, "localhost", AuthResult.COOKIE)
    assert keeper().origin_is_ours(None, "localhost", AuthResult.HEADER)
