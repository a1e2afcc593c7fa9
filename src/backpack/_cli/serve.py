"""Run ``spyglass serve``: let others watch a file, a camera, an RTSP stream or a test picture."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from backpack._cli.console import Console
from backpack._cli.failure import USAGE, Failure
from backpack._cli.logins import SOURCE_LOGIN, USERS, read_source_login, read_users
from backpack._cli.other_python import need_gstreamer
from backpack._cli.outputs import default_urls, has_password, make_outputs
from backpack._cli.playback import PlaybackTeller
from backpack._cli.run import carry
from backpack._cli.source_url import Kind, find_origin
from backpack._cli.stop import StopRequest
from backpack._ipc.settings import StreamSettings, is_disabled

if TYPE_CHECKING:
    import argparse

    from backpack._cli.run import FrameSource
    from backpack._cli.source_url import Origin

_SCENE_SIZE = (1280, 720)
_SCENE_FPS = 25.0


def run(asked: argparse.Namespace) -> int:
    """
    Serve until the source ends, the time is over, or it is ended.

    Args:
        asked: What `backpack._cli.arguments` made of the command line.

    Returns:
        The exit status.

    Raises:
        Failure: It cannot be done.
        BackpackError: The same, found by the library.

    """
    refuse_disabled()
    origin = find_origin(asked.source)
    if asked.loop and origin.kind is not Kind.FILE:
        raise Failure("--loop is for files; this source goes on by itself.", USAGE)
    # What cannot be is said before anything is started.
    settings = StreamSettings(asked.fps, asked.width, asked.height, asked.bitrate, asked.encoder)
    if origin.kind is not Kind.SCENE:
        need_gstreamer(asked.given)
    with StopRequest(asked.seconds) as ending, Console(verbose=asked.verbose) as console:
        _serve(asked, origin, settings, ending, console)
    return 0


def refuse_disabled() -> None:
    """Say that nothing would be streamed, rather than do nothing at length."""
    if is_disabled():
        raise Failure("BACKPACK_DISABLE is set, so nothing is streamed. Unset it.")


def _serve(
    asked: argparse.Namespace,
    origin: Origin,
    settings: StreamSettings,
    ending: StopRequest,
    console: Console,
) -> None:
    # Only now: `--help` and wrong options need no numpy.
    from backpack._app.output import OutputOptions  # noqa: PLC0415
    from backpack.spyglass import SpyGlass  # noqa: PLC0415

    options = OutputOptions(
        required=True,
        announces=False,
        users=read_users(asked.users_file, console.say),
        certificate=asked.certificate,
        key=asked.key,
        rtp_ports=asked.rtp_ports,
        allow_anonymous=asked.allow_anonymous,
        allowed_hosts=tuple(asked.allowed_hosts or ()),
    )
    urls = asked.urls or default_urls(origin.name, options)
    _warn_of_passwords(urls, origin, console)
    outputs = make_outputs(urls, options)
    spy = SpyGlass(
        *outputs,
        fps=settings.fps,
        width=settings.width,
        height=settings.height,
        bitrate_kbps=settings.bitrate_kbps,
        encoder=settings.encoder,
        required=True,
        allow_anonymous=options.allow_anonymous,
    )
    with contextlib.ExitStack() as stack:
        source = _open(origin, settings, ending, console, loop=asked.loop)
        stack.callback(source.close)
        with console.holding_back():
            stack.enter_context(spy)
        if not asked.json:
            print(*spy.urls(), sep="\n", flush=True)
            stack.enter_context(PlaybackTeller(spy, outputs, _print, console.say))
        carry(source, spy, ending, console, as_json=asked.json)


def _print(line: str) -> None:
    print(line, flush=True)


def _warn_of_passwords(urls: list[str], origin: Origin, console: Console) -> None:
    if any(has_password(url) for url in urls):
        console.say(
            "Everyone on this machine can read the password in a URL (ps); --users-file and "
            f"{USERS} keep it to you."
        )
    if has_password(origin.place):
        console.say(
            "Everyone on this machine can read the password in the source's URL (ps); "
            f"{SOURCE_LOGIN}=name:password keeps it to you."
        )


def _open(
    origin: Origin, settings: StreamSettings, ending: StopRequest, console: Console, *, loop: bool
) -> FrameSource:
    if origin.kind is Kind.SCENE:
        from backpack._cli.scene import SceneSource  # noqa: PLC0415

        width, height = settings.width or _SCENE_SIZE[0], settings.height or _SCENE_SIZE[1]
        return SceneSource(width, height, settings.fps or _SCENE_FPS, ending)
    # Only here GStreamer comes into this process.
    from backpack._cli import rtsp_source, sources  # noqa: PLC0415

    if origin.kind is Kind.CAMERA:
        return sources.CameraSource(origin.place)
    if origin.kind is Kind.RTSP:
        return rtsp_source.RtspSource(origin.place, read_source_login(), console.say, ending)
    return sources.FileSource(origin.place, loop=loop)
