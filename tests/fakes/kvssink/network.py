"""
Be the network of the stand-in for kvssink: what AWS's SDK does over it, as it was seen to.

A process of its own, on descriptor 3. It takes the settings (S), the codec's
parameters (C), pictures (K, D) and the end (E), and says READY, FAILED, ACK,
STATUS, VIEW and STOPPED. Nothing here is the package's: what it muxes and signs is held
against what the package and the server do.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import hmac
import http.client
import itertools
import json
import os
import random
import re
import socket
import ssl
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

AGENT = "AWS-SDK-KVS-CPP-CLIENT/3.6.0/1.6.2 GCC/12.2.0 Linux x86_64 CPPSDK"
RESEND, SKIP = {4000, 4003, 5000, 5001}, {4001, 4002, 4004, 4006, 4009, 4011}
KINDS = {"BUFFERING": 1, "RECEIVED": 2, "PERSISTED": 3, "ERROR": 4, "IDLE": 5}
LEAST_SECONDS = float(os.environ.get("KVS_STAND_IN_LEAST_SECONDS", "30"))
HURRY = float(os.environ.get("KVS_STAND_IN_HURRY", "1"))
GRACE_SECONDS = 3.0
NO_CREDENTIALS = 0x52000049
LONGEST_ACKS = 1024

_lock = threading.Lock()


@functools.lru_cache
def pipe() -> socket.socket:
    """Give the way to the element."""
    return socket.socket(fileno=3)


def say(text: str) -> None:
    """Tell the element something."""
    with _lock:
        pipe().sendall(text.encode() + b"\n")


def warn(text: str) -> None:
    """Print, as the SDK does all the time."""
    print(f"WARN {text}", flush=True)  # noqa: T201


def complain(url: str, head: list[str], status: int, body: str) -> None:
    """Print what the SDK prints of an answer other than 200, and of none: 0."""
    warn(f"curlCompleteSync(): HTTP Error {status} : Response: {body or '(null)'}")
    print(f"Request URL: {url}\nRequest Headers:", *head[1:], sep="\n    ", flush=True)  # noqa: T201


def complain_of_network(url: str, head: list[str], error: OSError) -> None:
    """Print what it prints where curl gets no answer."""
    parts = urlsplit(url)
    result = {
        socket.gaierror: "Couldn't resolve host name",
        ssl.SSLCertVerificationError: "SSL peer certificate or SSH remote key was not OK",
        ConnectionRefusedError: "Couldn't connect to server",
        TimeoutError: "Timeout was reached",
    }.get(type(error), "Failure when receiving data from the peer")
    detail = f"{parts.hostname} port {parts.port}: {error.strerror or error}"
    warn(f"curlCompleteSync(): curl perform failed for url {url} with result {result}: {detail}")
    complain(url, head, 0, "")


class Failed(Exception):  # noqa: N818 - no error of ours
    """It cannot go on."""


@dataclass
class Key:
    """Credentials, and until when they are good."""

    access: str
    secret: str
    token: str = ""
    expires: float | None = None


IOT_FIELDS = {"endpoint", "cert-path", "key-path", "ca-path", "role-aliases", "iot-thing-name"}


def read_key(settings: dict[str, str]) -> Key:
    """Take them from AWS IoT, or properties, the environment or the file, in this order."""
    prefix = "iot-certificate."
    fields = {
        name.removeprefix(prefix): value
        for name, value in settings.items()
        if name.startswith(prefix)
    }
    if fields:
        return ask_iot(fields)
    access, secret = settings["access-key"], settings["secret-key"]
    token = settings["session-token"]
    token = os.environ.get("AWS_SESSION_TOKEN", "") if token == "session_token" else token
    if access != "access_key":
        return Key(access, secret, token)
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        return Key(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], token)
    return read_file(settings["credential-path"])


def ask_iot(fields: dict[str, str]) -> Key:
    """Ask AWS IoT's credentials provider, with the device's certificate."""
    if set(fields) | {"iot-thing-name"} != IOT_FIELDS:
        raise Failed("Missing parameters for iot certificate credential")
    context = ssl.create_default_context(cafile=fields["ca-path"])
    context.load_cert_chain(fields["cert-path"], fields["key-path"])
    connection = http.client.HTTPSConnection(fields["endpoint"], context=context, timeout=5.0)
    try:
        path = f"/role-aliases/{fields['role-aliases']}/credentials"
        connection.request("GET", path, headers={"x-amzn-iot-thingname": fields["iot-thing-name"]})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        if answer.status != 200:
            raise Failed(f"the IoT endpoint answers {answer.status}")
    except OSError as error:
        raise Failed(f"the IoT endpoint: {error}") from None
    finally:
        connection.close()
    key = found["credentials"]
    expires = dt.datetime.strptime(key["expiration"] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z")
    return Key(key["accessKeyId"], key["secretAccessKey"], key["sessionToken"], expires.timestamp())


def read_file(path: str) -> Key:
    """Read the credentials file as strictly as the SDK does."""
    try:
        words = Path(path).read_text()[:10_000].split()
    except OSError:
        raise Failed("Could not find any AWS credentials!") from None
    if not words or words[0] != "CREDENTIALS" or len(words) not in (3, 5):
        raise Failed("the credentials file has another form")
    if len(words) == 3:
        key = Key(words[1], words[2])
    else:
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", words[2]):
            raise Failed("the expiry has another form")
        expires = dt.datetime.strptime(words[2] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z")
        key = Key(words[1], words[3], words[4], expires.timestamp())
    if max(len(key.access), len(key.secret)) > 128 or len(key.token) > 2048:
        raise Failed("the credentials are too long")
    if key.expires is not None and key.expires - time.time() < LEAST_SECONDS:
        raise Failed("the credentials have expired")
    return key


def signed(url: str, key: Key, region: str, headers: dict[str, str], body: bytes) -> list[str]:
    """Write a request's head, with the signature over what the SDK signs."""
    now = dt.datetime.now(dt.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    # It leaves the port out, and signs it so.
    signs = {
        "host": urlsplit(url).hostname or "",
        "user-agent": AGENT,
        "x-amz-date": now,
        **headers,
    }
    names = ";".join(sorted(signs))
    canonical = [
        *("POST", urlsplit(url).path, ""),
        *(f"{name}:{signs[name]}" for name in sorted(signs)),
        *("", names, hashlib.sha256(body).hexdigest()),
    ]
    scope = f"{now[:8]}/{region}/kinesisvideo/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
    derived = b"AWS4" + key.secret.encode()
    for part in scope.split("/"):
        derived = hmac.new(derived, part.encode(), "sha256").digest()
    signature = hmac.new(derived, text.encode(), "sha256").hexdigest()
    lines = [f"POST {urlsplit(url).path} HTTP/1.1", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in signs.items()]
    lines.append(
        f"Authorization: AWS4-HMAC-SHA256 Credential={key.access}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    lines.append("content-type: application/json")
    if key.token:
        lines.append(f"x-amz-security-token: {key.token}")
    return lines


def connect(url: str, seconds: float) -> socket.socket:
    """Open a connection of its own for each call."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    sock = socket.create_connection((parts.hostname or "", port), seconds)
    if parts.scheme != "https":
        return sock
    place = os.environ.get("KVSSINK_CA_CERT_PATH", "")
    context = ssl.create_default_context(
        cafile=place if place.endswith(".pem") else None,
        capath=place if place and not place.endswith(".pem") else None,
    )
    return context.wrap_socket(sock, server_hostname=parts.hostname)


def call(url: str, content: dict[str, Any], key: Key, region: str, seconds: float) -> Any:
    """Ask the control plane; None where there is no such stream."""
    body = json.dumps(content, indent=1).encode()
    head = [*signed(url, key, region, {}, body), f"content-length: {len(body)}"]
    try:
        with connect(url, seconds) as sock:
            sock.settimeout(seconds)
            sock.sendall("\r\n".join([*head, "", ""]).encode() + body)
            file = sock.makefile("rb")
            status, headers = read_head(file)
            answer = file.read(int(headers.get("content-length", 0)))
            file.close()
    except OSError as error:
        complain_of_network(url, head, error)
        raise
    if status != 200:
        complain(url, head, status, answer.decode())
    if status == 404:
        return None
    if status != 200:
        raise OSError(f"{status} to {urlsplit(url).path}")
    return json.loads(answer)


def read_head(file: Any) -> tuple[int, dict[str, str]]:
    """Read a status and headers."""
    first = file.readline().split()
    if len(first) < 2:
        raise OSError("no answer")
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return int(first[1]), headers


def patiently(ask: Any) -> Any:
    """Ask as the SDK does: for half a minute with growing waits, and that four times."""
    for again in range(4):
        deadline = time.monotonic() + 30
        for wait in (0.2, 0.3, 0.7, 1.0, 1.8, 9.0, 14.0, 19.0):
            try:
                return ask()
            except OSError as error:
                last = error
            if time.monotonic() + wait >= deadline:
                break
            time.sleep(wait / HURRY)
        time.sleep(0.4 * 2**again)
    raise Failed(f"Failed to create stream. Error: Unable to create Kinesis Video stream. {last}")


def prepare(settings: dict[str, str], key: Key, region: str) -> str:
    """Describe the stream, create it if there is none, and give the endpoint."""
    base = os.environ.get("CONTROL_PLANE_URI") or f"https://kinesisvideo.{region}.amazonaws.com"
    seconds = float(settings["completion-timeout"])
    name = settings["stream-name"]
    creates = settings["allow-create-stream"] == "TRUE"

    def describe() -> Any:
        there = call(f"{base}/describeStream", {"StreamName": name}, key, region, seconds)
        if there is None and not creates:
            raise OSError("404 to /describeStream")
        return there

    if patiently(describe) is None:
        content = {
            "DeviceName": "Kinesis_Video_Device",
            "StreamName": name,
            "MediaType": "video/h264",
            "DataRetentionInHours": int(settings["retention-period"]),
        }
        patiently(lambda: call(f"{base}/createStream", content, key, region, seconds))
        time.sleep(0.15)
    content = {"StreamName": name, "APIName": "PUT_MEDIA"}
    answer = patiently(lambda: call(f"{base}/getDataEndpoint", content, key, region, seconds))
    if answer is None:
        raise Failed("Failed to create stream. Error: there is no endpoint")
    return str(answer["DataEndpoint"])


def element(identifier: str, payload: bytes, width: int = 1) -> bytes:
    """Write a Matroska element."""
    size = (1 << 7 * width | len(payload)).to_bytes(width, "big")
    return bytes.fromhex(identifier) + size + payload


def header(uid: bytes, codec: bytes, width: int, height: int, track: str, codec_id: str) -> bytes:
    """Write what every connection begins with."""
    ebml = b"".join(
        element(name, value)
        for name, value in (
            *(("4286", b"\1"), ("42f7", b"\1"), ("42f2", b"\4"), ("42f3", b"\x08")),
            *(("4282", b"matroska"), ("4287", b"\2"), ("4285", b"\2")),
        )
    )
    application = b"Kinesis Video SDK 1.1.0"
    info = element("73a4", uid) + element("2ad7b1", (1_000_000).to_bytes(8, "big"))
    info += element("7ba9", b"Kinesis Video SDK")
    info += element("4d80", application) + element("5741", application)
    video = element("b0", width.to_bytes(2, "big")) + element("ba", height.to_bytes(2, "big"))
    entry = element("d7", b"\1") + element("73c5", (1).to_bytes(8, "big")) + element("83", b"\1")
    entry += element("536e", track.encode()) + element("86", codec_id.encode())
    entry += element("e0", video) + element("63a2", codec, 4)
    tracks = element("1654ae6b", element("ae", entry, 4), 4)
    return element("1a45dfa3", ebml) + b"\x18\x53\x80\x67\xff" + element("1549a966", info) + tracks


def end_of_fragment() -> bytes:
    """Write the tag that completes the last fragment."""
    simple = element("45a3", b"AWS_KINESISVIDEO_END_OF_FRAGMENT", 8) + element("4487", b"", 8)
    return element("1254c367", element("7373", element("67c8", simple, 8), 8), 8)


def dimensions(codec: bytes) -> tuple[int, int]:
    """Read the picture's size from the sequence parameter set, baseline to high."""
    size = int.from_bytes(codec[6:8], "big")
    data = codec[9 : 8 + size].replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 24

    def unsigned() -> int:
        nonlocal at
        zeros = bits.index("1", at) - at
        value = int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1
        at += 2 * zeros + 1
        return value

    unsigned()
    if data[0] >= 100:
        for _ in range(3):
            unsigned()
        at += 2
    unsigned()
    if unsigned() == 0:
        unsigned()
    unsigned()
    at += 1
    width, height = (unsigned() + 1) * 16, (unsigned() + 1) * 16
    at += 2
    if bits[at] == "1":
        at += 1
        left, right, top, bottom = (unsigned() for _ in range(4))
        width, height = width - 2 * (left + right), height - 2 * (top + bottom)
    return width, height


@dataclass
class Cluster:
    """A fragment in the buffer."""

    timecode: int
    blocks: list[bytes] = field(default_factory=list)
    complete: bool = False
    persisted: bool = False
    skipped: bool = False


class Upload:
    """Buffer what comes, and bring it to the service until it is persisted."""

    def __init__(self, settings: dict[str, str], key: Key, region: str, endpoint: str) -> None:
        self.settings, self.key, self.region, self.endpoint = settings, key, region, endpoint
        self.uid = random.randbytes(16)
        self.codec = b""
        self.clusters: list[Cluster] = []
        self.changed = threading.Condition()
        self.over = False
        self.fatal = False
        self.rotate = False
        self.next = 0
        threading.Thread(target=self.run, daemon=True).start()
        threading.Thread(target=self.renew, daemon=True).start()

    def put(self, pts_ns: int, data: bytes, *, key: bool) -> None:
        """Take a picture: a cluster begins by the rule of the properties."""
        now = pts_ns // 1_000_000
        with self.changed:
            last = self.clusters[-1] if self.clusters else None
            every = self.settings["key-frame-fragmentation"] == "TRUE"
            least = 0 if every else int(self.settings["fragment-duration"])
            if key and (last is None or now - last.timecode >= least):
                if last is not None:
                    last.complete = True
                last = Cluster(now)
                self.clusters.append(last)
            if last is None or not 0 <= now - last.timecode <= 32_767:
                warn(f"frame at {now} is refused")
                return
            flags = 0x80 if key else 0
            head = b"\x81" + struct.pack("!hB", now - last.timecode, flags)
            last.blocks.append(element("a3", head + data, 8))
            self.view()
            self.changed.notify_all()

    def view(self) -> None:
        """Tell how much is kept."""
        kept = [one for one in self.clusters if not one.persisted and one.blocks]
        size = sum(len(block) for one in kept for block in one.blocks)
        span = 0
        if kept:
            relative = int.from_bytes(kept[-1].blocks[-1][10:12], "big")
            span = kept[-1].timecode + relative - kept[0].timecode
        say(f"VIEW {span * 10_000} {size}")

    def stop(self) -> None:
        """Hear that nothing follows."""
        with self.changed:
            self.over = True
            if self.clusters:
                self.clusters[-1].complete = True
            self.changed.notify_all()

    def renew(self) -> None:
        """Read the file again three seconds before it says that it expires, and only then."""
        while self.key.expires is not None:
            time.sleep(max(0.0, self.key.expires - GRACE_SECONDS - time.time()))
            try:
                fresh = read_key(self.settings)
            except Failed:
                self.give_up(NO_CREDENTIALS)
                return
            if fresh.access == self.key.access and fresh.expires == self.key.expires:
                self.give_up(NO_CREDENTIALS)
                return
            with self.changed:
                self.key, self.rotate = fresh, True

    def give_up(self, status: int) -> None:
        """Fail at the next picture."""
        self.fatal = True
        say(f"STATUS {status} 1")
        with self.changed:
            self.changed.notify_all()

    def waiting(self) -> Cluster | None:
        """Give the next one to send, waiting for it; None at the end of all."""
        with self.changed:
            while not self.fatal:
                if self.next < len(self.clusters):
                    return self.clusters[self.next]
                if self.over:
                    return None
                self.changed.wait()
        return None

    def roll_back(self) -> None:
        """Go back to the first fragment that is not persisted."""
        with self.changed:
            self.next = next(
                (
                    place
                    for place, one in enumerate(self.clusters)
                    if not one.persisted and not one.skipped
                ),
                len(self.clusters),
            )

    def run(self) -> None:
        """Open connection after connection, without any patience: so does the SDK."""
        while self.waiting() is not None:
            try:
                Session(self).stream()
            except OSError as error:  # noqa: PERF203
                warn(f"connection: {error}")
                time.sleep(0.015)
                self.roll_back()
        if not self.fatal:
            say("STOPPED")


class Session:
    """One PutMedia connection."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.broken = False
        cluster = upload.clusters[upload.next]
        first = upload.next == 0
        url = f"{upload.endpoint}/putMedia"
        try:
            self.sock = connect(upload.endpoint, 5.0)
        except OSError as error:
            complain_of_network(url, [], error)
            raise
        self.sock.settimeout(30.0)
        ms = cluster.timecode if first else int(time.time() * 1000)
        headers = {
            "connection": "keep-alive",
            "transfer-encoding": "chunked",
            "x-amzn-fragment-acknowledgment-required": "1",
            "x-amzn-fragment-timecode-type": "ABSOLUTE",
            # Not padded: its own quirk.
            "x-amzn-producer-start-timestamp": f"{ms // 1000}.{ms % 1000}",
            "x-amzn-stream-name": upload.settings["stream-name"],
        }
        head = signed(url, upload.key, upload.region, headers, b"")
        self.sock.sendall("\r\n".join([*head, "Expect: 100-continue", "", ""]).encode())
        self.file = self.sock.makefile("rb")
        status, _ = read_head(self.file)
        while status == 100:
            status, _ = read_head(self.file)
        if status != 200:
            self.close()
            # What is answered instead of acknowledgements is not kept.
            complain(url, head, status, "")
            raise OSError(f"{status} to /putMedia")
        threading.Thread(target=self.hear, daemon=True).start()

    def close(self) -> None:
        """End the connection."""
        self.file.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send a part of the body."""
        if self.broken:
            raise OSError("an error was acknowledged")
        self.sock.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def stream(self) -> None:
        """Send clusters until the end of all, or until another connection takes over."""
        upload = self.upload
        width, height = dimensions(upload.codec)
        names = upload.settings["track-name"], upload.settings["codec-id"]
        self.send(header(upload.uid, upload.codec, width, height, *names))
        sent = None
        while (cluster := upload.waiting()) is not None:
            if upload.rotate and sent is not None:
                upload.rotate = False
                threading.Thread(target=self.rest, args=(sent,), daemon=True).start()
                return
            upload.rotate = False
            self.send_cluster(cluster)
            sent = cluster
            upload.next += 1
        if sent is not None and not upload.fatal:
            self.finish(sent)

    def send_cluster(self, cluster: Cluster) -> None:
        """Send one, as its pictures come."""
        upload = self.upload
        start = element("e7", cluster.timecode.to_bytes(8, "big")) + element("a7", b"\0")
        self.send(b"\x1f\x43\xb6\x75\xff" + start)
        for place in itertools.count():
            with upload.changed:
                while len(cluster.blocks) <= place and not cluster.complete and not self.broken:
                    if upload.fatal:
                        return
                    upload.changed.wait()
                if self.broken:
                    raise OSError("the connection was lost")
                if len(cluster.blocks) <= place:
                    return
            self.send(cluster.blocks[place])

    def finish(self, last: Cluster) -> None:
        """Complete the last fragment, and hold the connection until it is persisted."""
        self.send(end_of_fragment())
        with self.upload.changed:
            while not last.persisted and not self.broken:
                self.upload.changed.wait()
        if self.broken:
            raise OSError("the connection was lost before the last fragment was persisted")
        self.sock.sendall(b"0\r\n\r\n")
        time.sleep(0.05)
        self.sock.close()

    def rest(self, last: Cluster) -> None:
        """Finish beside the connection that has taken over."""
        try:
            self.finish(last)
        except OSError as error:
            warn(f"old connection: {error}")

    def hear(self) -> None:
        """Read acknowledgements."""
        text = b""
        try:
            while size := int(self.file.readline() or b"0", 16):
                data = self.file.read(size)
                self.file.readline()
                # More at once is thrown away whole.
                text += data if len(data) <= LONGEST_ACKS else b""
                *lines, text = text.split(b"\n")
                for line in lines:
                    self.take(json.loads(line))
        except (OSError, ValueError):
            pass
        with self.upload.changed:
            self.broken = True
            self.upload.changed.notify_all()

    def take(self, ack: dict[str, Any]) -> None:
        """Act as the SDK does."""
        upload = self.upload
        timecode = ack.get("FragmentTimecode")
        number = ack.get("FragmentNumber", "")
        error = int(ack.get("ErrorId", 0))
        say(f"ACK {KINDS[ack['EventType']]} {timecode or 0} {error} {number}")
        with upload.changed:
            mine = [one for one in upload.clusters if one.timecode == timecode]
            if ack["EventType"] == "PERSISTED" and mine:
                for one in upload.clusters[: upload.clusters.index(mine[0]) + 1]:
                    one.persisted = True
                upload.view()
            if ack["EventType"] == "ERROR":
                self.broken = True
                if error in SKIP:
                    for one in mine or upload.clusters[upload.next : upload.next + 1]:
                        one.skipped = True
            upload.changed.notify_all()
        if ack["EventType"] == "ERROR":
            fatal = error not in RESEND | SKIP
            if fatal:
                upload.fatal = True
            say(f"STATUS {0x52000000 + error % 100} {int(fatal)}")


def exactly(count: int) -> bytes:
    """Read so much from the element."""
    data = b""
    while len(data) < count:
        part = pipe().recv(count - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def main() -> None:
    """Serve the element until it goes."""
    upload = None
    while True:
        kind, pts, size = struct.unpack("!cQI", exactly(13))
        data = exactly(size)
        if kind == b"S":
            settings = dict(line.split("=", 1) for line in data.decode().splitlines())
            region = os.environ.get("AWS_DEFAULT_REGION") or settings["aws-region"]
            try:
                key = read_key(settings)
                upload = Upload(settings, key, region, prepare(settings, key, region))
            except Failed as failed:
                say(f"FAILED {failed}")
                continue
            say("READY")
        elif upload is None:
            sys.exit(1)
        elif kind == b"C":
            upload.codec = data
        elif kind == b"E":
            upload.stop()
        else:
            upload.put(pts, data, key=kind == b"K")


if __name__ == "__main__":
    main()
