from __future__ import annotations

import json

import pytest

from backpack._outputs.kvs.shared.api import (
    Operation,
    SignedHead,
    put_media,
    read_data_endpoint,
    read_error,
    read_stream_info,
)
from backpack._outputs.kvs.shared.refusals import NextStep, judge
from backpack.errors import OutputError

PUT, DESCRIBE, CREATE = (
    Operation.PUT_MEDIA,
    Operation.DESCRIBE_STREAM,
    Operation.CREATE_STREAM,
)


@pytest.mark.parametrize(
    ("operation", "status", "error", "next_step"),
    [
        (PUT, 400, "ClientLimitExceeded", NextStep.AGAIN),
        (PUT, 400, "ConnectionLimitExceeded", NextStep.AGAIN),
        (PUT, 429, "", NextStep.AGAIN),
        (PUT, 500, "", NextStep.AGAIN),
        (DESCRIBE, 503, "ServiceUnavailable", NextStep.AGAIN),
        (PUT, 400, "InvalidEndpoint", NextStep.ENDPOINT),
        (PUT, 401, "NotAuthorized", NextStep.RENEW),
        (PUT, 403, "AccessDenied", NextStep.RENEW),
        (PUT, 403, "", NextStep.RENEW),
        (PUT, 400, "ExpiredToken", NextStep.RENEW),
        (PUT, 400, "UnrecognizedClient", NextStep.RENEW),
        (PUT, 403, "InvalidSignature", NextStep.RENEW),
        (PUT, 404, "ResourceNotFound", NextStep.DESCRIBE),
        (PUT, 404, "", NextStep.DESCRIBE),
        (DESCRIBE, 404, "ResourceNotFound", NextStep.CREATE),
        (CREATE, 400, "ResourceInUse", NextStep.DESCRIBE),
        (CREATE, 400, "AccountStreamLimitExceeded", NextStep.AGAIN),
        (PUT, 400, "InvalidArgument", NextStep.FAIL),
        (PUT, 418, "Strange", NextStep.DESCRIBE),
    ],
)
def test_each_refusal_has_its_course(
    operation: Operation, status: int, error: str, next_step: NextStep
) -> None:
    """By its name first: AWS throttles with 400."""
    assert judge(operation, status, error).next_step is next_step


@pytest.mark.parametrize(
    ("error", "message", "skew", "words"),
    [
        ("AccessDenied", "User is not authorized", None, "kinesisvideo:PutMedia"),
        ("InvalidSignature", "Signature expired: 1 is now earlier than 2", None, "clock"),
        ("InvalidSignature", "Signature not yet current", None, "clock"),
        ("InvalidSignature", "The request signature does not match", 400.0, "400 s fast"),
        ("InvalidSignature", "The request signature does not match", -400.0, "400 s slow"),
        ("InvalidSignature", "The request signature does not match", 1.0, "secret key"),
        ("UnrecognizedClient", "The security token is invalid", None, "access key"),
        ("ExpiredToken", "The security token is expired", None, "run out"),
    ],
)
def test_the_operator_is_told_what_to_do(
    error: str, message: str, skew: float | None, words: str
) -> None:
    """Which permission is missing, that it is the clock, the key, or the secret."""
    found = judge(PUT, 403, error, message, skew_seconds=skew)

    assert words in found.sentence
    assert message in found.sentence


@pytest.mark.parametrize(
    ("status", "error", "words", "seconds"),
    [
        (400, "ConnectionLimitExceeded", "Another producer sends to this stream", 10.0),
        (400, "ClientLimitExceeded", "takes no more calls of PutMedia", 0.0),
        (429, "", "takes no more calls of PutMedia", 0.0),
        (500, "", "KVS has trouble of its own", 0.0),
        (503, "ServiceUnavailable", "KVS has trouble of its own", 0.0),
    ],
)
def test_what_passes_by_itself_says_what_it_is_when_it_lasts(
    status: int, error: str, words: str, seconds: float
) -> None:
    """AWS has answered: nobody is sent to look at the network."""
    found = judge(PUT, status, error, "x")

    assert words in found.sentence
    assert "network" not in found.sentence
    assert found.passes_seconds == seconds


@pytest.mark.parametrize(
    ("keys_of", "words", "not_said"),
    [
        ("", "; they are renewed", "nobody"),
        ("the environment (AWS_ACCESS_KEY_ID)", "nobody renews them: they come from the env",
         "they are renewed"),
        (None, "nobody renews those of arguments or the environment", "they are renewed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("error", ["ExpiredToken", ""])
def test_credentials_that_have_run_out_are_said_to_be_renewed_only_where_they_are(
    error: str, keys_of: str | None, words: str, not_said: str
) -> None:
    """Also where the error has no name, as behind kvssink."""
    message = "The security token included in the request is expired"
    found = judge(PUT, 403, error, message, keys_of=keys_of)

    assert words in found.sentence
    assert not_said not in found.sentence
    assert found.next_step is NextStep.RENEW


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("The security token included in the request is invalid.", "does not know the access key"),
        ("Credential should be scoped to a valid region.", "another region than stream_region"),
    ],
)
@pytest.mark.parametrize("error", ["", "InvalidSignature"])
def test_a_refused_key_is_not_taken_for_a_missing_permission(
    error: str, message: str, words: str
) -> None:
    """Nor is an endpoint of another region taken for a wrong secret key."""
    sentence = judge(PUT, 403, error, message).sentence

    assert words in sentence
    assert "does not allow" not in sentence
    assert "secret key" not in sentence


@pytest.mark.parametrize(
    ("error_type", "body", "expected"),
    [
        ("ResourceNotFoundException", b'{"message":"gone"}', ("ResourceNotFound", "gone")),
        ("ResourceNotFoundException:http://x", b"", ("ResourceNotFound", "")),
        ("", b'{"__type":"com.amazonaws.kinesisvideo#AccessDeniedException","Message":"no"}',
         ("AccessDenied", "no")),
        ("", b"<html>", ("", "")),
        ("", b"[1]", ("", "")),
    ],
)  # fmt: skip
def test_the_name_of_an_error_is_found(
    error_type: str, body: bytes, expected: tuple[str, str]
) -> None:
    """In the header or in the body, with or without what AWS puts around it."""
    assert read_error(error_type, body) == expected


TOKEN = "IQoJb3JpZ2luX2VjEJr" * 20
MISMATCH = f"""The signature does not match.

The Canonical String for this request should have been
'POST
/putMedia

x-amz-security-token:{TOKEN}
"""


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (MISMATCH, "The signature does not match."),
        (f"\n The token {TOKEN} is invalid.", "The token *** is invalid."),
        ("x " * 500, "x " * 100),
        ("x" * 190 + TOKEN, "***"),
        ("y " * 95 + TOKEN, "y " * 95 + "***"),
    ],
    ids=["canonical request", "token", "long", "cut through", "cut behind"],
)
def test_what_aws_says_is_told_without_secrets(message: str, read: str) -> None:
    """The first line, 200 letters of it, with a mask for what may be a token or a key."""
    body = json.dumps({"message": message}).encode()

    assert read_error("X", body) == ("X", read)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"StreamInfo":{"Status":"ACTIVE"}}'])
def test_answers_that_cannot_be_read_are_errors(body: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(OutputError):
        read_stream_info(body)
    with pytest.raises(OutputError):
        read_data_endpoint(body)


def test_the_start_timestamp_has_three_digits() -> None:
    """Five milliseconds are .005."""
    request = put_media("https://x", "test", 1_795_341_036_005)

    assert dict(request.headers)["x-amzn-producer-start-timestamp"] == "1795341036.005"
    assert request.url == "https://x/putMedia"


def test_a_signed_head_hides_itself() -> None:
    """It holds a session token."""
    assert "token" not in repr(SignedHead(b"x-amz-security-token: token", 60.0))
