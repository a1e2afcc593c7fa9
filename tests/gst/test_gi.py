from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backpack._gst import gi
from backpack._gst.gi import Gst, gstreamer_version
from backpack.errors import MissingDependencyError


def imported(prelude: str) -> str:
    """Import the door in a fresh Python after some preparation, and give what it says."""
    code = (
        f"{prelude}\n"
        "from backpack.errors import MissingDependencyError\n"
        "try:\n"
        "    import backpack._gst.gi\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_gstreamer_is_ready_after_the_import() -> None:
    """Whoever imports the names can make elements."""
    assert Gst.is_initialized()
    assert Gst.ElementFactory.find("capsfilter") is not None
    assert gstreamer_version().startswith("1.")


@pytest.mark.parametrize(
    "prelude",
    [
        "import sys; sys.modules['gi'] = None",
        "import gi; gi.require_version = lambda *names: (_ for _ in ()).throw(ValueError(names))",
        (
            "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; "
            "del Gst.MapInfo.__enter__"
        ),
    ],
    ids=["no PyGObject", "no introspection data", "no overrides"],
)
def test_what_is_missing_is_said_in_a_paragraph(prelude: str) -> None:
    """It names packages and a command, whatever part is missing."""
    said = imported(prelude)
    assert "install python3-gi python3-gst-1.0" in said
    assert "spyglass doctor" in said


def test_an_old_gstreamer_is_refused() -> None:
    """Before 1.20 nothing has been tried."""
    with pytest.raises(MissingDependencyError, match=r"GStreamer 1.18.4 is too old"):
        gi.check_version((1, 18, 4))
    gi.check_version((1, 20, 0))
    gi.check_version((1, 26, 1))


def test_no_structure_of_caps_or_events_is_asked_for() -> None:
    """From GStreamer 1.26 on Python gets a wrapper for it, which has none of its methods."""
    root = Path(__file__).parents[2]
    call = "get_" + "structure("
    files = [
        file
        for place in ("src", "tests", "benchmarks", "examples")
        for file in (root / place).rglob("*.py")
    ]

    assert files
    assert [str(file) for file in files if call in file.read_text("utf-8")] == []
