"""Run ``spyglass demo``: stream a moving scene, and show how to watch it and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backpack._cli.console import Console
from backpack._cli.failure import Failure
from backpack._cli.run import carry
from backpack._cli.serve import refuse_disabled
from backpack._cli.stop import StopRequest
from backpack._lib.addresses import for_url
from backpack._registry import type_of_scheme
from backpack.errors import AddressInUseError

if TYPE_CHECKING:
    import argparse

_SIZE = (960, 540)
_FPS = 25.0

_TUNNEL = "From another machine, first: ssh {forwards} THIS_MACHINE"
_BILL = "Ctrl-C ends it. What it costs, watched and unwatched:"


def run(asked: argparse.Namespace) -> int:
    """
    Stream the scene until the time is over, or it is ended.

    Args:
        asked: What `backpack._cli.arguments` made of the command line.

    Returns:
        The exit status.

    Raises:
        Failure: It cannot be done.
        BackpackError: The same, found by the library.

    """
    refuse_disabled()
    # Only now: `--help` needs no numpy.
    from backpack._app.output import OutputOptions  # noqa: PLC0415
    from backpack._cli.outputs import default_urls, make_outputs  # noqa: PLC0415
    from backpack._cli.scene import SceneSource  # noqa: PLC0415
    from backpack.spyglass import SpyGlass  # noqa: PLC0415

    with StopRequest(asked.seconds) as ending, Console() as console:
        options = OutputOptions(required=True, announces=False)
        urls = asked.urls or default_urls("demo", options)
        spy = SpyGlass(*make_outputs(urls, options), fps=_FPS, required=True)
        try:
            with console.holding_back():
                spy.start_streaming()
        except AddressInUseError as error:
            # Any free port for each: which one is taken does not matter then.
            free = " ".join(_with_free_port(url) for url in urls)
            raise Failure(f"{error} Or: spyglass demo {free}") from error
        try:
            _explain(spy.urls())
            carry(SceneSource(*_SIZE, _FPS, ending), spy, ending, console)
        finally:
            spy.stop_streaming()
    return 0


def _with_free_port(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{for_url(parts.hostname or '127.0.0.1')}:0").geturl()


def _explain(urls: list[str]) -> None:
    print("A moving scene is streamed to", *urls, sep="\n  ")
    for url in urls:
        found = type_of_scheme(urlsplit(url).scheme)
        if found is not None and found.page:
            print(f"Open it in a browser: {url}")
        elif found is not None and found.players:
            print("Watch it with one of these:")
            print(*(f"  {player.format(url=url)}" for player in found.players), sep="\n")
    ports = [urlsplit(url).port for url in urls]
    forwards = " ".join(f"-L {port}:127.0.0.1:{port}" for port in ports if port)
    print(_TUNNEL.format(forwards=forwards))
    print(_BILL, flush=True)
