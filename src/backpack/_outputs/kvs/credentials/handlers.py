"""Where credentials come from: what an application gives a KVSSpyGlass."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from backpack._app.predecessor import HANDLER, OldNames, tell_unused
from backpack._outputs.kvs.credentials.botocore_chain import Chain
from backpack._outputs.kvs.credentials.cache import CredentialsCache
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.file import CredentialsFile, write_environment
from backpack.errors import CredentialsError, SettingsError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backpack._outputs.kvs.credentials.botocore_chain import AwsSession


class KVSCredentialsHandler(OldNames):
    """
    AWS credentials from where boto3 finds them, renewed before they expire.

    These are the keys given here, else those of the session given here, else
    those of the environment, of profiles (also with SSO, processes and assumed
    roles), or of the role of the container or machine. A background thread
    looks them up once streaming starts. Several streams may share a handler;
    its credentials are then looked up once for all of them.

    To bring your own credentials, override `get_credentials`::

        class FromVault(KVSCredentialsHandler):
            def get_credentials(self):
                found = vault.read("aws")
                return Credentials.of(found.key, found.secret, found.token, found.expires_at)

    What boto3's ``Session.get_credentials()`` returns may be returned as well.
    A class with an ``__init__`` has to call ``super().__init__()``.

    Args:
        aws_access_key_id: Access key ID. Keys should not be written into source code.
        aws_secret_access_key: Secret access key.
        executor: Accepted for compatibility, and not used.
        parent_logger: Parent of the logger that is used. None:
            ``backpack.kvs.credentials``.
        aws_session_token: Session token, with temporary keys.
        session: A session of boto3 or botocore.

    Raises:
        SettingsError: One half of a pair of keys is missing, a key is invalid,
            or both keys and a session are given.

    """

    _old_names = HANDLER

    def __init__(
        self,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        executor: Executor | None = None,
        parent_logger: logging.Logger | None = None,
        *,
        aws_session_token: str | None = None,
        session: AwsSession | None = None,
    ) -> None:
        super().__init__()
        self.logger = logging.getLogger("backpack.kvs.credentials")
        if parent_logger is not None:
            self.logger = parent_logger.getChild(type(self).__name__)
        if executor is not None:
            tell_unused(self.logger, "executor", "credentials are got by a thread of our own")
        self._static = _static(aws_access_key_id, aws_secret_access_key, aws_session_token)
        if self._static is not None and session is not None:
            raise SettingsError("Give either keys or a session.")
        self._chain = Chain(session)
        self._cache = CredentialsCache(self)

    def get_credentials(self) -> Credentials:
        """
        Return valid credentials. Override this to bring your own.

        A background thread calls this, never twice at the same time. It may
        block: the previous credentials are used meanwhile. It is called again
        before the credentials expire (every ten minutes if there is a session
        token and no time of expiry), after an error with growing pauses, and
        after AWS has refused the credentials.

        Raises:
            CredentialsError: There are none. Any other error has the same effect.

        """
        return self._static or self._chain.get()

    def check_refresh(self) -> None:
        """Do nothing: credentials are renewed by themselves. Deprecated."""
        warnings.warn(  # deprecated in 1.0 - 2026-11-27
            "check_refresh() is not needed any more: credentials are renewed by themselves.",
            DeprecationWarning,
            stacklevel=2,
        )

    def forget(self) -> None:
        """Called when AWS refused the credentials: `get_credentials` is called next."""
        self._chain.forget()

    @property
    def credentials_cache(self) -> CredentialsCache:
        """What keeps the credentials for all who share this handler."""
        return self._cache

    def credentials_file(self, *, kvssink: bool) -> CredentialsFile | None:
        """
        Return the file through which the credentials are handed over.

        Args:
            kvssink: Whether AWS's producer is used, which reads one.

        Returns:
            Nothing is written before it is opened. None: there is none.

        """
        return CredentialsFile() if kvssink else None

    @property
    def by_environment(self) -> bool:
        """Whether what is in that file belongs into kvssink's environment."""
        return False

    @property
    def iot_certificate(self) -> dict[str, str] | None:
        """What kvssink's ``iot-certificate`` holds. None: that is not where they come from."""
        return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class KVSInlineCredentialsHandler(KVSCredentialsHandler):
    """
    Credentials that are given as arguments, those of `KVSCredentialsHandler`.

    Without keys it does what `KVSCredentialsHandler` does. kvssink gets them in
    a file that only this user can read.
    """


class KVSEnvironmentCredentialsHandler(KVSCredentialsHandler):
    """
    Credentials that are given as arguments, else those of the variables ``AWS_…``.

    The variables are read whenever credentials are needed. kvssink gets them in
    its environment, which it reads once: it stops when temporary credentials
    expire. With kvssink, use this for lasting credentials only. The arguments
    are those of `KVSCredentialsHandler`, without the session.
    """

    def __init__(
        self,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        executor: Executor | None = None,
        parent_logger: logging.Logger | None = None,
        *,
        aws_session_token: str | None = None,
    ) -> None:
        super().__init__(
            aws_access_key_id,
            aws_secret_access_key,
            executor,
            parent_logger,
            aws_session_token=aws_session_token,
        )

    def get_credentials(self) -> Credentials:
        """
        Return the keys given as arguments, else those of the environment as it is now.

        Raises:
            CredentialsError: The variables are not set.

        """
        return self._static or _from_environment()

    @property
    def by_environment(self) -> bool:
        """Say yes."""
        return True

    def credentials_file(self, *, kvssink: bool) -> CredentialsFile | None:
        """Return one of variables, for the process that kvssink runs in; the native needs none."""
        return CredentialsFile(form=write_environment) if kvssink else None


class KVSFileCredentialsHandler(KVSCredentialsHandler):
    """
    Credentials that are also written to a file, minutes before the old ones expire.

    Args:
        credentials_path: The file, readable by this user only. None: one in a
            directory of its own, written for kvssink only and deleted after
            streaming.
        aws_access_key_id: As in `KVSCredentialsHandler`.
        aws_secret_access_key: As in `KVSCredentialsHandler`.
        executor: As in `KVSCredentialsHandler`.
        parent_logger: As in `KVSCredentialsHandler`.
        aws_session_token: As in `KVSCredentialsHandler`.
        session: As in `KVSCredentialsHandler`.

    Raises:
        SettingsError: As in `KVSCredentialsHandler`.

    """

    def __init__(
        self,
        credentials_path: str | os.PathLike[str] | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        executor: Executor | None = None,
        parent_logger: logging.Logger | None = None,
        *,
        aws_session_token: str | None = None,
        session: AwsSession | None = None,
    ) -> None:
        super().__init__(
            aws_access_key_id,
            aws_secret_access_key,
            executor,
            parent_logger,
            aws_session_token=aws_session_token,
            session=session,
        )
        # Absolute: what reads it is in another directory.
        self.credentials_path = (
            None if credentials_path is None else str(Path(credentials_path).absolute())
        )

    def credentials_file(self, *, kvssink: bool) -> CredentialsFile | None:
        """Return the file of the path, if there is one, whichever producer is used."""
        if self.credentials_path is None:
            return super().credentials_file(kvssink=kvssink)
        return CredentialsFile(self.credentials_path)


def _static(key: str | None, secret: str | None, token: str | None) -> Credentials | None:
    """Make credentials of what was given, if anything was."""
    if key is None and secret is None:
        if token is not None:
            raise SettingsError("aws_session_token: give the keys that it belongs to as well.")
        return None
    if key is None or secret is None:
        raise SettingsError(
            "Give both aws_access_key_id and aws_secret_access_key, or neither of them."
        )
    return Credentials.of(key, secret, token, source="inline")


def _from_environment() -> Credentials:
    key = os.environ.get("AWS_ACCESS_KEY_ID")
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        raise CredentialsError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set. Set them, or use "
            "KVSCredentialsHandler, which looks in other places, too."
        )
    return Credentials.of(key, secret, os.environ.get("AWS_SESSION_TOKEN"), source="env")
