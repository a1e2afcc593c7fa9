from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backpack._ipc import interpreter
from backpack._ipc.interpreter import boot_command, candidates, clean_environment


def test_a_named_python_is_the_only_one() -> None:
    """BACKPACK_PYTHON is taken as it is, or looked up on the PATH."""
    assert candidates({"BACKPACK_PYTHON": "/nowhere/python3"}) == ["/nowhere/python3"]
    assert Path(candidates({"BACKPACK_PYTHON": "sh"})[0]).name == "sh"


def test_the_applications_own_python_comes_first_if_it_has_gi(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Python with `gi` streams itself; the operating system's come after it."""
    monkeypatch.setattr(interpreter, "_SYSTEM_PYTHONS", (sys.executable, "/bin/sh", "/nowhere"))
    monkeypatch.setitem(sys.modules, "gi", None)
    assert candidates({}) == [sys.executable, "/bin/sh"]

    monkeypatch.setattr(interpreter, "_has_gi", lambda: True)
    monkeypatch.setattr(interpreter, "_SYSTEM_PYTHONS", ("/bin/sh",))
    assert candidates({}) == [sys.executable, "/bin/sh"]
    monkeypatch.setattr(interpreter, "_has_gi", lambda: False)
    assert candidates({}) == ["/bin/sh"]


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/uwsgi", "/opt/app/camera"])
def test_an_application_is_not_taken_for_a_python(
    monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    """An embedding application would start itself again, without end."""
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(interpreter, "_has_gi", lambda: True)
    assert executable not in candidates({})


def test_a_frozen_application_is_not_taken_for_a_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for one that PyInstaller has made."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(interpreter, "_has_gi", lambda: True)
    monkeypatch.setattr(interpreter, "_SYSTEM_PYTHONS", ())
    assert candidates({}) == []


def test_the_environment_is_rebuilt_from_an_allow_list() -> None:
    """What makes another Python load the wrong libraries does not come along, nor do secrets."""
    given = {
        "PYTHONHOME": "/conda",
        "PYTHONPATH": "/conda/lib",
        "LD_LIBRARY_PATH": "/conda/lib",
        "LD_PRELOAD": "evil.so",
        "GI_TYPELIB_PATH": "/conda",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "HOME": "/root",
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "XDG_RUNTIME_DIR": "/run/user/0",
        "GST_DEBUG": "2",
    }
    kept = clean_environment(given, GST_DEBUG_FILE="/tmp/log", OTHER=None)

    assert set(kept) == {
        *("HOME", "PATH", "LC_ALL", "XDG_RUNTIME_DIR"),
        *("GST_DEBUG", "GST_DEBUG_NO_COLOR", "GST_DEBUG_FILE"),
    }


def test_boot_loads_this_package_and_nothing_beside_it(tmp_path: Path) -> None:
    """Another Python gets the package from its folder; neighbours stay out of its path."""
    home = tmp_path / "site-packages"
    home.mkdir()
    (home / "backpack").symlink_to(Path(interpreter.__file__).parent.parent)
    (home / "neighbour.py").write_text("")
    (home / "json.py").write_text("raise SystemExit('the wrong json')")
    code = (
        "import sys\n"
        "def main(arguments):\n"
        "    import backpack, json\n"
        "    try:\n"
        "        import neighbour\n"
        "    except ImportError:\n"
        "        print(arguments, backpack.__version__)\n"
        "    return 7\n"
    )
    module = Path(interpreter.__file__).parent.parent
    # A module of the package that only this test knows, in a copy of it.
    copy = tmp_path / "copy" / "backpack"
    copy.mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "_version.py", "_lib", "_ipc"):
        (copy / name).symlink_to(module / name)
    (copy / "probe.py").write_text(code)
    boot = copy / "boot.py"
    boot.write_text((module / "_ipc" / "boot.py").read_text().replace(".parent.parent", ".parent"))
    done = subprocess.run(
        [sys.executable, "-I", "-B", str(boot), "backpack.probe", "a", "b"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "['a', 'b'] 1.0.0", done.stderr
    assert done.returncode == 7


def test_the_command_isolates_python() -> None:
    """No user site, no PYTHON… variables, no bytecode written into the package."""
    command = boot_command("/usr/bin/python3", "backpack._worker.main", "5")

    assert command[:3] == ["/usr/bin/python3", "-I", "-B"]
    assert Path(command[3]).name == "boot.py"
    assert command[4:] == ["backpack._worker.main", "5"]
