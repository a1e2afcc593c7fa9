"""Describe the command line: commands, options, and the help that goes with them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from backpack._registry import OUTPUTS, output_types
from backpack._version import VERSION

if TYPE_CHECKING:
    from backpack._registry import OutputType

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - has no other name

_AsWritten: Final = argparse.RawDescriptionHelpFormatter

_DESCRIPTION = "Watch what a headless computer-vision application sees."

_EXIT_STATUS = """\
exit status:
  0    all went well: the source has ended, the time was over, or it was
       ended with Ctrl-C, SIGTERM or by closing the terminal
  1    it cannot be done here, and standard error says why
  2    it was asked wrongly: an option, a URL or a value that cannot be
  130  Ctrl-C came before there was anything to end
"""

_EPILOG = f"""\
examples:
  spyglass demo                     see it work: a moving scene in your browser
  spyglass doctor                   what is found here, and what to install
  spyglass serve clip.mp4 --loop    let others watch a file
  spyglass serve /dev/video0        ... a camera
  spyglass kvs check --region us-east-1 --stream door
                                    what keeps video from arriving in AWS
  spyglass serve --help             all options of a command

{_EXIT_STATUS}"""

_SERVE_EPILOG = f"""\
examples:
  spyglass serve clip.mp4 --loop
  spyglass serve /dev/video0 rtsp://127.0.0.1:8554/door --width 1280 --height 720
  spyglass serve rtsp://camera.local/main --fps 10
  spyglass serve clip.mp4 --loop kvs://us-east-1/clip
  BACKPACK_USERS=ann:secret spyglass serve testsrc rtsp://0.0.0.0:8554/test
  spyglass serve clip.mp4 rtsps://0.0.0.0:8322/clip --users-file users.txt \\
      --certificate cert.pem --key key.pem

logins:
  What stands on a command line can be read by everyone on the machine (ps),
  rtsp://name:password@... too. Better: a file (--users-file) or
  BACKPACK_USERS, both with one name:password a line; and for logging in at an
  rtsp:// source BACKPACK_SOURCE_LOGIN=name:password.

output:
  The URLs go to standard output, one a line, everything else to standard
  error. With --json, standard output has one object a second:
    urls                  where it can be watched; in the first object only
    time                  seconds since the epoch
    seconds               since the start
    state                 STOPPED, START_WARMUP, WARMUP, STREAMING or ERROR
    frames                frames that were read, until now
    fps_in                frames read, a second
    fps                   pictures encoded, a second; 0 while nobody watches
    dropped               frames lost on the way to viewers, until now
    put_ms_p50, put_ms_max  time that handing a frame over took, milliseconds
    cpu_percent           of this process, in percent of one core
    streamer_cpu_percent  of the streaming process, the same
    viewers               people who watch now
    bitrate_kbps          of the video; 0 while nobody watches
    encoder, width, height  of the video, null or 0 until they are known
    error                 what went wrong last, or null

{_EXIT_STATUS}"""

_DOCTOR_EPILOG = """\
examples:
  spyglass doctor
  spyglass doctor --install         print the command that installs what is missing
  spyglass doctor --install --yes   run it

exit status:
  0    streaming works here; with --install: nothing is missing, or was installed
  1    it does not; the last lines say what to install or to change
  2    it was asked wrongly
"""


_COMPLETION_EPILOG = """\
examples:
  spyglass completion bash > ~/.local/share/bash-completion/completions/spyglass
  spyglass completion zsh > ~/.zfunc/_spyglass     with fpath+=(~/.zfunc) in ~/.zshrc
"""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser; ``command`` is the name of the module that runs what was asked."""
    parser = argparse.ArgumentParser(
        "spyglass", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_AsWritten
    )
    parser.add_argument("--version", action="version", version=f"spyglass {VERSION}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_serve, _add_demo, _add_doctor):
        add(commands)
    for one in OUTPUTS:
        if one.has_command:
            _add_output(commands, one)
    _add_completion(commands)
    return parser


def _add_command(commands: _Commands, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=_AsWritten
    )
    parser.set_defaults(command=name)
    return parser


def _add_serve(commands: _Commands) -> None:
    text = "Let others watch a file, a camera, an RTSP stream or a test picture."
    parser = _add_command(commands, "serve", text, _SERVE_EPILOG)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a video file, a camera such as /dev/video0, an rtsp:// URL, or testsrc",
    )
    parser.add_argument(
        "urls",
        metavar="URL",
        nargs="*",
        help=f"where it goes: {_known_urls()} "
        "(default: a page and RTSP on this machine, under the source's name)",
    )
    parser.add_argument("--loop", action="store_true", help="play a file over and over")
    _add_ending(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a second, for machines"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tell more on standard error")
    _add_video(parser)
    _add_access(parser)


def _known_urls() -> str:
    """Return the URLs that outputs have, in one phrase."""
    urls = [
        f"{scheme}://{one.target}{' (a page)' if one.page else ''}"
        for one in output_types()
        for scheme in one.schemes
    ]
    return f"{', '.join(urls[:-1])} or {urls[-1]}"


def _add_video(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the video")
    group.add_argument(
        "--fps", type=float, metavar="N", help="frames a second at the most (default: 30)"
    )
    group.add_argument("--width", type=int, metavar="PIXELS", help="default: the source's")
    group.add_argument("--height", type=int, metavar="PIXELS", help="default: the source's")
    group.add_argument("--bitrate", type=int, metavar="KBIT", help="default: by size and rate")
    group.add_argument(
        "--encoder",
        metavar="ELEMENT",
        help="GStreamer element such as x264enc (default: the best that works; see doctor)",
    )


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may watch")
    group.add_argument(
        "--users-file", metavar="FILE", help="logins, one name:password a line (see below)"
    )
    group.add_argument(
        "--allow-anonymous",
        action="store_true",
        help="listen on an address that others can reach without asking for a login",
    )
    group.add_argument(
        "--certificate", metavar="PEM", help="certificate, for URLs with TLS (rtsps://, https://)"
    )
    group.add_argument("--key", metavar="PEM", help="its private key (default: in the same file)")
    group.add_argument(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        metavar="NAME",
        help="a name under which browsers may ask for the page (may be given again)",
    )
    group.add_argument(
        "--rtp-ports", type=_ports, metavar="LOW-HIGH", help="UDP ports to send from (default: any)"
    )


def _add_demo(commands: _Commands) -> None:
    text = "See it work: stream a moving scene, with what it costs."
    parser = _add_command(commands, "demo", text, _EXIT_STATUS)
    parser.add_argument(
        "urls",
        metavar="URL",
        nargs="*",
        help="where it can be watched (default: a page and RTSP on this machine)",
    )
    _add_ending(parser)


def _add_doctor(commands: _Commands) -> None:
    text = "Show what streaming needs, what of it is found, and what to install."
    parser = _add_command(commands, "doctor", text, _DOCTOR_EPILOG)
    parser.add_argument(
        "--dotenv", metavar="FILE", help="a .env that says where kvssink is (dotenv_path)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--install",
        action="store_true",
        help="print only the command that installs what is missing",
    )
    parser.add_argument("--yes", action="store_true", help="with --install: run it")


def _add_output(commands: _Commands, one: OutputType) -> None:
    module = one.load("cli")
    parser = _add_command(commands, one.name, module.HELP, "")
    module.add_arguments(parser)
    parser.set_defaults(command="output_command", output=one)


def _add_ending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=_positive, metavar="N", help="end after so long (default: never)"
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def _ports(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give two ports, for example 50000-50099"
        ) from None


def _add_completion(commands: _Commands) -> None:
    text = "Print what a shell needs to complete command lines."
    parser = _add_command(commands, "completion", text, _COMPLETION_EPILOG)
    parser.add_argument("shell", choices=("bash", "zsh"), help="for which shell")
