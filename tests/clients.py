"""Watch streams with clients that are not ours: GStreamer's rtspsrc, ffmpeg, a raw socket."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backpack._gst.gi import Gst
from tests.ffmpeg import passthrough
from tests.streams import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

NTP_TO_UNIX_NS = 2_208_988_800 * 1_000_000_000
"""From 1900 (NTP, RFC 5905) to 1970."""


@dataclass(frozen=True)
class Frame:
    """One picture that a client got."""

    arrival_ns: int
    """When it came, on the monotonic clock."""
    capture_wall_ns: int | None
    """Its capture time since the epoch, as RTCP tells it. None: not told yet."""
    pts_ns: int
    """Its time in the client's own pipeline."""
    data: bytes
    """The gray picture, or the access unit (Annex B)."""


class RtspClient:
    """
    Watch an RTSP stream with GStreamer's rtspsrc.

    Args:
        url: Where to, with user and password if need be.
        protocols: ``tcp`` or ``udp``.
        decode: Whether to give gray pictures rather than access units.
        latency_ms: The jitter buffer's.

    """

    def __init__(
        self,
        url: str,
        *,
        protocols: str = "tcp",
        decode: bool = False,
        latency_ms: int = 0,
        start: bool = True,
    ) -> None:
        rest = "! avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8 " if decode else ""
        self.pipeline = launch(
            f"rtspsrc name=src latency={latency_ms} tcp-timeout=10000000 timeout=0 "
            f"! rtph264depay name=depay wait-for-keyframe={str(decode).lower()} "
            "! video/x-h264,stream-format=byte-stream,alignment=au "
            f"{rest}! appsink name=sink sync=false emit-signals=true"
        )
        source = self.pipeline.get_by_name("src")
        Gst.util_set_object_arg(source, "protocols", protocols)
        source.set_property("tls-validation-flags", 0)
        source.set_property("location", _without_login(url))
        login = urlsplit(url)
        if login.username:
            source.set_property("user-id", login.username)
            source.set_property("user-pw", login.password)
        if source.find_property("add-reference-timestamp-meta"):
            source.set_property("add-reference-timestamp-meta", 1)
        self._changed = threading.Condition()
        self.frames: list[Frame] = []
        self.error: str | None = None
        self.ended = False
        self._captures: dict[int, int] = {}
        depay = self.pipeline.get_by_name("depay").get_static_pad("src")
        depay.add_probe(Gst.PadProbeType.BUFFER, self._on_unit)
        self._sink = self.pipeline.get_by_name("sink")
        self._handler = self._sink.connect("new-sample", self._on_sample)
        self._bus = self.pipeline.get_bus()
        self._bus.set_sync_handler(self._on_message)
        if start:
            self.play()

    def play(self) -> None:
        """Connect and play."""
        self.pipeline.set_state(Gst.State.PLAYING)

    def wait(self, count: int, timeout: float = 30) -> list[Frame]:
        """Wait until so many frames have come, and give them all."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: len(self.frames) >= count or self.error or self.ended, timeout
            )
            if len(self.frames) < count:
                why = self.error or ("the stream ended" if self.ended else f"nothing ({came})")
                raise AssertionError(f"{len(self.frames)} of {count} frames came, then {why}")
            return list(self.frames)

    def wait_more(self, count: int, timeout: float = 30) -> list[Frame]:
        """Wait for so many frames more, and give those."""
        before = len(self.frames)
        return self.wait(before + count, timeout)[before:]

    def wait_captured(self, count: int, timeout: float = 30) -> list[Frame]:
        """Wait for frames whose capture time is known, and give those."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            known = [one for one in list(self.frames) if one.capture_wall_ns is not None]
            if len(known) >= count:
                return known
            self.wait_more(1, timeout)
        raise AssertionError("no capture time was told")

    def wait_end(self, timeout: float = 30) -> str:
        """Wait until the stream ended or failed, and tell how."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.error or self.ended, timeout)
            return self.error or "end of stream"

    def close(self) -> None:
        """Leave, with a TEARDOWN."""
        self.pipeline.set_state(Gst.State.NULL)
        self._bus.set_sync_handler(None)
        self._sink.disconnect(self._handler)

    def _on_unit(self, _pad: Any, info: Any) -> Gst.PadProbeReturn:
        buffer = info.get_buffer()
        meta = buffer.get_reference_timestamp_meta(None)
        if meta is not None:
            self._captures[buffer.pts] = meta.timestamp - NTP_TO_UNIX_NS
        return Gst.PadProbeReturn.OK

    def _on_sample(self, sink: Any) -> Gst.FlowReturn:
        now_ns = time.monotonic_ns()
        buffer = sink.emit("pull-sample").get_buffer()
        frame = Frame(
            now_ns,
            self._captures.pop(buffer.pts, None),
            buffer.pts,
            buffer.extract_dup(0, buffer.get_size()),
        )
        with self._changed:
            self.frames.append(frame)
            self._changed.notify_all()
        return Gst.FlowReturn.OK

    def _on_message(self, _bus: Any, message: Any) -> Gst.BusSyncReply:
        with self._changed:
            if message.type == Gst.MessageType.ERROR:
                error, debug = message.parse_error()
                self.error = self.error or f"{error.message} ({debug})"
            elif message.type == Gst.MessageType.EOS:
                self.ended = True
            self._changed.notify_all()
        return Gst.BusSyncReply.PASS


@contextmanager
def watching(url: str, **options: Any) -> Iterator[RtspClient]:
    """Watch for the time of a block."""
    client = RtspClient(url, **options)
    try:
        yield client
    finally:
        client.close()


def read_frames(url: str, count: int, *, timeout: float = 30, **options: Any) -> list[Frame]:
    """Read the first frames of a stream."""
    with watching(url, **options) as client:
        return client.wait(count, timeout)[:count]


def ffmpeg_frames(
    url: str, count: int, *, protocol: str = "tcp", width: int = 320, height: int = 240
) -> list[bytes]:
    """Read gray pictures with ffmpeg; raises what it wrote if it failed."""
    done = subprocess.run(
        [
            *("ffmpeg", "-hide_banner", "-loglevel", "error", "-rtsp_transport", protocol),
            *("-i", url, "-frames:v", str(count), *passthrough()),
            *("-f", "rawvideo", "-pix_fmt", "gray", "-"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    size = width * height
    return [done.stdout[at : at + size] for at in range(0, len(done.stdout) - size + 1, size)]


def ffprobe(url: str, *, protocol: str = "tcp") -> dict[str, str]:
    """Tell what ffprobe finds in a stream."""
    done = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-rtsp_transport", protocol),
            *("-show_entries", "stream", "-of", "default=noprint_wrappers=1", url),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


@dataclass(frozen=True)
class Reply:
    """An RTSP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """Speak RTSP over a bare socket, as well or as badly as a test wants."""

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        parts = urlsplit(url)
        self.url = _without_login(url)
        family = socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect((parts.hostname, parts.port))
        self._cseq = 0
        self.session: str | None = None
        self._got = b""

    def __enter__(self) -> RawClient:  # noqa: PYI034 - no subclass
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self.socket.close()

    def ask(self, method: str, url: str | None = None, **headers: str) -> Reply:
        """Send a request and wait for its answer, passing over interleaved data."""
        self.send(method, url, **headers)
        reply = self.reply()
        if "session" in reply.headers:
            self.session = reply.headers["session"].split(";")[0]
        return reply

    def send(self, method: str, url: str | None = None, **headers: str) -> None:
        """Send a request."""
        self._cseq += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self._cseq}"]
        if self.session:
            lines.append(f"Session: {self.session}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def describe(self) -> Reply:
        """Ask for the SDP."""
        return self.ask("DESCRIBE", Accept="application/sdp")

    def play(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> Reply:
        """Go all the way to PLAY."""
        assert self.describe().status == 200
        control = f"{self.url}/stream=0"
        reply = self.ask("SETUP", control, Transport=transport)
        assert reply.status == 200, reply
        return self.ask("PLAY", Range="npt=0-")

    def login(self, user: str, password: str, challenge: str, method: str = "DESCRIBE") -> str:
        """Answer a digest challenge (RFC 2617)."""
        realm = re.search('realm="([^"]*)"', challenge).group(1)  # type: ignore[union-attr]
        nonce = re.search('nonce="([^"]*)"', challenge).group(1)  # type: ignore[union-attr]
        first = hashlib.md5(f"{user}:{realm}:{password}".encode()).hexdigest()
        second = hashlib.md5(f"{method}:{self.url}".encode()).hexdigest()
        response = hashlib.md5(f"{first}:{nonce}:{second}".encode()).hexdigest()
        return (
            f'Digest username="{user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{self.url}", response="{response}"'
        )

    def reply(self) -> Reply:
        """Read the next answer."""
        while True:
            self._need(1)
            if self._got[:1] == b"$":
                self._need(4)
                size = int.from_bytes(self._got[2:4], "big")
                self._need(4 + size)
                self._got = self._got[4 + size :]
                continue
            while b"\r\n\r\n" not in self._got:
                self._need(len(self._got) + 1)
            head, self._got = self._got.split(b"\r\n\r\n", 1)
            first, *rest = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in rest if ": " in line)
            original = {
                line.split(": ", 1)[0].lower(): line.split(": ", 1)[1]
                for line in rest
                if ": " in line
            }
            size = int(headers.get("content-length", "0"))
            self._need(size)
            body, self._got = self._got[:size], self._got[size:]
            return Reply(int(first.split()[1]), original, body)

    def packet(self) -> tuple[int, bytes]:
        """Read the next interleaved packet: channel and bytes."""
        self._need(4)
        assert self._got[:1] == b"$", self._got[:40]
        size = int.from_bytes(self._got[2:4], "big")
        self._need(4 + size)
        channel, data = self._got[1], self._got[4 : 4 + size]
        self._got = self._got[4 + size :]
        return channel, data

    def wait_closed(self, timeout: float = 10) -> None:
        """Wait until the server hangs up."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass

    def _need(self, size: int) -> None:
        while len(self._got) < size:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError("the server has hung up")
            self._got += more


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]).geturl()
