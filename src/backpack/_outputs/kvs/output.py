"""Send a stream to KVS: the output as the application names it, with its keys."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backpack._app.output import mask
from backpack._outputs.kvs.client import Caller, wait_for
from backpack._outputs.kvs.credentials.handlers import KVSCredentialsHandler
from backpack._outputs.kvs.credentials.signer import Signer
from backpack._outputs.kvs.messages import (
    Fetched,
    KVSMessage,
    Sign,
    Signed,
    read_message,
    write_message,
)
from backpack._outputs.kvs.playback import playback_url
from backpack._outputs.kvs.settings import ProducerSettings
from backpack._outputs.kvs.shared.api import SignedHead
from backpack._outputs.kvs.shared.dotenv import read_dotenv
from backpack._outputs.kvs.shared.endpoints import configured_endpoint, hosts_of
from backpack._outputs.kvs.shared.limits import (
    check_buffer_bytes,
    check_buffer_seconds,
    check_fragment_seconds,
    check_metadata,
)
from backpack._outputs.kvs.shared.names import check_region
from backpack._outputs.kvs.shared.proxy import route_from
from backpack.errors import BackpackError, MissingDependencyError, SettingsError, StateError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from backpack._app.output import OutputOptions
    from backpack._outputs.kvs.credentials.credentials import Credentials

PRODUCERS = ("native", "kvssink")


class KVSOutput:
    """
    Send a stream to one stream of AWS Kinesis Video Streams.

    The streaming process sends; what it sends is signed here, where the
    credentials are, on a thread in the background.

    Args:
        stream_region: See `backpack.kvs.KVSSpyGlass`, for this and the others.
        stream_name: See there.
        credentials_handler: See there.
        producer: See there.
        dotenv_path: See there.
        create_stream: See there.
        retention_hours: See there.
        fragment_seconds: See there.
        buffer_seconds: See there.
        buffer_bytes: See there.
        buffer_path: See there.
        metadata: See there.
        parent_logger: See there.

    Raises:
        SettingsError: A region, name or value that AWS would refuse, or a
            buffer without room.

    """

    deliver_seconds = 5.0

    def __init__(  # noqa: PLR0913 - every setting has a name
        self,
        stream_region: str,
        stream_name: str,
        credentials_handler: KVSCredentialsHandler | None = None,
        *,
        producer: str = "native",
        dotenv_path: str | os.PathLike[str] | None = None,
        create_stream: bool = False,
        retention_hours: int = 24,
        fragment_seconds: float = 2.0,
        buffer_seconds: float = 120.0,
        buffer_bytes: int = 128 << 20,
        buffer_path: str | os.PathLike[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        parent_logger: logging.Logger | None = None,
    ) -> None:
        if producer not in PRODUCERS:
            raise SettingsError(f"producer={producer!r}: give one of {', '.join(PRODUCERS)}.")
        self.logger = (
            logging.getLogger("backpack.kvs")
            if parent_logger is None
            else parent_logger.getChild("kvs")
        )
        fragment_seconds = check_fragment_seconds(fragment_seconds)
        self.settings = ProducerSettings(
            stream_region,
            stream_name,
            configured_endpoint(os.environ),
            create_stream,
            retention_hours,
            fragment_seconds,
            check_buffer_seconds(buffer_seconds, fragment_seconds=fragment_seconds),
            check_buffer_bytes(buffer_bytes),
            check_metadata({} if metadata is None else metadata),
            hosts_of(check_region(stream_region), os.environ),
        )
        self.settings.validate()
        # What the application reaches AWS by; the streaming process has another environment.
        self._route = route_from(os.environ)
        self._route.check(self.settings.control_endpoint)
        if producer == "kvssink":
            _refuse_for_kvssink(buffer_path=buffer_path, metadata=metadata)
        self.producer = producer
        self.credentials_handler = (
            KVSCredentialsHandler(parent_logger=parent_logger)
            if credentials_handler is None
            else credentials_handler
        )
        # Another process with another directory opens them.
        self._buffer_path = _absolute(buffer_path)
        self._dotenv_path = _absolute(dotenv_path)
        self._file = self.credentials_handler.credentials_file(kvssink=producer == "kvssink")
        self._signer = Signer(
            stream_region,
            self.credentials_handler,
            endpoint=self.settings.endpoint,
            hosts=self.settings.hosts,
            file=self._file,
            logger=self.logger,
        )
        self._say: Callable[[dict[str, Any]], None] | None = None
        self.caller = Caller(self._signer, self._write)

    # --- what an output does ---------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return what the streaming process needs; no secret is in it but a proxy's password."""
        described = dataclasses.asdict(self.settings)
        described |= {
            "proxy_url": self._route.proxy_url,
            "proxy_exceptions": self._route.exceptions,
        }
        bundle = os.environ.get("AWS_CA_BUNDLE") or None
        if self.producer == "native":
            return {
                "kind": "kvs",
                "producer": self.producer,
                **described,
                "ca_bundle": bundle,
                "buffer_path": self._buffer_path,
            }
        return {
            "kind": "kvs",
            "producer": self.producer,
            **described,
            "ca_bundle": self._bundle_for_kvssink(bundle),
            "dotenv_path": self._dotenv_path,
            "library_path": os.environ.get("LD_LIBRARY_PATH"),
            "iot_certificate": self.credentials_handler.iot_certificate,
            **self._file_path(),
        }

    def _bundle_for_kvssink(self, bundle: str | None) -> str | None:
        """Return it what it would take notice of: a folder, or a file with this ending."""
        if bundle is None or bundle.endswith(".pem") or Path(bundle).is_dir():
            return bundle
        self.logger.warning(
            "AWS_CA_BUNDLE=%s is left out: kvssink takes a folder or a file that ends in .pem, "
            "and trusts the system's authorities otherwise.",
            bundle,
        )
        return None

    def _file_path(self) -> dict[str, str | None]:
        """Return where kvssink finds the credentials: a file that it reads, or variables."""
        if self._file is None:
            return {}
        name = "environment_path" if self.credentials_handler.by_environment else "credentials_path"
        return {name: self._file.path, "temporary_path": self._file.temporary_directory}

    def acquire(self) -> None:
        """
        Begin to look for credentials, in the background.

        Raises:
            MissingDependencyError: botocore is not installed.
            SettingsError: The `.env` that says where kvssink is cannot be read.

        """
        self._look_at_dotenv()
        try:
            self._signer.start()
        except OSError as error:
            raise SettingsError(f"The credentials file cannot be written: {error}.") from error

    def release(self) -> None:
        """Look for credentials no more."""
        self._say = None
        self._signer.close()

    def urls(self) -> list[str]:
        """Return its address; `playback_url` gives one that a browser can open."""
        return [f"kvs://{self.settings.region}/{self.settings.stream_name}"]

    # --- messages ----------------------------------------------------------------

    def connect(self, say: Callable[[dict[str, Any]], None]) -> None:
        """Take the line to the other end."""
        self._say = say

    def on_message(self, body: dict[str, Any]) -> None:
        """Sign what the other end asks for, or hand over what it has fetched."""
        message = read_message(body)
        if isinstance(message, Fetched):
            self.caller.hear(message)
        elif isinstance(message, Sign):
            self._sign(message)

    def on_worker_exit(self, told: Mapping[str, Any]) -> None:
        """Say what was not persisted when the streaming process ended."""
        frames = told.get("buffered_frames", 0)
        if not frames:
            return
        self.logger.warning(
            "The streaming process has gone with %d frames (%.1f s) that KVS had not persisted "
            "when it last told. %s",
            frames,
            told.get("buffered_seconds", 0.0),
            self._what_becomes_of(frames, told.get("frames_stored", 0)),
        )

    def _what_becomes_of(self, frames: int, stored: int) -> str:
        if stored >= frames:
            return "They are in buffer_path, and are sent by the next one."
        if stored:
            return (
                f"{stored} of them are in buffer_path, and are sent by the next one; "
                "the others are lost."
            )
        if self._buffer_path is not None:
            return "They are lost: buffer_path could not take them."
        if self.producer == "native":
            return "They are lost; buffer_path= would keep them."
        return 'They are lost; producer="native" can keep them, in buffer_path=.'

    def credentials(self, timeout: float) -> Credentials:
        """
        Wait for the credentials.

        Raises:
            BackpackError: There are none.

        """
        found: Credentials = wait_for(self._signer.give, timeout)
        return found

    def numbers(self) -> dict[str, Any]:
        """Return what is known of the credentials."""
        return self._signer.numbers()

    def _sign(self, message: Sign) -> None:
        def answer(signed: SignedHead | BackpackError) -> None:
            if isinstance(signed, SignedHead):
                self._write(Signed.of(message.number, signed))
            else:
                self._write(Signed(message.number, trouble=str(signed)))

        self._signer.sign(message.request, renew=message.renew, then=answer)

    def _write(self, message: KVSMessage) -> None:
        say = self._say
        if say is not None:
            say(write_message(message))

    # --- kvssink ---------------------------------------------------------------

    def _look_at_dotenv(self) -> None:
        """Refuse a broken `.env` where kvssink needs it; where nobody does, say so."""
        if self._dotenv_path is None:
            return
        try:
            read_dotenv(self._dotenv_path)
        except SettingsError as error:
            if self.producer == "kvssink":
                raise
            self.logger.warning("%s It is not needed: the native producer streams.", error)

    # --- watching --------------------------------------------------------------

    def playback_url(
        self,
        mode: str,
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        expires_seconds: int,
        timeout: float,
    ) -> str:
        """Ask AWS where the stream can be watched; see `backpack.kvs.KVSSpyGlass`."""
        if self._say is None:
            raise StateError("playback_url() needs a stream that runs: call start_streaming().")
        if self.producer != "native":
            raise MissingDependencyError(
                'playback_url() needs producer="native": kvssink makes no such calls.'
            )
        return playback_url(
            self.caller,
            self.settings,
            mode=mode,
            start=start,
            end=end,
            expires_seconds=expires_seconds,
            timeout=timeout,
        )


def output_from_url(url: str, _options: OutputOptions) -> KVSOutput:
    """
    Make the output that ``kvs://region/stream`` stands for.

    Raises:
        SettingsError: There is more or less in it, or AWS would refuse it.

    """
    parts = urlsplit(url)
    name = parts.path.removeprefix("/")
    if parts.username is not None or parts.query or parts.fragment or not name or "/" in name:
        raise SettingsError(
            f"{mask(url)!r}: give kvs://region/stream, such as kvs://us-east-1/front-door. "
            "Credentials and all else are given to KVSSpyGlass(...)."
        )
    # As it was written: names of streams have small and capital letters.
    region = parts.netloc
    return KVSOutput(region, name)


def _refuse_for_kvssink(**given: object) -> None:
    """Refuse what would be lost without a word."""
    for name, value in given.items():
        if value:
            raise SettingsError(
                f'{name}: kvssink has no such thing. Give producer="native" for it.'
            )


def _absolute(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(Path(path).expanduser().absolute())
