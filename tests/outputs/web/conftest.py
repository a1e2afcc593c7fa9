from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.outputs.web.relay import Relay
from tests.outputs.web.rig import Rig, Serving
from tests.streams import MainLoop, NumberedStream, main_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None
)


@pytest.fixture(scope="session")
def loop() -> Iterator[MainLoop]:
    """Run GLib's main loop for all tests, as the streaming process does."""
    with main_loop() as running:
        yield running


@pytest.fixture
def rig(loop: MainLoop) -> Iterator[Rig]:
    """Give a maker of servers and streams."""
    with ExitStack() as stack:
        yield Rig(loop, stack)


@pytest.fixture
def stream(rig: Rig) -> NumberedStream:
    """Give a stream of 30 numbered pictures a second."""
    return rig.stream()


@pytest.fixture
def serving(rig: Rig, stream: NumberedStream) -> Serving:
    """Give a server with the stream at /cam."""
    made = rig.serve()
    made.mount("/cam", stream.hub)
    return made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate and its key."""
    from tests.outputs.rtsp.conftest import make_certificate  # noqa: PLC0415 - for those who need it

    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def relay_to() -> Iterator[Callable[[int], Relay]]:
    """Give a maker of relays to a port, as tunnels are."""
    with ExitStack() as stack:

        def make(port: int) -> Relay:
            relay = Relay(port)
            stack.callback(relay.close)
            return relay

        yield make


# Not for the whole session: where Playwright runs no other test can run asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Run Debian's Chromium, one for all tests of a module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                # A name that leads here is no secure context, other than 127.0.0.1.
                "--host-resolver-rules=MAP spy.test 127.0.0.1",
                # Chromium's own sandbox refuses to run as root, as in a container.
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Give a maker of pages, each with cookies of its own; their errors fail the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def note(said: Any) -> None:
        # What the policy forbids is said there; that a server is away as well, which is no error.
        if "Content Security Policy" in said.text or "TrustedHTML" in said.text:
            errors.append(said.text)

    def open_one(url: str = "", **options: Any) -> Any:
        context = browser.new_context(ignore_https_errors=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", note)
        if url:
            page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not errors
