from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from backpack._app.output import OutputOptions
from backpack._cli.failure import Failure
from backpack._cli.outputs import default_urls, has_password, make_outputs
from backpack._outputs.serving.output import ServedOutput
from backpack.errors import SettingsError
from backpack.rtsp import RTSPServer
from backpack.web import WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator


def _servers(*urls: str, options: OutputOptions | None = None) -> list[ServedOutput]:
    outputs = make_outputs(urls, options or OutputOptions())
    return [output for output in outputs if isinstance(output, ServedOutput)]


def test_urls_with_the_same_host_and_port_share_a_server() -> None:
    """One server for each host and port, under whatever name the host goes."""
    one, two, three = _servers(
        "rtsp://127.0.0.1:18554/one", "rtsp://localhost:18554/two", "rtsp://127.0.0.1:18555/three"
    )

    assert one.server is two.server
    assert one.server is not three.server
    assert one.urls() == ["rtsp://127.0.0.1:18554/one"]


def test_logins_of_urls_and_of_the_users_file_are_joined() -> None:
    """Who is named in a URL may watch, and who is named elsewhere, too."""
    options = OutputOptions(users={"ann": "a"})

    (output,) = _servers("rtsp://bob:b%40b@127.0.0.1:18554/x", options=options)

    assert output.server._settings.users == {"ann": "a", "bob": "b@b"}
    assert output.urls() == ["rtsp://127.0.0.1:18554/x"]


def test_other_schemes_are_left_to_the_library() -> None:
    """The command line knows how RTSP servers are made; the library says what else there is."""
    (output,) = make_outputs(["kvs://us-east-1/door"], OutputOptions())
    assert output.urls() == ["kvs://us-east-1/door"]
    with pytest.raises(SettingsError, match="no output for the scheme 'other'"):
        make_outputs(["other://host/x"], OutputOptions())


@pytest.fixture(autouse=True)
def _servers_end() -> Iterator[None]:
    """A server that is still known would be taken for the next URL with its port."""
    yield
    gc.collect()


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("rtsps://127.0.0.1/x", OutputOptions(), "--certificate"),
        ("rtsp://127.0.0.1/x", OutputOptions(certificate="c.pem"), "rtsps://"),
    ],
)
def test_urls_and_options_have_to_go_together(url: str, options: OutputOptions, words: str) -> None:
    """A certificate is for URLs with TLS, and these are for one."""
    with pytest.raises(Failure, match=words) as caught:
        make_outputs([url], options)

    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rtsp://127.0.0.1:99999/x", "port"),
        ("rtsp://127.0.0.1/x?y", "path"),
        ("rtsp://[::1/x", "no URL"),
    ],
)
def test_urls_that_cannot_be_are_refused(url: str, words: str) -> None:
    """By the library, whose errors about settings are wrong usage of the command."""
    with pytest.raises(SettingsError, match=words):
        make_outputs([url], OutputOptions())


def test_others_watch_only_when_that_is_said() -> None:
    """An address that others can reach wants logins or a plain yes."""
    with pytest.raises(SettingsError):
        make_outputs(["rtsp://0.0.0.0:18554/x"], OutputOptions())

    assert make_outputs(["rtsp://0.0.0.0:18554/x"], OutputOptions(allow_anonymous=True))
    assert make_outputs(["rtsp://0.0.0.0:18555/x"], OutputOptions(users={"ann": "a"}))


def test_the_default_url_listens_on_this_machine_alone() -> None:
    """Where no URL is given, nobody else can watch; a certificate asks for TLS."""
    page, rtsp = default_urls("door", OutputOptions())
    assert page in ("http://127.0.0.1:8080/door", "http://127.0.0.1:0/door")
    assert rtsp == "rtsp://127.0.0.1:8554/door"
    page, rtsp = default_urls("door", OutputOptions(certificate="c"))
    assert page.startswith("https://127.0.0.1:")
    assert rtsp == "rtsps://127.0.0.1:8322/door"


@pytest.mark.parametrize("name", ["static", "api", "metrics", "healthz", "ws", "whep"])
def test_a_source_may_be_called_what_the_page_calls_its_own(name: str) -> None:
    """static.mp4 is shown under another name, the same for both."""
    page, rtsp = default_urls(name, OutputOptions())
    assert page.endswith(f"/{name}_video")
    assert rtsp.endswith(f"/{name}_video")
    assert len(make_outputs([page], OutputOptions())) == 1


def test_pages_and_rtsp_are_served_side_by_side() -> None:
    """Users, certificate and names go to the servers that they are for."""
    options = OutputOptions(users={"ann": "a"}, allowed_hosts=("spy.test",))
    page, rtsp = make_outputs(["http://127.0.0.1:18080/x", "rtsp://127.0.0.1:18554/x"], options)

    assert isinstance(page, ServedOutput)
    assert isinstance(rtsp, ServedOutput)
    assert isinstance(page.server, WebServer)
    assert isinstance(rtsp.server, RTSPServer)
    assert page.server._settings.users == {"ann": "a"}
    assert page.server._settings.allowed_hosts == ("spy.test",)
    assert rtsp.server._settings.users == {"ann": "a"}
    with pytest.raises(Failure, match="https:// needs --certificate"):
        make_outputs(["https://127.0.0.1:18443/x"], OutputOptions())


def test_passwords_in_urls_are_noticed() -> None:
    """A URL with a name alone holds no password."""
    assert has_password("rtsp://ann:secret@host/x")
    assert not has_password("rtsp://ann@host/x")
    assert not has_password("rtsp://host/x")
