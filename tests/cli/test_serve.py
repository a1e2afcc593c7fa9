from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import FREE_PORT, LONG, environment, run, running, shown
from tests.clients import ffmpeg_frames, ffprobe
from tests.waiting import is_running, wait_for


def test_a_file_can_be_watched_and_ends(clip: Path) -> None:
    """The URL is told at once, the video has the file's size, the end is status 0."""
    with running("serve", str(clip), FREE_PORT, "--loop") as looping:
        seen = shown(looping.url(), "322")
        assert looping.end() == 0
    played = run("serve", str(clip), FREE_PORT)

    assert (seen["codec_name"], seen["width"], seen["height"]) == ("h264", "322", "242")
    assert played.process.returncode == 0
    assert len(played.out) == 1
    assert "0 dropped" in played.err[-1]


def test_the_picture_is_that_of_the_file(clip: Path) -> None:
    """What a viewer decodes is the red that the file shows."""
    with running("serve", str(clip), FREE_PORT, "--loop") as serving:
        assert shown(serving.url(), "322")
        frames = ffmpeg_frames(serving.url(), 3, width=322, height=242)

    # Pure red has a luma of 76 of 255.
    assert abs(frames[-1][322 * 121 + 161] - 76) < 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(number: int) -> None:
    """Ctrl-C, SIGTERM and a closed terminal are status 0; nothing is left, nothing complains."""
    with running("serve", "testsrc", FREE_PORT) as serving:
        url = serving.url()
        child = serving.streaming_process()
        assert serving.end(number) == 0

    assert not is_running(child)
    assert "Traceback" not in "\n".join(serving.err)
    port = int(url.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_seconds_end_it() -> None:
    """--seconds ends by itself, with status 0 and a last status line."""
    done = run("serve", "testsrc", FREE_PORT, "--seconds", "2")

    assert done.process.returncode == 0
    assert "nobody watches" in done.err[-1]


def test_machines_get_an_object_a_second() -> None:
    """--json: the first object has the URL, the later ones count a viewer and what he costs."""
    with running("serve", "testsrc", FREE_PORT, "--json", "--width", "320", "--height=240") as it:
        first = json.loads(it.wait_line(it.out, "urls"))
        with subprocess.Popen(
            [
                *("ffmpeg", "-v", "error", "-rtsp_transport", "tcp"),
                *("-i", first["urls"][0], "-f", "null", "-"),
            ],
            stdin=subprocess.DEVNULL,
        ) as viewer:
            line = it.wait_line(
                it.out, lambda text: (one := json.loads(text))["viewers"] and one["fps"] > 1
            )
            viewer.terminate()
        assert it.end() == 0
    watched = json.loads(line)
    later = it.objects()[1:]

    assert first["urls"][0].startswith("rtsp://127.0.0.1:")
    assert watched["viewers"] == 1
    assert (watched["width"], watched["height"]) == (320, 240)
    assert watched["encoder"]
    assert watched["bitrate_kbps"]
    assert all("urls" not in one for one in later)
    assert all(set(one) == set(later[0]) for one in later)
    assert [one["frames"] for one in later] == sorted(one["frames"] for one in later)
    assert it.err == []


def test_a_reader_of_the_json_that_leaves_ends_it() -> None:
    """Piped into `head -1` it ends without a word."""
    command = (sys.executable, "-m", "backpack._cli", "serve", "testsrc", FREE_PORT, "--json")
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" | head -1', "sh", *command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=True,
    )

    assert "urls" in json.loads(done.stdout)
    assert done.stderr == ""


def test_a_terminal_gets_one_line_that_is_rewritten() -> None:
    """In a terminal the status line is rewritten in place, and ended by a line break."""
    ours, theirs = os.openpty()
    try:
        with running("serve", "testsrc", FREE_PORT, stderr=theirs) as serving:
            written = b""
            # One a second from when it streams, however long it took to start.
            while written.count(b"\r\x1b[K") < 2:
                assert select.select([ours], [], [], LONG)[0]
                written += os.read(ours, 65536)
            assert serving.end() == 0
        os.close(theirs)
        try:
            while True:
                written += os.read(ours, 65536)
        except OSError:
            pass
    finally:
        os.close(ours)

    assert written.count(b"\r\x1b[K") >= 3
    assert written.count(b"\n") == 1
    assert written.endswith(b"\r\n")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("no such file.mp4",), 1, "There is no file"),
        (("/dev/video4711",), 1, "There is no camera"),
        (("/dev/null", FREE_PORT), 1, "camera /dev/null cannot be read"),
        (("testsrc", "gopher://host/x"), 2, "no output for the scheme"),
        (("testsrc", "rtsp://192.0.2.1:8554/x", "--allow-anonymous"), 2, "not an address of this"),
        (("testsrc", "rtsp://0.0.0.0:0/x"), 2, "--allow-anonymous"),
        (("testsrc", "rtsps://127.0.0.1:0/x"), 2, "--certificate"),
        (("testsrc", FREE_PORT, "--fps", "0"), 2, "--fps"),
        (("testsrc", FREE_PORT, "--encoder", "no such"), 2, "--encoder"),
        (("testsrc", FREE_PORT, "--encoder", "nosuchenc"), 1, "nosuchenc"),
        (("testsrc", FREE_PORT, "--loop"), 2, "--loop"),
        (("testsrc", FREE_PORT, "--seconds", "-1"), 2, "--seconds"),
        (("testsrc", FREE_PORT, "--rtp-ports", "many"), 2, "--rtp-ports"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: tuple[str, ...], status: int, sentence: str) -> None:
    """Mistakes end with a sentence on standard error and a status, never with a traceback."""
    done = run("serve", *words)

    assert done.process.returncode == status
    assert sentence in done.err[-1]
    assert "Traceback" not in "\n".join(done.err)
    if status == 1:
        assert len(done.err) == 1, done.err


def test_a_taken_port_is_told() -> None:
    """Where another program listens, that is said once, and the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("serve", "testsrc", f"rtsp://127.0.0.1:{port}/x")

    assert done.process.returncode == 1
    assert len(done.err) == 1
    assert str(port) in done.err[0]
    assert done.out == []


def test_logins_are_asked_for_and_never_shown(tmp_path: Path) -> None:
    """Users of a file must log in; no output holds a password; one in a URL is warned of."""
    users = tmp_path / "users"
    users.touch(0o600)
    users.write_text("ann:topsecret\n")
    given = "rtsp://bob:hidden@127.0.0.1:0/view"
    with running("serve", "testsrc", given, "--users-file", str(users)) as serving:
        url = serving.url()
        with pytest.raises(RuntimeError, match="401"):
            ffprobe(url)
        for login in ("ann:topsecret", "bob:hidden"):
            assert ffprobe(url.replace("//", f"//{login}@"))["codec_name"] == "h264"
        serving.end()
    shown = "\n".join(serving.out + serving.err)

    assert "topsecret" not in shown
    assert "hidden" not in shown
    assert "BACKPACK_USERS" in shown


def test_rtsps_is_served_with_a_certificate(tmp_path: Path) -> None:
    """With a certificate and its key the video is served encrypted."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        check=True,
    )
    options = ("--certificate", str(certificate), "--key", str(key))
    with running("serve", "testsrc", "rtsps://127.0.0.1:0/view", *options) as serving:
        url = serving.url()

        assert url.startswith("rtsps://")
        assert ffprobe(url)["codec_name"] == "h264"


def test_a_python_without_gi_hands_over_to_one_that_has_it(clip: Path, plain_python: str) -> None:
    """A file is served from a Python without gi: another one takes the process over."""
    with running("serve", str(clip), FREE_PORT, "--loop", python=plain_python) as serving:
        url = serving.url()
        executable = Path(f"/proc/{serving.process.pid}/exe").readlink()
        assert shown(url, "322")
        assert serving.end(signal.SIGINT) == 0

    assert executable != Path(plain_python).resolve()


def test_the_test_picture_needs_no_other_python(plain_python: str) -> None:
    """The scene is drawn without GStreamer, so no other Python takes over."""
    with running("serve", "testsrc", FREE_PORT, python=plain_python) as serving:
        assert shown(serving.url(), "1280")
        executable = Path(f"/proc/{serving.process.pid}/exe").readlink()

    assert executable == Path(plain_python).resolve()


def test_where_no_python_has_gstreamer_that_is_told(clip: Path, plain_python: str) -> None:
    """Without GStreamer anywhere, both kinds of source say what to install, once."""
    env = environment(BACKPACK_PYTHON=plain_python)
    for source in (str(clip), "testsrc"):
        done = run("serve", source, FREE_PORT, python=plain_python, env=env)
        text = "\n".join(done.err)

        assert done.process.returncode == 1
        assert text.count("apt install") == 1
        assert "Traceback" not in text


def _camera(port: int) -> tuple[str, ...]:
    url = f"rtsp://127.0.0.1:{port}/camera"
    return ("serve", "testsrc", url, "--width", "320", "--height", "240")


def test_an_rtsp_source_is_come_back_to() -> None:
    """A camera that goes away and comes back is served on, under the same address."""
    with contextlib.ExitStack() as stack:
        with running(*_camera(0)) as camera:
            url = camera.url()
            serving = stack.enter_context(running("serve", url, FREE_PORT))
            assert shown(serving.url(), "320")
            assert camera.end() == 0
        serving.wait_line(serving.err, "trying again in")
        stack.enter_context(running(*_camera(int(url.split(":")[2].split("/")[0]))))
        serving.wait_line(serving.err, "is back")
        assert shown(serving.url(), "320")
        assert serving.end() == 0

    assert "Traceback" not in "\n".join(serving.err)


def test_an_rtsp_source_that_is_not_there_is_waited_for() -> None:
    """A camera that has not started yet is tried again, and Ctrl-C ends the wait at once."""
    with running("serve", "rtsp://ann:hidden@127.0.0.1:1/camera", FREE_PORT) as serving:
        serving.wait_line(serving.err, "trying again in 1.0 s")
        begin = time.monotonic()
        assert serving.end(signal.SIGINT) == 0

    assert time.monotonic() - begin < LONG / 3
    assert "hidden" not in "\n".join(serving.out + serving.err)


def test_an_rtsp_source_is_logged_in_at() -> None:
    """The login comes from the environment; a wrong one ends the command, and is not repeated."""
    camera_env = environment(BACKPACK_USERS="ann:topsecret")
    with running("serve", "testsrc", FREE_PORT, env=camera_env) as camera:
        url = camera.url()
        good = environment(BACKPACK_SOURCE_LOGIN="ann:topsecret")
        with running("serve", url, FREE_PORT, env=good) as serving:
            assert ffprobe(serving.url())["codec_name"] == "h264"
        wrong = run("serve", url, FREE_PORT, env=environment(BACKPACK_SOURCE_LOGIN="ann:guess"))

    assert wrong.process.returncode == 1
    assert "does not accept the login" in wrong.err[-1]


def test_a_streaming_process_that_dies_is_not_the_end(clip: Path) -> None:
    """When the streaming process is killed the command goes on and the video comes back."""
    with running("serve", str(clip), FREE_PORT, "--loop") as serving:
        url = serving.url()
        first = serving.streaming_process()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not is_running(first))
        wait_for(lambda: serving.streaming_process() != first, LONG)
        assert wait_for(lambda: _width(url), LONG) == "322"
        assert serving.end() == 0


def _width(url: str) -> str | None:
    try:
        return ffprobe(url)["width"]
    except RuntimeError:
        return None
