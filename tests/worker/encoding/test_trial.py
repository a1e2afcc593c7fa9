from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._worker.encoding import trial
from backpack._worker.encoding.encoders import ENCODERS, find_spec
from backpack._worker.encoding.trial import choose, forget_verdicts, try_encoder
from backpack.errors import EncoderError
from tests.waiting import children, is_running, open_descriptors, wait_for

if TYPE_CHECKING:
    from backpack._worker.encoding.encoders import EncoderSpec

RUN = [sys.executable, str(Path(__file__).parents[2] / "fakes" / "run.py")]

pytestmark = pytest.mark.usefixtures("stand_ins")


def table(*names: str) -> list[EncoderSpec]:
    """Give some rows, in the order of the table."""
    return [spec for spec in ENCODERS if spec.name in names]


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record which encoders are really tried."""
    tried: list[str] = []

    def recording(spec: EncoderSpec, **options: Any) -> str | None:
        tried.append(spec.name)
        return try_encoder(spec, **options)

    monkeypatch.setattr(trial, "try_encoder", recording)
    return tried


@pytest.mark.parametrize("name", ["x264enc", "openh264enc"])
def test_software_passes_in_a_process_started_as_in_earnest(name: str) -> None:
    """The trial runs through boot.py, under an isolated Python, at the stream's size."""
    spec = find_spec(name)
    assert spec is not None
    assert try_encoder(spec, width=1280, height=720, seconds=60) is None


def test_the_first_that_works_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    """What hangs, crashes or gives nothing is passed over, with its reason, once."""
    caplog.set_level(logging.WARNING, logger="backpack")
    encoders = table("nvh264enc", "qsvh264enc", "nvcudah264enc", "mpph264enc", "x264enc")

    for _ in range(2):
        chosen = choose(encoders=encoders, trial_seconds=60, all_seconds=170, python=RUN)
        assert chosen.name == "mpph264enc"

    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert "nvh264enc" in messages[0]
    assert "hangs" in messages[1]
    assert "SIGSEGV" in messages[2]


@pytest.mark.parametrize("name", ["nvv4l2h264enc", "vah264enc", "v4l2h264enc"])
def test_healthy_hardware_is_preferred(name: str) -> None:
    """Hardware that passes its trial comes before software."""
    encoders = table(name, "x264enc")
    assert choose(encoders=encoders, trial_seconds=30, python=RUN).name == name


def test_a_verdict_is_remembered(trials: list[str]) -> None:
    """Each encoder is tried once in a process for each size, not for each stream."""
    encoders = table("qsvh264enc", "x264enc")
    for _ in range(3):
        choose(encoders=encoders, python=RUN)
    assert trials == ["qsvh264enc", "x264enc"]

    choose(encoders=encoders, python=RUN, width=320, height=240)
    assert trials == ["qsvh264enc", "x264enc"] * 2

    forget_verdicts()
    choose(encoders=encoders, python=RUN)
    assert trials == ["qsvh264enc", "x264enc"] * 3


def test_what_has_failed_while_running_is_passed_over() -> None:
    """An encoder that a stream has given up is not taken again."""
    encoders = table("x264enc", "openh264enc")
    assert choose(encoders=encoders, passed_over={"x264enc"}).name == "openh264enc"
    with pytest.raises(EncoderError, match="x264enc: failed before"):
        choose(encoders=encoders, passed_over={"x264enc", "openh264enc"})


def test_an_encoder_can_be_pinned(trials: list[str]) -> None:
    """A named encoder is taken though a better one is there."""
    assert choose("openh264enc", python=RUN).name == "openh264enc"
    assert trials == ["openh264enc"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("theoraenc", r"is not known\. Known are: .*x264enc"),
        ("vtenc_h264_hw", r"is not there\. .*GStreamer's own packages"),
        ("qsvh264enc", "does not work here: .*SIGSEGV"),
    ],
)
def test_a_pinned_encoder_that_cannot_be_says_why(name: str, reason: str) -> None:
    """Unknown, missing and failing are three different messages."""
    with pytest.raises(EncoderError, match=reason):
        choose(name, python=RUN)


def test_nothing_works_says_why_of_each_and_may_work_later(trials: list[str]) -> None:
    """The error names every candidate, and the next call tries them again."""
    encoders = table("qsvh264enc")
    for _ in range(2):
        with pytest.raises(EncoderError, match=r"qsvh264enc: .*SIGSEGV"):
            choose(encoders=encoders, python=RUN)
    assert trials == ["qsvh264enc"] * 2


def test_many_that_hang_do_not_sum_up(trials: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of all trials is limited, and software keeps its share of it."""
    # A busy machine takes its time to start a trial.
    monkeypatch.setattr(trial, "_KEPT_FOR_SOFTWARE_SECONDS", 60.0)
    encoders = table("nvh264enc", "nvcudah264enc", "x264enc")
    chosen = choose(encoders=encoders, trial_seconds=90, all_seconds=61, python=RUN)
    assert chosen.name == "x264enc"
    assert trials == ["nvh264enc", "x264enc"]


def test_a_trial_takes_its_helpers_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trial's process has started ends with it, as a plugin scanner."""
    code = (
        "import os, subprocess, sys, time; os.setpgid(0, 0);"
        "helper = subprocess.Popen(['sleep', '600']);"
        "open(sys.argv[-1], 'w').write(str(helper.pid)); time.sleep(600)"
    )
    spec = find_spec("x264enc")
    assert spec is not None
    with tempfile.NamedTemporaryFile("r") as file:
        # The module's name and arguments follow; the file comes last.
        script = f"import sys; sys.argv.append({file.name!r}); exec({code!r})"

        # The time is up when there is a helper, however long it took to start.
        def be_impatient(process: Any, timeout: float) -> None:
            wait_for(lambda: Path(file.name).stat().st_size)
            raise subprocess.TimeoutExpired(process.args, timeout)

        monkeypatch.setattr(subprocess.Popen, "communicate", be_impatient)
        assert try_encoder(spec, python=[sys.executable, "-c", script]) is not None
        helper = int(file.read())
    wait_for(lambda: not is_running(helper))


def test_an_encoder_that_reorders_fails_its_trial() -> None:
    """B-frames cost their number in latency, and no row asks for them."""
    spec = find_spec("x264enc")
    assert spec is not None
    reordering = replace(
        spec,
        settings=(("bframes", 2), ("b-adapt", False), ("rc-lookahead", 4)),
        caps="video/x-h264",
        delay_pictures=8,
    )
    reason = trial._Trial(reordering, 320, 240).run()
    assert reason is not None
    assert "refers to later ones" in reason


def test_an_encoder_that_ignores_requests_fails_its_trial() -> None:
    """Without key frames on demand a new viewer would see nothing."""
    spec = find_spec("x264enc")
    assert spec is not None
    deaf = replace(spec, settings=(*spec.settings, ("min-force-key-unit-interval", 10**12)))
    reason = trial._Trial(deaf, 320, 240).run()
    assert reason is not None
    assert "no key frame" in reason


def test_a_trial_that_hangs_is_ended_and_reaped() -> None:
    """After the time limit neither a process nor a descriptor is left."""
    spec = find_spec("nvh264enc")
    assert spec is not None
    descriptors, processes = open_descriptors(), children()

    reason = try_encoder(spec, seconds=1, python=RUN)

    assert reason == "its trial took more than 1 s"
    assert open_descriptors() <= descriptors
    assert children() <= processes


def test_what_a_driver_prints_is_no_answer() -> None:
    """Only the verdict itself reaches the one who asked."""
    code = "import os; os.write(1, b'NvMMLiteOpen : Block\\n'); os.write(2, b'no device\\n')"
    spec = find_spec("x264enc")
    assert spec is not None
    reason = try_encoder(spec, python=[sys.executable, "-c", code])
    assert reason is not None
    assert "no answer (no device)" in reason


def test_a_stopped_process_is_no_hung_encoder() -> None:
    """After SIGSTOP for longer than the limit, encoding goes on."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from tests.pictures import Recorder, noise\n"
        "from backpack._worker.encoding.encoders import find_spec\n"
        "frame = noise(1920, 1080, 1)[0]\n"
        "recorder = Recorder(find_spec('x264enc'), 1920, 1080)\n"
        "number = 0\n"
        "print('go', flush=True)\n"
        "while number < 60 and recorder.put(frame, number): number += 1\n"
        "print(number, recorder.failures, flush=True)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root / "src"), str(root)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(0.2)
        process.send_signal(subprocess.signal.SIGSTOP)  # type: ignore[attr-defined]
        time.sleep(2.6)
        process.send_signal(subprocess.signal.SIGCONT)  # type: ignore[attr-defined]
        assert process.stdout.readline() == "60 []\n"
