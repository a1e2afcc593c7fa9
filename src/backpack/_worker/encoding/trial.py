"""
Choose the encoder by trying: what encodes a few pictures rightly is taken.

That an element is installed says little: its driver may be missing, its device
busy or not allowed in a container, and some crash or hang instead of saying
so. Each candidate is therefore tried in a process of its own, with a time limit.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backpack._gst import factory
from backpack._gst.elements import package_of
from backpack._ipc.interpreter import boot_command
from backpack._ipc.settings import PixelFormat
from backpack._lib.shortage import probe
from backpack._media.h264 import has_b_slices, nal_types, read_sps
from backpack._media.picture import Picture
from backpack._worker.encoding.encoder import EncodedPicture, Encoder
from backpack._worker.encoding.encoders import ENCODERS, EncoderSpec, find_spec
from backpack.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

logger = logging.getLogger(__name__)

_MODULE: Final = "backpack._worker.encoding.trial"

_DEFAULT_SIZE: Final = (640, 360)

_TRIAL_SECONDS: Final = 10.0
_ALL_TRIALS_SECONDS: Final = 25.0
_KEPT_FOR_SOFTWARE_SECONDS: Final = 8.0
"""How much of the time of all trials hardware may not use up."""

_PICTURES: Final = 8
_SECOND_KEY: Final = 5
_PICTURE_NS: Final = 33_333_000

_IDR: Final = 5
_SPS: Final = 7
_PPS: Final = 8


@dataclass(frozen=True)
class _Question:
    """What a trial finds out: whether this encoder does this size."""

    name: str
    width: int
    height: int


# What trials of this process have found: None is a pass, else why not.
_verdicts: dict[_Question, str | None] = {}
# Held while trials run: several streams that start at once share one trial.
_trying = threading.Lock()


def forget_verdicts() -> None:
    """Forget what earlier trials found, as after a change of drivers."""
    with _trying:
        _verdicts.clear()


def choose(
    pinned: str | None = None,
    passed_over: Collection[str] = (),
    *,
    width: int = _DEFAULT_SIZE[0],
    height: int = _DEFAULT_SIZE[1],
    trial_seconds: float = _TRIAL_SECONDS,
    all_seconds: float = _ALL_TRIALS_SECONDS,
    encoders: Sequence[EncoderSpec] = ENCODERS,
    python: Sequence[str] | None = None,
) -> EncoderSpec:
    """
    Choose the encoder for a stream: the first in the table that passes a trial.

    What was found is remembered for this process. Any thread may call this; it
    takes as long as the trials do, and a second caller waits for the first.

    Args:
        pinned: Take this element and no other.
        passed_over: Elements that are not to be taken, as they failed while
            running.
        width: Width of the video.
        height: Height of the video.
        trial_seconds: Time limit of one trial.
        all_seconds: Time limit of all of them together.
        encoders: The table.
        python: What runs a trial's module, to which the module's name and
            arguments are added. None: this Python, with this package.

    Raises:
        EncoderError: None passes, or the pinned one does not; the message
            says why of each.

    """
    if pinned is not None:
        candidates = [_pinned(pinned, encoders)]
    else:
        candidates = [spec for spec in encoders if factory.exists(spec.name)]
    deadline = time.monotonic() + all_seconds
    reasons: dict[str, str] = {}
    with _trying:
        for spec in candidates:
            if spec.name in passed_over:
                reasons[spec.name] = "failed before in this process"
                continue
            left = deadline - time.monotonic()
            if spec.hardware and pinned is None:
                left -= _KEPT_FOR_SOFTWARE_SECONDS
            reason = _verdict(spec, width, height, min(trial_seconds, left), python)
            if reason is None:
                return spec
            reasons[spec.name] = reason
        # Next time all are tried again: what kept every one from working,
        # as a machine without memory, may be over by then.
        for name in reasons:
            _verdicts.pop(_Question(name, width, height), None)
    raise EncoderError(_none_works(pinned, reasons))


def _pinned(name: str, encoders: Sequence[EncoderSpec]) -> EncoderSpec:
    spec = next((spec for spec in encoders if spec.name == name), None)
    if spec is None:
        known = ", ".join(spec.name for spec in encoders)
        raise EncoderError(f"The encoder {name!r} is not known. Known are: {known}.")
    if not factory.exists(name):
        package = package_of(name)
        hint = f" Its package is {package}; if that is installed, the hardware is missing."
        raise EncoderError(f"The encoder {name!r} is not there.{hint if package else ''}")
    return spec


def _none_works(pinned: str | None, reasons: dict[str, str]) -> str:
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if pinned is not None:
        return f"The encoder {pinned!r} does not work here: {why}."
    if not why:
        return (
            "No H.264 encoder is installed. The package gstreamer1.0-plugins-ugly has x264enc, "
            "gstreamer1.0-plugins-bad has openh264enc."
        )
    return f"No H.264 encoder works here: {why}."


def _verdict(
    spec: EncoderSpec, width: int, height: int, seconds: float, python: Sequence[str] | None
) -> str | None:
    question = _Question(spec.name, width, height)
    if question in _verdicts:
        return _verdicts[question]
    if seconds <= 0:
        return "not tried, the time for trials is used up"
    reason = try_encoder(spec, width=width, height=height, seconds=seconds, python=python)
    _verdicts[question] = reason
    if reason is None:
        logger.info("Encoder %s passed its trial at %dx%d", spec.name, width, height)
    else:
        logger.warning("Encoder %s is passed over: %s", spec.name, reason)
    return reason


def try_encoder(
    spec: EncoderSpec,
    *,
    width: int = _DEFAULT_SIZE[0],
    height: int = _DEFAULT_SIZE[1],
    seconds: float = _TRIAL_SECONDS,
    python: Sequence[str] | None = None,
) -> str | None:
    """
    Try one encoder in a process of its own.

    Returns:
        None if it works, else why not.

    Raises:
        ShortageError: It has hung for want of threads or descriptors.

    """
    arguments = (_MODULE, spec.name, str(width), str(height))
    command = boot_command(sys.executable, *arguments)
    if python is not None:
        command = [*python, *arguments]
    with subprocess.Popen(  # noqa: S603 - our own file, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            answer, complaints = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # Asked as long as it has what it waits for more of.
            short = probe()
            _kill(process)
            if short is not None:
                raise short from None
            return f"its trial took more than {seconds:.0f} s"
        except BaseException:
            _kill(process)
            raise
    return _read_answer(process.returncode, answer, complaints)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a trial with all that it started, which may hold its pipes open."""
    try:
        # The trial has made itself the leader of a process group.
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _read_answer(status: int, answer: bytes, complaints: bytes) -> str | None:
    if status < 0:
        try:
            cause = signal.Signals(-status).name
        except ValueError:
            cause = f"signal {-status}"
        return f"its trial's process was ended by {cause}"
    try:
        reason = json.loads(answer)["reason"]
    except (ValueError, KeyError, TypeError):
        last_line = complaints.decode(errors="replace").strip().rpartition("\n")[2]
        return f"its trial ended with status {status} and no answer ({last_line})"
    return None if reason is None else str(reason)


def main(arguments: Sequence[str]) -> int:
    """
    Try one encoder in this process and print the verdict as JSON.

    Args:
        arguments: The element's name, width and height.

    """
    # A group of our own, so that whoever ends us ends our helpers too. Not a
    # session: its tasks would be scheduled apart from the application's.
    os.setpgid(0, 0)
    # Drivers write to standard output what they like.
    answer = os.dup(1)
    os.dup2(2, 1)
    name, width, height = arguments[0], int(arguments[1]), int(arguments[2])
    spec = find_spec(name)
    reason = f"no row for {name!r}" if spec is None else _Trial(spec, width, height).run()
    os.write(answer, json.dumps({"reason": reason}).encode())
    # Drivers run code of their own at a regular exit, and some hang or crash
    # there. It has no say any more.
    os._exit(0)


class _Trial:
    """Encode a few pictures that differ, and look at what comes out."""

    def __init__(self, spec: EncoderSpec, width: int, height: int) -> None:
        self._spec = spec
        self._size = (width // 2 * 2, height // 2 * 2)
        self._pictures: list[EncodedPicture] = []
        self._failures: list[EncoderError] = []

    def run(self) -> str | None:
        """Return None if all is well, else what is wrong."""
        width, height = self._size
        try:
            encoder = Encoder(
                self._spec,
                width=width,
                height=height,
                fps=30,
                bitrate_kbps=None,
                on_picture=self._pictures.append,
                on_failed=self._failures.append,
            )
            self._feed(encoder)
            # One that has failed may hang when it is closed; this process
            # ends without that.
            if not self._failures:
                encoder.close(drain_seconds=_TRIAL_SECONDS)
        except EncoderError as error:
            return str(error)
        if self._failures:
            return str(self._failures[0])
        return self._judge()

    def _feed(self, encoder: Encoder) -> None:
        width, height = self._size
        pixels = ctypes.create_string_buffer(width * height * 3)
        address = ctypes.addressof(pixels)
        picture = Picture(address, width * 3, width, height, PixelFormat.BGR)
        begin_ns = time.monotonic_ns() // 1000 * 1000
        for number in range(_PICTURES):
            band = width * 3 * (height // _PICTURES)
            ctypes.memset(address + number * band, 30 + 25 * number, band)
            encoder.encode(
                picture,
                begin_ns + number * _PICTURE_NS,
                key=number == _SECOND_KEY,
                still_valid=lambda: True,
            )

    def _judge(self) -> str | None:
        pictures = self._pictures
        # First, since what is reordered also seems to be lost.
        for number, picture in enumerate(pictures):
            if has_b_slices(picture.data):
                return f"picture {number} refers to later ones"
        if len(pictures) < _PICTURES:
            return f"it made {len(pictures)} of {_PICTURES} pictures"
        for number, picture in enumerate(pictures):
            asked_for = number in (0, _SECOND_KEY)
            types = nal_types(picture.data)
            complete = {_SPS, _PPS, _IDR} <= set(types)
            if asked_for and not (picture.key and complete):
                return f"picture {number} is no key frame with parameter sets (NAL types {types})"
        times = [picture.pts_ns - pictures[0].pts_ns for picture in pictures]
        if times != [number * _PICTURE_NS for number in range(_PICTURES)]:
            return f"its timestamps are wrong: {times}"
        return self._judge_size(pictures[0].data)

    def _judge_size(self, key_frame: bytes) -> str | None:
        try:
            sps = read_sps(key_frame)
        except ValueError as error:
            return f"its parameter set cannot be read: {error}"
        if sps is None or (sps.width, sps.height) != self._size:
            return f"its pictures are not {self._size[0]}x{self._size[1]} but {sps}"
        return None
