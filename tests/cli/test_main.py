from __future__ import annotations

import subprocess
import sys

import backpack
from backpack._cli.cost import Bill
from backpack.spyglass import SpyGlass
from tests.cli.commands import FREE_PORT, environment, run


def test_without_a_command_the_help_is_shown() -> None:
    """`spyglass` alone explains itself, with examples and exit codes."""
    done = run()
    text = "\n".join(done.out)

    assert done.process.returncode == 0
    assert "usage: spyglass" in text
    assert "spyglass serve clip.mp4 --loop" in text
    assert "exit status" in text


def test_the_version_is_told() -> None:
    """`spyglass --version` gives the package's version."""
    done = run("--version")

    assert done.out == [f"spyglass {backpack.__version__}"]


def test_an_unknown_command_is_wrong_usage() -> None:
    """What is asked wrongly ends with status 2 and says so on standard error."""
    done = run("observe")

    assert done.process.returncode == 2
    assert "observe" in done.err[-1]
    assert done.out == []


def test_the_command_line_is_light() -> None:
    """Importing it loads neither numpy nor gi: `--help` is there at once."""
    code = "import sys, backpack._cli.main; print({'numpy', 'gi', 'asyncio'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


def test_the_help_of_serve_documents_every_field_of_its_json() -> None:
    """Machines can rely on the numbers that the help names."""
    text = "\n".join(run("serve", "--help").out)
    fields = {"urls", *Bill(SpyGlass()).numbers()}

    assert {field for field in fields if field not in text} == set()


def test_a_python_without_numpy_gets_told_so(bare_python: str) -> None:
    """Without numpy there is one sentence and no traceback."""
    done = run("serve", "testsrc", FREE_PORT, python=bare_python)

    assert done.process.returncode == 1
    assert len(done.err) == 1
    assert "has no numpy" in done.err[0]


def test_a_disabled_library_is_not_served_with() -> None:
    """BACKPACK_DISABLE makes the commands refuse rather than do nothing at length."""
    for words in (("serve", "testsrc", FREE_PORT), ("demo", FREE_PORT)):
        done = run(*words, env=environment(BACKPACK_DISABLE="1"))

        assert done.process.returncode == 1
        assert "BACKPACK_DISABLE" in done.err[0]


def test_the_package_itself_runs_it() -> None:
    """`python -m backpack` is the command, where its script is not on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "backpack", "--version"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == f"spyglass {backpack.__version__}"
