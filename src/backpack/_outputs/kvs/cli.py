"""``spyglass kvs check``: finds out what keeps a stream from Kinesis Video Streams."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.check import Finding

HELP: Final = "Find out what keeps a stream from Kinesis Video Streams."

FPS: Final = 15.0

_CHECK_EPILOG = """\
Credentials are taken from where boto3 takes them: AWS_... variables,
AWS_PROFILE, the role of the machine or container.

exit status:
  0    video arrives
  1    it does not; the last line that failed says why, and what helps
  2    it was asked wrongly
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be given to ``spyglass kvs``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "Try credentials, permissions, the endpoint, and an upload of two seconds."
    check = actions.add_parser(
        "check",
        help=text,
        description=text,
        epilog=_CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--region", required=True, metavar="REGION", help="such as us-east-1")
    check.add_argument("--stream", required=True, metavar="NAME", help="name of the stream")
    check.add_argument("--create", action="store_true", help="create the stream if it is missing")
    check.add_argument("--json", action="store_true", help="print one JSON object a finding")


def run(asked: argparse.Namespace, play: Callable[[Callable[..., object], float], None]) -> bool:
    """
    Try one thing after the other, and print each as soon as it is known.

    Args:
        asked: The command line.
        play: Puts a moving scene for a second: called with `put` and a rate.

    Returns:
        Whether video arrives.

    Raises:
        BackpackError: It cannot even be tried.

    """
    # Only now: `--help` and wrong options need no numpy.
    from backpack._outputs.kvs.check import Check, Verdict  # noqa: PLC0415
    from backpack._outputs.kvs.spyglass import KVSSpyGlass  # noqa: PLC0415

    works = True
    # What the library logs meanwhile says the same, and less of it.
    spyglass = KVSSpyGlass(
        asked.region,
        asked.stream,
        fragment_seconds=1.0,
        create_stream=asked.create,
        required=True,
        fps=FPS,
    )
    with spyglass:
        check = Check(spyglass, lambda: play(spyglass.put, FPS))
        for finding in check.run():
            works = works and finding.verdict is not Verdict.FAILED
            _print(finding, as_json=asked.json)
    if not asked.json:
        print("Video arrives." if works else "Video does not arrive.")
    return works


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        found = {
            "name": finding.name,
            "verdict": finding.verdict.value,
            "remark": finding.remark,
        }
        print(json.dumps(found), flush=True)
    else:
        line = f"  {finding.verdict.value:<8}{finding.name:<26}{finding.remark}"
        print(line.rstrip(), flush=True)
