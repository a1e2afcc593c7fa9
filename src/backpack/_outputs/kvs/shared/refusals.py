"""Decide what to do when AWS refuses a call, and what to tell the operator."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from backpack._outputs.kvs.shared.api import Operation

TRIED_AGAIN: Final = "It is tried again every half minute or so."

_UNAUTHORIZED: Final = (401, 403)
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500

_CLOCK_SECONDS: Final = 240
"""Signatures are taken for five minutes."""


class NextStep(enum.Enum):
    """How to go on after a refusal. All but the last one after a wait."""

    AGAIN = enum.auto()
    """Ask the same once more."""
    DESCRIBE = enum.auto()
    """Begin with what the stream is."""
    CREATE = enum.auto()
    """Create the stream, if that is allowed; else as `MEND`."""
    ENDPOINT = enum.auto()
    """Ask for the endpoint anew."""
    RENEW = enum.auto()
    """Ask the same, with renewed credentials."""
    MEND = enum.auto()
    """Begin with what the stream is, when somebody may have mended what is wrong."""
    FAIL = enum.auto()
    """End: it would be refused again."""


@dataclass(frozen=True)
class Refusal:
    """
    What a refusal means.

    Attributes:
        next_step: How to go on.
        sentence: For the operator: what is wrong, and what helps. Empty where trying
            again is all that does.
        passes_seconds: It is told when it has been so for so long: it mostly passes by
            itself. None: it is told at once.

    """

    next_step: NextStep
    sentence: str = ""
    passes_seconds: float | None = None


NOTHING: Final = Refusal(NextStep.AGAIN)
"""It did not work, and there is nothing to say of it."""

ACTIONS: Final = {
    Operation.DESCRIBE_STREAM: "DescribeStream",
    Operation.CREATE_STREAM: "CreateStream",
    Operation.GET_DATA_ENDPOINT: "GetDataEndpoint",
    Operation.PUT_MEDIA: "PutMedia",
    Operation.GET_HLS_URL: "GetHLSStreamingSessionURL",
}
"""What IAM calls them."""

_TOO_MANY_CONNECTIONS: Final = "ConnectionLimitExceeded"
_TOO_MANY_CALLS: Final = frozenset({"ClientLimitExceeded", "Throttling", "TooManyRequests"})
_LIMIT_SECONDS: Final = 10.0
"""A connection of our own that broke may be counted for so long, and then it is nobody else's."""
_NO_ENDPOINT: Final = frozenset({"InvalidEndpoint"})
_EXPIRED: Final = frozenset({"ExpiredToken"})
_UNKNOWN_KEY: Final = frozenset({"UnrecognizedClient", "InvalidClientTokenId"})
_BAD_SIGNATURE: Final = frozenset(
    {"InvalidSignature", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired"}
)
_CLOCK_WORDS: Final = ("expired", "not yet current", "skew")
_BY_TOKEN: Final = "security token"  # noqa: S105 - words of AWS
_OTHER_REGION: Final = "scoped to a valid region"


def judge(
    operation: Operation,
    status: int,
    error: str = "",
    message: str = "",
    *,
    skew_seconds: float | None = None,
    keys_of: str | None = "",
) -> Refusal:
    """
    Decide by an answer other than 200 how to go on.

    Throttles come as 400 from AWS, so the name counts before the status.

    Args:
        operation: What was asked.
        status: Of the answer.
        error: Its name, as `api.read_error` gives it.
        message: AWS's words.
        skew_seconds: How far this machine's clock is from the answer's Date
            header, if it has one.
        keys_of: See `SignedHead`. None: it is not known.

    """
    told = f" (AWS says: {message})" if message else ""
    limit = _about_limits(operation, status, error, told)
    if limit is not None:
        return limit
    if error in _NO_ENDPOINT:
        return Refusal(NextStep.ENDPOINT)
    wrong = _about_signature(error, message, skew_seconds, keys_of)
    if not wrong and status in _UNAUTHORIZED:
        action = ACTIONS[operation]
        wrong = (
            f"AWS does not allow {action}: give kinesisvideo:{action} on this stream "
            "to whose credentials these are"
        )
    if wrong:
        return Refusal(NextStep.RENEW, f"{wrong}{told}.")
    return _by_resource(operation, status, error, told)


def _about_limits(operation: Operation, status: int, error: str, told: str) -> Refusal | None:
    """Return what there is too much of, or that KVS has trouble of its own."""
    action = ACTIONS[operation]
    if error == _TOO_MANY_CONNECTIONS:
        return Refusal(
            NextStep.AGAIN,
            "Another producer sends to this stream, and KVS takes one at a time: end the "
            f"other one, or give each a stream of its own{told}.",
            _LIMIT_SECONDS,
        )
    if error in _TOO_MANY_CALLS or status == _TOO_MANY:
        return Refusal(
            NextStep.AGAIN,
            f"AWS takes no more calls of {action} from this account, or for this stream, now: let "
            f"fewer programs call it, or ask AWS for a higher quota{told}.",
            0.0,
        )
    if status >= _SERVER_ERROR:
        return Refusal(
            NextStep.AGAIN,
            f"KVS has trouble of its own, and answers {action} with {status}: look at "
            f"https://health.aws.amazon.com if it lasts{told}.",
            0.0,
        )
    return None


def _about_signature(
    error: str, message: str, skew_seconds: float | None, keys_of: str | None
) -> str:
    """Return what is wrong with key, token or signature; nothing where that is not it."""
    lower = message.lower()
    # With a proxy between, or kvssink, the name of the error is often missing.
    if error in _EXPIRED or (_BY_TOKEN in lower and "expired" in lower):
        return _expired(keys_of)
    if _OTHER_REGION in lower:
        return (
            "The endpoint belongs to another region than stream_region: look at "
            "AWS_ENDPOINT_URL_KINESIS_VIDEO and AWS_ENDPOINT_URL"
        )
    if _is_clock(error, message, skew_seconds):
        return f"AWS refuses the signature's time: set this machine's clock{_by(skew_seconds)}"
    if error in _UNKNOWN_KEY or (_BY_TOKEN in lower and "invalid" in lower):
        return "AWS does not know the access key: give another one"
    if error in _BAD_SIGNATURE or ("signature" in lower and "not match" in lower):
        return "AWS refuses the signature: the secret key does not belong to the access key"
    return ""


def _expired(keys_of: str | None) -> str:
    if keys_of is None:
        return "The credentials have run out: nobody renews those of arguments or the environment"
    if not keys_of:
        return "The credentials have run out; they are renewed"
    return (
        f"The credentials have run out, and nobody renews them: they come from {keys_of}. "
        "Give new ones, or use a role or a profile that is renewed"
    )


def _by_resource(operation: Operation, status: int, error: str, told: str) -> Refusal:
    if error == "ResourceInUse":
        # Somebody else has created it meanwhile.
        return Refusal(NextStep.DESCRIBE)
    if error == "ResourceNotFound" or status == _NOT_FOUND:
        if operation is Operation.DESCRIBE_STREAM:
            return Refusal(
                NextStep.CREATE,
                "The stream does not exist in this region: create it, or say create_stream=True. "
                f"{TRIED_AGAIN}",
            )
        return Refusal(NextStep.DESCRIBE)
    if error.endswith("LimitExceeded"):
        return Refusal(NextStep.AGAIN, f"The account has as many streams as it may: {error}{told}.")
    if error.startswith("InvalidArgument") or error == "Validation":
        return Refusal(
            NextStep.FAIL,
            f"AWS does not take what {ACTIONS[operation]} was asked: look at the names of "
            f"region and stream{told}.",
        )
    return Refusal(
        NextStep.DESCRIBE, f"AWS answered {ACTIONS[operation]} with {status} {error}{told}."
    )


def _is_clock(error: str, message: str, skew_seconds: float | None) -> bool:
    refused = error in _BAD_SIGNATURE or "signature" in message.lower()
    if not refused:
        return False
    if skew_seconds is not None and abs(skew_seconds) > _CLOCK_SECONDS:
        return True
    return error in {"RequestTimeTooSkewed", "RequestExpired"} or any(
        word in message.lower() for word in _CLOCK_WORDS
    )


def _by(skew_seconds: float | None) -> str:
    if skew_seconds is None:
        return ""
    return f", which is {abs(skew_seconds):.0f} s {'fast' if skew_seconds > 0 else 'slow'}"
