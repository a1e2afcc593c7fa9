"""Put an upload between a hub and the server, with somebody who signs."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backpack._media.hub import Hub
from backpack._outputs.kvs.messages import Fetch, Fetched, Sign, Signed, read_message, write_message
from backpack._outputs.kvs.settings import UploadSettings
from backpack._outputs.kvs.shared.api import SignedHead
from backpack._outputs.kvs.worker.stream import KVSUpload
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY
from tests.kvs_server.signature import sign
from tests.outputs.kvs.worker.producer.video import unit
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from backpack._outputs.kvs.shared.api import Request
    from tests.kvs_server.server import KVSServer
    from tests.kvs_server.streams import Stream

__all__ = ["Rig", "Signer", "head_of", "tries", "weather"]


def head_of(request: Request, **signing: Any) -> bytes:
    """Sign a request as botocore does, and write its head."""
    signing = {"key": ACCESS_KEY, "secret": SECRET_KEY} | signing
    signed = sign("POST", request.url, dict(request.headers), request.body, **signing)
    headers = {"host": urlsplit(request.endpoint).netloc} | signed | dict(request.unsigned)
    lines = [f"POST {request.operation.value} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Signer:
    """
    Be the application's end.

    Attributes:
        signing: What `tests.kvs_server.signature.sign` takes.
        good_seconds: Of the heads.
        expires_in_seconds: Of the credentials.
        trouble: With it nothing is signed.
        is_silent: Nothing is answered.
        on_asked: Called with each question, on the driver's thread.
        on_renew: Called where the credentials were refused.
        asked: Every question.
        fetched: Every answer to a `Fetch`.

    """

    def __init__(self) -> None:
        self.signing: dict[str, Any] = {}
        self.good_seconds = 240.0
        self.expires_in_seconds: float | None = None
        self.trouble = ""
        self.is_silent = False
        self.on_asked: Callable[[Sign], object] = lambda _letter: None
        self.on_renew: Callable[[], None] = lambda: None
        self.asked: list[Sign] = []
        self.fetched: list[Fetched] = []
        self.answer: Callable[[dict[str, Any]], None] = lambda _body: None

    def hear(self, body: dict[str, Any]) -> None:
        """Take a message. Driver's thread."""
        message = read_message(body)
        if isinstance(message, Fetched):
            self.fetched.append(message)
            return
        assert isinstance(message, Sign)
        self.asked.append(message)
        self.on_asked(message)
        if message.renew:
            self.on_renew()
        if not self.is_silent:
            self.answer(write_message(self.sign(message)))

    def sign(self, message: Sign) -> Signed:
        """Answer a question."""
        if self.trouble:
            return Signed(message.number, trouble=self.trouble)
        head = head_of(message.request, **self.signing)
        return Signed.of(
            message.number, SignedHead(head, self.good_seconds, self.expires_in_seconds)
        )


class Rig:
    """An upload that is open."""

    def __init__(
        self, server: KVSServer, signer: Signer | None = None, lookup: Any = None, **settings: Any
    ) -> None:
        self.server = server
        self.signer = signer or Signer()
        self.hub = Hub()
        self.states: list[str] = []
        description = {
            "kind": "kvs",
            "region": server.region,
            "stream_name": "test",
            "endpoint": server.url,
            "fragment_seconds": 1.0,
        }
        self.upload = KVSUpload(
            self.hub,
            UploadSettings.from_dict(description | settings),
            say=self.signer.hear,
            on_stats_changed=self._news,
            lookup=lookup,
        )
        self.signer.answer = self.upload.on_message
        self.upload.open()

    def _news(self) -> None:
        self.states.append(self.upload.numbers()["state"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the upload, and wait for what the streaming process does not wait for."""
        self.upload.close()
        if self.upload._uploader is not None:
            self.upload._uploader.join()

    @property
    def stream(self) -> Stream:
        """Give what the server keeps."""
        return self.server.streams["test"]

    def frames(self, first: int, last: int) -> None:
        """Encode the frames with these numbers."""
        for number in range(first, last + 1):
            self.hub.publish(unit(number))

    def numbers(self) -> dict[str, Any]:
        """Give the upload's numbers, counters among the others."""
        numbers = self.upload.numbers()
        return numbers | numbers["counters"]

    def wait(self, look: Callable[[dict[str, Any]], object], what: str = "") -> None:
        """Wait until something holds of the numbers."""
        try:
            wait_for(lambda: look(self.numbers()))
        except AssertionError:
            raise AssertionError(f"{what}: {self.numbers()}") from None

    def fetch(self, message: Fetch) -> Fetched:
        """Have a request sent, and wait for the answer."""
        before = len(self.signer.fetched)
        self.upload.on_message(write_message(message))
        wait_for(lambda: len(self.signer.fetched) > before)
        return self.signer.fetched[-1]

    def finish(self, seconds: float = 20.0) -> None:
        """Finish, and wait until that is over."""
        self.upload.finish(seconds)
        wait_for(lambda: self.upload.finished, seconds + 10.0)


def tries(numbers: dict[str, Any]) -> int:
    """Tell how often in a row it has not worked, as the trouble says."""
    found = re.search(r"(\d+) times in a row", numbers["trouble"])
    return 0 if found is None else int(found[1])


def weather(seed: int) -> random.Random:
    """Give chance a beginning."""
    return random.Random(seed)
