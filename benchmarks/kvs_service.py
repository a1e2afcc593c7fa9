"""
Be Kinesis Video Streams over TLS, in a process of its own: the strict server of the tests.

It does what the directing process tells it: be gone, come back, refuse.
"""

from __future__ import annotations

import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.remote import Answer, Inbox, serve
from tests.kvs_server.faults import HttpError
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer

if TYPE_CHECKING:
    from tests.kvs_server.streams import Fragment

STREAM = "bench"


class Service:
    """
    Run the server and answer for it.

    Args:
        folder: Where its certificate goes.

    """

    def __init__(self, folder: Path) -> None:
        certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        command += " -addext subjectAltName=IP:127.0.0.1"
        subprocess.run(
            [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._certificate = certificate
        self._server = KVSServer(tls=context)
        self._stream = self._server.streams.add(STREAM)
        # How long after its first frame's date each fragment was persisted.
        self._latencies: list[float] = []
        self._seen = 0
        self._ends = False
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def close(self) -> None:
        """End everything."""
        self._ends = True
        self._server.close()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ends:
            if self._stream.wait_for(lambda: self._stream.persisted() > self._seen, 1):
                now = time.time()
                with self._stream.changed:
                    arrived = [one for one in self._stream.fragments if one.state == "persisted"]
                self._latencies += [now - one.timecode / 1000 for one in arrived[self._seen :]]
                self._seen = len(arrived)

    def environment(self) -> Answer:
        """Tell the variables by which an application finds it."""
        return {
            "AWS_ENDPOINT_URL_KINESIS_VIDEO": self._server.url,
            "AWS_CA_BUNDLE": str(self._certificate),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def first(self) -> Answer:
        """Wait for the first fragment to be persisted, and tell when: monotonic nanoseconds."""
        arrived = self._stream.wait_for(lambda: self._stream.persisted() > 0, 30)
        return {"at_ns": time.monotonic_ns() if arrived else 0}

    def latencies(self) -> Answer:
        """Tell how long fragments took from the capture of their first frame, until now."""
        return {"seconds": list(self._latencies)}

    def newest_age(self) -> Answer:
        """Tell how long ago the newest frame was captured that has arrived."""
        line = self._stream.timeline()
        return {"seconds": time.time() - line[-1].end / 1000 if line else 1e9}

    def refuse(self) -> Answer:
        """Be gone."""
        self._server.refuse()
        return {}

    def listen(self) -> Answer:
        """Come back."""
        self._server.listen()
        return {}

    def forbid(self) -> Answer:
        """Answer 403 to video from now on, and cut what is connected."""
        self._server.faults.always["/putMedia"] = HttpError(403, "AccessDenied")
        self._server.refuse()
        self._server.listen()
        return {}

    def allow(self) -> Answer:
        """Answer as usual."""
        self._server.faults.always.clear()
        return {}

    def kept(self) -> Answer:
        """Tell what is there: frames in the final timeline, and how many fragments overlap."""
        line: list[Fragment] = self._stream.timeline()
        return {
            "frames": sum(len(one.blocks) for one in line),
            "overlaps": len(self._stream.overlaps()),
            "complaints": len(self._stream.complaints),
        }


def main() -> None:
    """Serve the directing process."""
    with tempfile.TemporaryDirectory(prefix="spyglass-bench-") as folder:
        service = Service(Path(folder))
        commands = (
            "environment", "first", "latencies", "newest_age", "refuse", "listen", "forbid",
            "allow", "kept",
        )  # fmt: skip
        serve({name: getattr(service, name) for name in commands}, Inbox(0))
        service.close()


if __name__ == "__main__":
    main()
