"""What an application is told, and what goes on, where a part is not installed: one table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi
import pytest

from backpack.errors import MissingDependencyError
from tests.apps import SOURCE
from tests.missing import can_hide, without
from tests.outputs.rtsp.conftest import make_certificate
from tests.outputs.web.worker.webrtc.offers import CHROMIUM

pytestmark = pytest.mark.skipif(
    not can_hide(), reason="this machine lets no overlay be mounted in a namespace"
)

_APP = """
import json, sys, time, urllib.request, urllib.error, socket
from urllib.parse import urlsplit
import numpy as np
from backpack._outputs.serving.output import ServedOutput
from backpack.push import GstSink
from backpack.rtsp import RTSPServer
from backpack.spyglass import SpyGlass

asked = json.loads(sys.argv[1])
outputs = list(asked["outputs"])
if asked["sink"]:
    outputs.append(GstSink("fakesink"))
if asked["certificate"]:
    certificate, key = asked["certificate"]
    server = RTSPServer(0, certificate=certificate, key=key)
    outputs.append(ServedOutput(server, "/safe", starts_server=True))
found = {"raised": None}

def get(url, data=None):
    try:
        request = urllib.request.Request(
            url, data=data, headers={"Content-Type": "application/sdp"} if data else {})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()

spyglass = SpyGlass(*outputs, required=asked["required"])
try:
    spyglass.start_streaming()
except Exception as error:
    found["raised"] = [type(error).__name__, str(error)]
else:
    frame = np.zeros((240, 320, 3), np.uint8)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        spyglass.put(frame)
        stats = spyglass.stats()
        if stats.encoded > 3 or spyglass.state is SpyGlass.State.ERROR:
            break
        time.sleep(0.02)
    found |= {"urls": spyglass.urls(), "state": spyglass.state.name,
        "reason": spyglass.state_reason, "error": stats.error, "encoder": stats.encoder,
        "encoded": stats.encoded, "outputs": stats.outputs}
    for url in spyglass.urls():
        if url.startswith("rtsp://"):
            parts = urlsplit(url)
            with socket.create_connection((parts.hostname, parts.port), 20) as client:
                client.sendall(f"DESCRIBE {url} RTSP/1.0\\r\\nCSeq: 1\\r\\n\\r\\n".encode())
                found["describe"] = client.recv(100).decode(errors="replace").split()[1]
        elif url.startswith("http"):
            base, _, token = url.partition("?")
            root = base.rpartition("/")[0]
            found["snapshot"] = get(f"{base}/snapshot.jpg?{token}")[0]
            found["listed"] = json.loads(get(f"{root}/api/streams?{token}")[1])["streams"][0]
            found["metrics"] = get(f"{root}/metrics?{token}")[1].decode()
            if asked["offer"]:
                status, text = get(f"{base}/whep?{token}", asked["offer"].encode())
                found["whep"] = [status, text.decode()]
    spyglass.stop_streaming()
print(json.dumps(found))
"""

PAGE, RTSP = "http://127.0.0.1:0/door", "rtsp://127.0.0.1:0/door"


@dataclass(frozen=True)
class Found:
    """What the application has found, and what a person has seen meanwhile."""

    app: dict[str, Any]
    stderr: str

    def __getitem__(self, name: str) -> Any:
        return self.app[name]


class Machine:
    """A machine that lacks some parts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(
        self,
        missing: list[Path],
        *outputs: str,
        sink: bool = False,
        required: bool = False,
        offer: str = "",
        certificate: tuple[Path, Path] | None = None,
    ) -> Found:
        """Run the application there."""
        asked = {
            "outputs": outputs,
            "sink": sink,
            "required": required,
            "offer": offer,
            "certificate": [str(path) for path in certificate] if certificate else None,
        }
        app = [sys.executable, "-c", _APP, json.dumps(asked)]
        # GStreamer's list of plug-ins would be changed for everybody.
        environment = {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "GST_REGISTRY": str(self._folder / "registry.bin"),
        }
        done = subprocess.run(
            [*without(missing, self._folder / "overlay"), *app],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Found(json.loads(done.stdout), done.stderr)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine whose parts can be taken away."""
    (tmp_path / "overlay").mkdir()
    return Machine(tmp_path)


def typelib(name: str) -> list[Path]:
    """Find introspection data."""
    found = list(Path("/usr/lib").glob(f"**/girepository-1.0/{name}.typelib"))
    assert found
    return found


def plugin(name: str) -> list[Path]:
    """Find a plug-in of GStreamer."""
    found = list(Path("/usr/lib").glob(f"**/gstreamer-1.0/{name}.so"))
    assert found
    return found


def python_package(name: str) -> list[Path]:
    """Find a package of the system's Python, with what its package manager removes."""
    found = [*Path("/usr/lib/python3/dist-packages").glob(f"{name}"), *_metadata(name)]
    assert found
    return found


def _metadata(name: str) -> list[Path]:
    return list(Path("/usr/lib/python3/dist-packages").glob(f"{name}-*.egg-info"))


def test_without_aiohttp_rtsp_goes_on_and_the_page_is_not_announced(machine: Machine) -> None:
    """One line says which package helps, also in state and statistics; RTSP is served."""
    found = machine.run(python_package("aiohttp"), PAGE, RTSP, sink=True)

    assert found.stderr.count("install python3-aiohttp") == 1
    assert "watch at http" not in found.stderr
    assert f"RTSP at {found['urls'][0]}" in found.stderr
    assert [url.partition(":")[0] for url in found["urls"]] == ["rtsp"]
    assert found["state"] == "STREAMING"
    for told in (found["reason"], found["error"], found["outputs"][0]["trouble"]):
        assert "install python3-aiohttp" in told
    assert found["outputs"][1]["trouble"] == ""
    assert found["describe"] == "200"


def test_without_aiohttp_a_page_alone_is_an_error(machine: Machine) -> None:
    """Where nothing at all can be served the start raises, and nothing is printed beside it."""
    found = machine.run(python_package("aiohttp"), PAGE)

    assert found["raised"][0] == MissingDependencyError.__name__
    assert "install python3-aiohttp" in found["raised"][1]
    assert found.stderr == ""


def test_without_aiohttp_one_that_is_required_is_an_error(machine: Machine) -> None:
    """With required=True each output has to be served."""
    found = machine.run(python_package("aiohttp"), PAGE, RTSP, required=True)

    assert found["raised"][0] == MissingDependencyError.__name__


def test_without_the_rtsp_server_the_page_goes_on_and_tells_it(machine: Machine) -> None:
    """Its list and its metrics say it, too, for those who look at nothing else."""
    found = machine.run(typelib("GstRtspServer-1.0"), PAGE, RTSP, sink=True)

    assert found.stderr.count("install gir1.2-gst-rtsp-server-1.0") == 1
    assert "RTSP at" not in found.stderr
    assert f"watch at {found['urls'][0].rpartition('/')[0]}" in found.stderr
    assert [url.partition(":")[0] for url in found["urls"]] == ["http"]
    assert found["state"] == "STREAMING"
    assert found["snapshot"] == 200
    for told in (found["reason"], found["error"], *found["listed"]["problems"]):
        assert "gir1.2-gst-rtsp-server-1.0" in told
    assert len(found["listed"]["problems"]) == 1
    assert 'spyglass_output_up{stream="/door",output="rtsp-2"} 0' in found["metrics"]
    assert 'spyglass_output_up{stream="/door",output="gstreamer-3"} 1' in found["metrics"]


@pytest.mark.parametrize(
    "part", ["GStreamer", "PyGObject", "PyGObject, of which other packages left files"]
)
def test_without_gstreamer_the_application_goes_on(machine: Machine, part: str) -> None:
    """It is told once what to install, sees no traceback, and gets no address."""
    files = {
        "GStreamer": typelib("Gst-1.0"),
        "PyGObject": python_package("gi"),
        "PyGObject, of which other packages left files": [
            Path(gi.__file__),
            *Path(gi.__file__).parent.glob("_gi*.so"),
        ],
    }[part]

    found = machine.run(files, PAGE, RTSP)

    assert found.stderr.count("SpyGlass:") == 1
    assert "install python3-gi" in found.stderr
    assert "python3-aiohttp" in found.stderr, "one command is enough"
    assert found["state"] == "ERROR"
    assert "install python3-gi" in found["reason"]
    assert "Traceback" not in found["reason"] + found.stderr
    assert found["urls"] == []


def test_without_gstreamer_a_required_stream_raises(machine: Machine) -> None:
    """With the same sentence."""
    found = machine.run(typelib("Gst-1.0"), PAGE, required=True)

    assert found["raised"][0] == MissingDependencyError.__name__
    assert "install python3-gi" in found["raised"][1]


def test_without_x264_openh264_encodes(machine: Machine) -> None:
    """Everything goes on, with the next encoder that works."""
    found = machine.run(plugin("libgstx264"), RTSP, sink=True)

    assert found["encoder"] == "openh264enc"
    assert found["describe"] == "200"
    assert found["error"] is None


def test_without_any_encoder_the_start_raises(machine: Machine) -> None:
    """The sentence says what each of them lacks, and the package of one."""
    found = machine.run([*plugin("libgstx264"), *plugin("libgstopenh264")], RTSP, sink=True)

    assert found["raised"][0] == "EncoderError"
    assert "gstreamer1.0-plugins-ugly" in found["raised"][1]


def test_without_libyuv_everything_goes_on_and_is_dearer(machine: Machine) -> None:
    """Colours are converted by GStreamer; pictures come as ever."""
    libraries = list(Path("/usr/lib").glob("*/libyuv.so*"))
    assert libraries

    found = machine.run(libraries, RTSP, sink=True)

    assert found["encoded"] > 3
    assert found["error"] is None


@pytest.mark.parametrize("part", ["typelib", "nice"])
def test_without_a_part_of_webrtc_the_page_goes_on(machine: Machine, part: str) -> None:
    """Who asks for WebRTC gets 501 with the command that helps; the rest of the page works."""
    files = typelib("GstWebRTC-1.0") if part == "typelib" else plugin("libgstnice")

    found = machine.run(files, PAGE, sink=True, offer=CHROMIUM.decode())

    assert found["whep"][0] == 501
    assert "gstreamer1.0-nice" in found["whep"][1]
    assert found["snapshot"] == 200
    assert found["error"] is None


def test_rtsps_needs_no_tls_of_glib(machine: Machine, tmp_path: Path) -> None:
    """Python's own encrypts: nothing is missing, and both servers are served."""
    files = [
        path
        for name in ("libgiognutls", "libgioopenssl")
        for path in Path("/usr/lib").glob(f"*/gio/modules/{name}.so")
    ]
    assert files

    found = machine.run(files, RTSP, sink=True, certificate=make_certificate(tmp_path))

    assert "glib-networking" not in found.stderr
    assert len(found["urls"]) == 2
    assert found["describe"] == "200"
