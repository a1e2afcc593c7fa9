"""Applications of panorama-backpack, with the real package from the index beside ours."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import aiohttp
import numpy as np
import pytest

from backpack._app.predecessor import HANDLER, MODULES, PIPELINE, lazy_property
from backpack.errors import SettingsError
from backpack.kvs import KVSCredentialsHandler, KVSSpyGlass
from backpack.push import GstSink
from backpack.rtsp import RTSPServer
from backpack.spyglass import SpyGlass

if TYPE_CHECKING:
    from concurrent.futures import Executor

ROOT = Path(__file__).parents[2]
OURS = ROOT / "src" / "backpack"
OLD = "panorama-backpack==0.3.2"
REPAIR = "--force-reinstall --no-deps backpack-spyglass"

# What old applications take from the old package, and from ours.
_USES = """
import warnings
warnings.simplefilter("error")
from backpack.geometry import Point, Rectangle
from backpack.timepiece import Ticker, local_now
from backpack.spyglass import SpyGlass
assert Rectangle(Point(0, 0), Point(4, 2)).center == Point(2, 1)
assert SpyGlass("rtsp://127.0.0.1:0/door").state.name == "STOPPED"
print(Ticker(3), local_now())
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch the real package, once."""
    folder = tmp_path_factory.mktemp("old")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), OLD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"{OLD} cannot be fetched from the package index: {done.stderr[-300:]}")
    (path,) = folder.glob("*.whl")
    return path


def install(path: Path, folder: Path) -> None:
    """Put a wheel, or our package, into a folder as pip does: over what is there."""
    if path.suffix == ".whl":
        subprocess.run([sys.executable, "-m", "zipfile", "-e", str(path), str(folder)], check=True)
    else:
        shutil.copytree(path, folder / path.name, dirs_exist_ok=True)


def run(
    code: str, *folders: Path, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run an application that finds packages in these folders."""
    path = ":".join(map(str, folders))
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("shared", [True, False], ids=["one folder", "two folders"])
def test_modules_of_both_work_where_ours_came_last(
    wheel: Path, tmp_path: Path, *, shared: bool
) -> None:
    """Installed into one environment, or each into a folder of its own on Python's path."""
    pytest.importorskip("dateutil", reason="panorama-backpack's timepiece needs python-dateutil")
    old = tmp_path if shared else tmp_path / "old"
    install(wheel, old)
    install(OURS, tmp_path)
    done = run(_USES, tmp_path, old)
    assert done.returncode == 0, done.stderr


def test_where_the_old_package_came_last_a_warning_says_what_mends_it(
    wheel: Path, tmp_path: Path
) -> None:
    """SpyGlass works nevertheless, and the doctor says the same."""
    install(OURS, tmp_path)
    install(wheel, tmp_path)
    done = run("from backpack.spyglass import SpyGlass; SpyGlass()", tmp_path)
    assert done.returncode == 0, done.stderr
    assert REPAIR in done.stderr
    doctor = run("from backpack._cli.main import main; main(['doctor'])", tmp_path)
    assert REPAIR in doctor.stdout


def test_streaming_works_where_the_old_package_took_our_first_file_along(
    wheel: Path, tmp_path: Path
) -> None:
    """As it does when it is uninstalled: its list of files names that one."""
    install(OURS, tmp_path)
    install(wheel, tmp_path)
    (tmp_path / "backpack" / "__init__.py").unlink()
    # Without the environment's own folders, in which this very checkout is installed.
    needed = [Path(module.__file__ or "").parents[1] for module in (np, aiohttp)]
    done = run(
        "from backpack.spyglass import SpyGlass; import backpack._outputs.web.worker.routes as _; "
        "SpyGlass()",
        *(tmp_path, *needed),
        options=("-S",),
    )
    assert done.returncode == 0, done.stderr
    assert REPAIR in done.stderr


def test_every_name_of_the_old_package_is_in_the_table(wheel: Path, tmp_path: Path) -> None:
    """Public classes, methods and constants of its streaming modules stand in docs/porting.md."""
    install(wheel, tmp_path)
    table = (ROOT / "docs" / "porting.md").read_text()
    names = subprocess.run(
        [sys.executable, "-c", _NAMES, *(str(tmp_path / "backpack" / f"{one}.py") for one in _OLD)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {"USE_LAST_VALUE", "RTSPServer", "check_refresh", "_get_pipeline"} <= set(names)
    assert [name for name in names if name not in table] == []


_OLD = ("skyline", "rtsp", "kvs")
# Private ones, too: its documentation tells to override some.
_NAMES = """
import ast, sys
for path in sys.argv[1:]:
    for node in ast.parse(open(path).read()).body:
        if isinstance(node, ast.Assign):
            print(*(one.id for one in node.targets if one.id.isupper()))
        if isinstance(node, ast.ClassDef):
            print(node.name)
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and not part.name.endswith("__"):
                    print(part.name)
                if isinstance(part, ast.Assign):
                    print(*(one.id for one in part.targets if one.id[0] != "_"))
"""


@pytest.mark.parametrize("hook", sorted(PIPELINE.hooks))
def test_a_hook_that_nobody_calls_is_an_error(hook: str) -> None:
    """A subclass that makes a pipeline of its own is told what to do instead."""
    kind = type("Mine", (SpyGlass,), {hook: lambda _: ""})
    with pytest.raises(SettingsError, match=r"would never be called. \w+") as told:
        kind("rtsp://127.0.0.1:0/door")
    assert f"Mine.{hook}()" in str(told.value)


@pytest.mark.parametrize("hook", sorted(HANDLER.hooks))
def test_a_handler_that_hands_credentials_over_itself_is_an_error(hook: str) -> None:
    """It is told of get_credentials()."""
    kind = type("Mine", (KVSCredentialsHandler,), {hook: lambda _: ""})
    with pytest.raises(SettingsError, match=r"get_credentials\(\)"):
        kind()


def test_what_has_no_effect_any_more_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of the class itself, and asking for renewal."""
    with pytest.warns(DeprecationWarning, match="by themselves"):
        KVSCredentialsHandler("AKIAIOSFODNN7EXAMPLE", "secret").check_refresh()
    monkeypatch.setattr(SpyGlass, "FPS_METER_WARMUP_FRAMES", 50)
    with pytest.warns(DeprecationWarning, match="no frame is thrown away") as told:
        SpyGlass()
    # Python shows those of an application's own lines only.
    assert told[0].filename == __file__


def test_arguments_that_are_not_used_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """In the log: what they were for works without."""
    caplog.set_level("INFO")
    KVSCredentialsHandler(executor=cast("Executor", object()))
    SpyGlass(dotenv_path="/etc/panorama.env")
    KVSSpyGlass("us-east-1", "door", dotenv_path="/etc/panorama.env")
    assert caplog.messages == [
        "executor is not used: credentials are got by a thread of our own.",
        "dotenv_path is not used: only kvssink needs one.",
        "dotenv_path is not used: the native producer needs none.",
    ]


@pytest.mark.parametrize("kind", [SpyGlass, KVSCredentialsHandler], ids=lambda one: one.__name__)
def test_each_constant_that_has_no_effect_warns(kind: type[SpyGlass]) -> None:
    """Where a subclass sets it, and only there."""
    kind()
    for name in kind._old_names.constants:
        with pytest.warns(DeprecationWarning, match=f"Mine.{name} has no effect"):
            type("Mine", (kind,), {name: 50})()


def test_reading_or_assigning_what_is_gone_says_what_to_do() -> None:
    """An error, as for any other name, with help."""
    with pytest.raises(AttributeError, match=r"get_credentials\(\) gives them"):
        _ = KVSCredentialsHandler().credentials  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="add_stream"):
        _ = RTSPServer(0).gst_server  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"has no attribute 'pt'$"):
        _ = SpyGlass().pt  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"spyglass doctor"):
        SpyGlass()._check_gst_plugin("kvssink")  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"start_streaming\(fps=...\)"):
        SpyGlass().video_fps = 25  # type: ignore[misc]


def test_what_a_property_raised_is_not_covered_up() -> None:
    """A subclass whose property fails by an AttributeError is told of that one."""

    class Mine(SpyGlass):
        @property
        def label(self) -> str:
            return None.upper()  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(AttributeError, match="upper"):
        _ = Mine().label


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_missing_says_how_to_install_it(module: str) -> None:
    """Where panorama-backpack is not there, which a port may have left out."""
    with pytest.raises(ModuleNotFoundError, match="--no-deps panorama-backpack") as told:
        importlib.import_module(f"backpack.{module}")
    assert told.value.name == f"backpack.{module}"
    assert "--force-reinstall" in str(told.value)


def test_a_logger_by_position_is_told_its_name() -> None:
    """It was the first argument once; outputs are now."""
    import logging  # noqa: PLC0415 - of this test alone

    with pytest.raises(SettingsError, match="parent_logger="):
        SpyGlass(logging.getLogger("mine"), GstSink("fakesink"))  # type: ignore[arg-type]


def test_a_lazy_property_is_computed_once() -> None:
    """As modules of panorama-backpack expect it."""
    calls = []

    class Shape:
        @lazy_property
        def area(self) -> int:
            calls.append(self)
            return 12

    shape = Shape()
    assert (shape.area, shape.area, len(calls)) == (12, 12, 1)
