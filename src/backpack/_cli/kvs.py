"""Run ``spyglass kvs check``: find out what keeps a stream from Kinesis Video Streams."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from backpack._cli.failure import CANNOT
from backpack._cli.serve import refuse_disabled
from backpack._cli.stop import Ending

if TYPE_CHECKING:
    import argparse

    from backpack._outputs.kvs.check import Finding

_SIZE = (640, 360)
_FPS = 15.0


def run(asked: argparse.Namespace) -> int:
    """
    Try one thing after the other, and print each as soon as it is known.

    Args:
        asked: What `backpack._cli.arguments` made of the command line.

    Returns:
        0 if video arrives, else 1.

    Raises:
        BackpackError: It cannot even be tried.

    """
    refuse_disabled()
    # Only now: `--help` and wrong options need no numpy.
    from backpack._cli.scene import SceneSource  # noqa: PLC0415
    from backpack._outputs.kvs.check import Check, Verdict  # noqa: PLC0415
    from backpack.kvs import KVSSpyGlass  # noqa: PLC0415

    works = True
    # What the library logs meanwhile says the same, and less of it.
    with Ending(None) as ending:
        source = SceneSource(*_SIZE, _FPS, ending)
        spyglass = KVSSpyGlass(
            asked.region,
            asked.stream,
            fragment_seconds=1.0,
            create_stream=asked.create,
            required=True,
            fps=_FPS,
        )
        with spyglass:
            check = Check(spyglass, lambda: source.read(spyglass.put, 1.0))
            for finding in check.run():
                works = works and finding.verdict is not Verdict.FAILED
                _print(finding, as_json=asked.json)
    if not asked.json:
        print("Video arrives." if works else "Video does not arrive.")
    return 0 if works else CANNOT


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
