"""Find credentials where boto3 finds them: environment, profiles, roles, containers, machines."""

from __future__ import annotations

import importlib.util
import time
from typing import Any, Final, Protocol

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.expiry import seconds_left
from backpack._outputs.kvs.credentials.quiet_botocore import quiet_botocore
from backpack._outputs.kvs.credentials.trouble import describe
from backpack.errors import CredentialsError, MissingDependencyError

_STILL_EXPIRED: Final = "still expired"
"""Of botocore's error for credentials that are as old after they were renewed."""


_ASSUME_ROLE: Final = "assume-role"


class AwsSession(Protocol):
    """What a session of boto3 and one of botocore have in common."""

    def get_credentials(self) -> Any:  # noqa: ANN401 - botocore has no types
        """Return botocore's credentials, or None."""


def require_botocore() -> None:
    """
    Refuse to go on without botocore. It is looked for, not loaded.

    Raises:
        MissingDependencyError: It is not installed.

    """
    if importlib.util.find_spec("botocore") is None:
        raise MissingDependencyError(
            "Requests to AWS are signed with botocore, which is not installed. Install it with "
            '`pip install "backpack-spyglass[kvs]"`.'
        )


def taken_over(found: Any) -> Credentials:  # noqa: ANN401 - botocore has no types
    """
    Take credentials of botocore's over, as boto3's `Session.get_credentials` gives them.

    Args:
        found: Those, or what their `get_frozen_credentials` gives.

    Raises:
        AttributeError: They are none.

    """
    freeze = getattr(found, "get_frozen_credentials", None)
    frozen = found if freeze is None else freeze()
    left = None
    if hasattr(found, "refresh_needed"):
        left = seconds_left(lambda seconds: bool(found.refresh_needed(refresh_in=seconds)))
    return Credentials.of(
        frozen.access_key,
        frozen.secret_key,
        frozen.token,
        None if left is None else time.time() + left,
        source=str(getattr(found, "method", "")),
    )


class Chain:
    """
    Ask botocore, with public interfaces only. May block: used by one background thread.

    Args:
        session: Of boto3 or botocore. Without one a new session looks in all
            places, as boto3 does by default.

    """

    def __init__(self, session: AwsSession | None = None) -> None:
        self._given = session
        # Botocore's, if they renew themselves when they are asked in their last 15 minutes.
        self._renewable: Any = None
        self._last: Credentials | None = None
        # What botocore calls the place they are in.
        self._method = ""

    def get(self) -> Credentials:
        """
        Return the credentials, renewed if they are about to run out.

        Raises:
            CredentialsError: There are none, or they could not be renewed.
            MissingDependencyError: botocore is not installed.

        """
        with quiet_botocore() as errors:
            try:
                credentials = self._get()
            except RuntimeError as error:
                # botocore knows their end, and has read the same ones again.
                if _STILL_EXPIRED not in str(error):
                    raise
                raise CredentialsError(
                    "The credentials have run out, and what gives them "
                    f"({self._method or 'a session'}) has no others. Give new ones there."
                ) from error
        # Early in the last minutes botocore logs a failed renewal and gives the old ones.
        if errors and credentials.is_same(self._last):
            raise CredentialsError(describe(errors[-1]))
        self._last = credentials
        return credentials

    def forget(self) -> None:
        """
        Look for others next time: these were refused.

        Those of a session that was given are its own business.
        """
        self._renewable = None

    def _get(self) -> Credentials:
        found = self._renewable or self._session().get_credentials()
        self._method = str(getattr(found, "method", ""))
        if found is None:
            raise CredentialsError(
                "There are no AWS credentials: not in the environment (AWS_ACCESS_KEY_ID), in no "
                "profile (~/.aws), and this machine or container has no role. Provide some, or "
                "give a credentials_handler."
            )
        if self._method == _ASSUME_ROLE:
            self._refuse_to_ask()
        # Others are looked for anew: somebody may have changed the file they are in.
        if hasattr(found, "refresh_needed"):
            self._renewable = found
        return taken_over(found)

    def _refuse_to_ask(self) -> None:
        """Refuse a profile that wants a code: botocore would ask for it on the terminal."""
        import botocore.session  # noqa: PLC0415

        session = botocore.session.Session()
        given = self._given
        name = getattr(given, "profile_name", None) or getattr(given, "profile", None)
        name = name or session.get_config_variable("profile") or "default"
        profiles = session.full_config.get("profiles", {})
        seen = set()
        while name in profiles and name not in seen:
            seen.add(name)
            if profiles[name].get("mfa_serial"):
                raise CredentialsError(
                    f"Profile {name!r} wants a code (MFA), and nobody is asked for one here: get "
                    "temporary credentials with it before, or use a profile without mfa_serial."
                )
            name = profiles[name].get("source_profile", "")

    def _session(self) -> AwsSession:
        if self._given is not None:
            return self._given
        require_botocore()
        import botocore.session  # noqa: PLC0415 - loaded on the background thread only

        # A new one: a session reads its files once.
        made: AwsSession = botocore.session.Session()
        return made
