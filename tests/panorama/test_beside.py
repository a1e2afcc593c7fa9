"""This package and the real panorama-backpack, installed together: both work, in either order."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.panorama.conftest import Environment, Wheels

# Theirs are imported before ours, so that each finds the other by itself.
EVERYTHING = """
import warnings
from backpack import lazy_property
from backpack.annotation import BoundingBoxAnnotation, TimestampAnnotation
from backpack.annotation.color import Color
from backpack.config import ConfigBase, IntegerListSerDe
from backpack.geometry import Point, PolyLine, Rectangle
from backpack.timepiece import StopWatch, Ticker
# Worked out by lazy_property, of a frozen dataclass.
assert PolyLine([Point(0, 0), Point(1, 0), Point(1, 1)], closed=True).self_intersects is False
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from backpack.skyline import SkyLine
    from backpack.spyglass import SpyGlass
    from backpack.rtsp import RTSPServer, RTSPSkyLine
    from backpack.kvs import KVSSkyLine
    import backpack.push
assert SkyLine is SpyGlass and issubclass(RTSPSkyLine, SkyLine) and issubclass(KVSSkyLine, SkyLine)
"""

STREAMS = """
import warnings
warnings.simplefilter("ignore")
from backpack.rtsp import RTSPServer, RTSPSpyGlass
import numpy
server = RTSPServer(port="0")
spyglass = RTSPSpyGlass(server, "/stream1")
server.start()
spyglass.start_streaming(30, 640, 480)
assert spyglass.put(numpy.zeros((480, 640, 3), numpy.uint8))
print(spyglass.state.name)
spyglass.stop_streaming()
server.stop()
"""

MAKE = "from backpack.spyglass import SpyGlass; SpyGlass()"

DOCTOR = """
from backpack._cli.doctor_conflicts import other_owners
print(*(one["remedy"] for one in other_owners()))
"""

COMMAND = re.compile(r"RuntimeWarning: .* (\S*python\S* -m pip install .*) mends it")


def install(environment: Environment, wheels: Wheels, order: str) -> None:
    """Install both, one after the other."""
    for name in order.split():
        environment.pip("install", getattr(wheels, name))


def mend(environment: Environment, said: str) -> None:
    """Run the command of a warning, with a pip that this environment has not."""
    found = COMMAND.search(said)
    assert found, said
    _, _, _, *words = shlex.split(found[1])
    environment.pip(*words)


def test_all_of_both_is_there_where_ours_came_last(
    environment: Environment, wheels: Wheels
) -> None:
    """Nothing is warned of, the names of our own are there, and the doctor finds nothing wrong."""
    install(environment, wheels, "theirs ours")

    environment.says(EVERYTHING)
    environment.says("from backpack import RTSPServer, SpyGlass; import backpack.push", "-Werror")
    assert environment.says(DOCTOR) == ""


def test_all_of_both_is_there_where_theirs_came_last(
    environment: Environment, wheels: Wheels
) -> None:
    """It streams; a warning names the command that brings the rest back, and so does the doctor."""
    install(environment, wheels, "ours theirs")

    environment.says(EVERYTHING)
    assert environment.says(STREAMS) == "STREAMING"
    assert "overwritten or removed" in environment.says(DOCTOR)
    mend(environment, environment.run("-c", MAKE).stderr)
    environment.says("from backpack import RTSPServer, SpyGlass, lazy_property", "-Werror")
    environment.says(EVERYTHING)


def test_ours_outlives_theirs(environment: Environment, wheels: Wheels) -> None:
    """Uninstalling theirs takes a file of ours along; it still streams, and says how to mend it."""
    install(environment, wheels, "theirs ours")
    environment.pip("uninstall", "-y", "panorama-backpack")

    assert environment.says(STREAMS) == "STREAMING"
    assert "overwritten or removed" in environment.says(DOCTOR)
    mend(environment, environment.run("-c", MAKE).stderr)
    environment.says("from backpack import RTSPServer, SpyGlass", "-Werror")


def test_theirs_is_found_in_another_folder(
    environment: Environment, wheels: Wheels, tmp_path: Path
) -> None:
    """What `pip install --target` has put behind ours on the path is found, and ours is first."""
    environment.pip("install", wheels.ours)
    environment.pip("install", "--target", tmp_path / "theirs", wheels.theirs)
    environment.behind(tmp_path / "theirs")

    environment.says(EVERYTHING)
    assert environment.says(DOCTOR) == ""
