from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from backpack._registry import OUTPUTS as OUTPUT_TYPES

SOURCE = Path(__file__).parent.parent / "src" / "backpack"

# What a room may import at the top of its files, besides itself. What is
# loaded lazily, inside of functions, is the business of its own line there.
VALUES = {"_lib", "_registry", "_version", "errors", "redaction", "stats"}
APP = {*VALUES, "_app", "_ipc", "spyglass"}
STREAMING = {*VALUES, "_gst", "_ipc", "_media", "_worker"}
ROOMS = {
    "errors": set(),
    "_version": set(),
    "stats": set(),
    "redaction": {"errors"},
    "_lib": {"errors"},
    "_registry": {"errors"},
    "_ipc": {"_lib", "errors"},
    "_app": {*VALUES, "_ipc"},
    "_media": {"_ipc"},
    "_gst": {"_lib", "_media", "errors"},
    "_worker": STREAMING,
    "spyglass": {"_app"},
    "rtsp": {"_app", "_outputs"},
    "web": {"_outputs"},
    "push": {"_outputs"},
    "kvs": {"_app", "_outputs"},
    "skyline": APP,
    "__init__": {"_version"},
    "__main__": {"_cli"},
    "_cli": None,
}
FILES = sorted(SOURCE.rglob("*.py"))


def is_for_checkers(node: ast.AST) -> bool:
    """Tell whether a block is for type checkers only."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(path: Path, *, lazy: bool) -> set[str]:
    """Give the modules that a file imports when it is loaded; lazily as well if asked for."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if is_for_checkers(node):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not lazy:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        todo += ast.iter_child_nodes(node)
    return found


def rooms(path: Path) -> set[str]:
    """Give the rooms of this package that a file imports from."""
    names = imported(path, lazy=False)
    return {name.split(".")[1] for name in names if name.startswith("backpack.")}


def room(path: Path) -> str:
    """Give the room that a file is in."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def is_output(path: Path) -> bool:
    """Tell whether a file is an output's."""
    return room(path) == "_outputs"


def is_applications(path: Path) -> bool:
    """Tell by its path whether a file is run by the application."""
    if is_output(path):
        return "worker" not in path.relative_to(SOURCE).parts
    return room(path) in {*APP, "skyline", "rtsp", "web", "push", "kvs"}


def is_both(path: Path) -> bool:
    """Tell by its path whether both processes run a file."""
    return room(path) in {"_ipc", "_media", "_lib", "_registry", "errors", "_version"}


def is_workers(path: Path) -> bool:
    """Tell by its path whether a file is run by the streaming process."""
    if is_output(path):
        parts = path.relative_to(SOURCE).parts
        return bool({"worker", "shared", "settings.py", "messages.py"} & {*parts})
    return room(path) in STREAMING or is_both(path)


def names_of(paths: list[Path]) -> list[str]:
    """Name test cases by their files."""
    return [str(path.relative_to(SOURCE)) for path in paths]


IN_ORDER = [path for path in FILES if room(path) != "_cli" and not is_output(path)]


@pytest.mark.parametrize("path", IN_ORDER, ids=names_of(IN_ORDER))
def test_imports_go_one_way(path: Path) -> None:
    """A room imports what stands above it, and nothing else."""
    allowed = ROOMS[room(path)]
    assert allowed is not None
    assert rooms(path) - allowed - {room(path), "__version__"} == set()


OUTPUTS = [path for path in FILES if is_output(path)]


@pytest.mark.parametrize("path", OUTPUTS, ids=names_of(OUTPUTS))
def test_an_output_keeps_to_its_side_and_to_its_room(path: Path) -> None:
    """Below `worker` it is the streaming process's, else the application's; none needs another."""
    below = {*STREAMING} if "worker" in path.parts else {*APP, "_media"}
    assert rooms(path) - below - {"_outputs"} == set()
    _, own, *_ = path.relative_to(SOURCE).parts
    names = {name for name in imported(path, lazy=False) if name.startswith("backpack._outputs.")}
    theirs = {name.split(".")[2] for name in names}
    assert theirs <= {own, "serving"}
    if "worker" not in path.parts:
        assert not {name for name in names if ".worker." in name}


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_one_door_leads_to_gi(path: Path) -> None:
    """Only the _gst room says `import gi`."""
    names = imported(path, lazy=True)
    if room(path) != "_gst":
        assert not {name for name in names if name.split(".")[0] == "gi"}


LOADED_BY_APP = [path for path in FILES if is_applications(path)]


@pytest.mark.parametrize("path", LOADED_BY_APP, ids=names_of(LOADED_BY_APP))
def test_the_applications_side_needs_numpy_only(path: Path) -> None:
    """Numpy and the standard library, lazily loaded things included."""
    foreign = {name.split(".")[0] for name in imported(path, lazy=True)}
    allowed = {"numpy", "backpack", "typing_extensions"}
    if path.stem in {"botocore_chain", "signing"}:
        # AWS's own search for credentials and its signatures, loaded by the threads that need them.
        allowed.add("botocore")
    assert foreign - set(sys.stdlib_module_names) <= allowed


LOADED_BY_WORKER = [path for path in FILES if is_workers(path)]


@pytest.mark.parametrize("path", LOADED_BY_WORKER, ids=names_of(LOADED_BY_WORKER))
def test_the_streaming_side_needs_no_numpy(path: Path) -> None:
    """It starts quicker and stays small without."""
    assert "numpy" not in {name.split(".")[0] for name in imported(path, lazy=True)}


def loaded_after(statement: str) -> set[str]:
    """Give the modules that are loaded after a statement in a new process."""
    code = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing() -> None:
    """`import backpack` loads no room and nothing foreign."""
    loaded = loaded_after("import backpack")
    assert {name for name in loaded if name.startswith("backpack.")} == {"backpack._version"}
    assert not loaded & {"numpy", "gi", "cv2", "boto3"}


@pytest.mark.parametrize(
    "statement",
    [
        "from backpack.spyglass import SpyGlass",
        "from backpack import GstSink, RTSPServer, RTSPSpyGlass, SpyGlass",
        "from backpack.spyglass import SpyGlass; SpyGlass('rtsp://127.0.0.1:8554/door')",
        "import warnings; warnings.simplefilter('ignore'); from backpack.skyline import SkyLine",
        "from backpack.rtsp import RTSPServer; RTSPServer(0).urls()",
        "from backpack.web import WebServer; WebServer(0).urls()",
        "from backpack.kvs import KVSSpyGlass; KVSSpyGlass('us-east-1', 'door')",
    ],
)
def test_the_application_loads_numpy_and_the_standard_library(statement: str) -> None:
    """No GStreamer, no OpenCV, no botocore; nothing of the streaming side."""
    loaded = loaded_after(statement)
    own = {name.split(".")[1] for name in loaded if name.startswith("backpack.")}

    assert not loaded & {"gi", "cv2", "boto3", "botocore", "typing_extensions"}
    assert not own & {"_gst", "_media", "_worker", "_cli"}
    plain = loaded_after("import numpy")
    foreign = {name.split(".")[0] for name in loaded - plain}
    assert foreign - set(sys.stdlib_module_names) <= {"backpack"}


@pytest.mark.parametrize(
    "module",
    [
        "_worker.main",
        "_worker.worker",
        "_outputs.rtsp.worker.server",
        "_outputs.gst.worker.stream",
        "_worker.encoding.trial",
        "_outputs.kvs.worker.stream",
        "_outputs.kvs.worker.kvssink.output",
        "_outputs.kvs.worker.kvssink.main",
        "_outputs.web.worker.server",
        "_outputs.web.worker.whep",
        "_outputs.web.worker.webrtc.peers",
    ],
)
def test_the_streaming_process_loads_nothing_of_the_applications(module: str) -> None:
    """It may run under a Python without numpy."""
    loaded = loaded_after(f"import backpack.{module}")

    assert not loaded & {"numpy", "cv2"}
    assert not loaded & {
        "backpack.spyglass",
        "backpack._app.supervisor",
        "backpack._outputs.serving.server",
        "backpack._outputs.rtsp.server",
        "backpack._outputs.web.server",
        "backpack._outputs.kvs.output",
        "backpack._outputs.kvs.credentials",
    }


# What `spyglass serve` reads from is no output, but may be an rtsp:// URL.
NOT_OUTPUTS = {"_registry.py", "_cli/source_url.py"}
ELSEWHERE = [
    path
    for path in FILES
    if not is_output(path) and str(path.relative_to(SOURCE)) not in NOT_OUTPUTS
]


@pytest.mark.parametrize("path", ELSEWHERE, ids=names_of(ELSEWHERE))
def test_which_outputs_exist_is_said_in_one_place(path: Path) -> None:
    """No file but the registry and an output's own names a type of output or a scheme."""
    strings = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # One without URLs is called as the library is.
    names = {name for one in OUTPUT_TYPES if one.schemes for name in (one.name, *one.schemes)}
    assert strings & names == set()
