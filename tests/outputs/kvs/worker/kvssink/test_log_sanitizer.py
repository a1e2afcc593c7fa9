from __future__ import annotations

import pytest

from backpack._outputs.kvs.worker.kvssink.log_sanitizer import LogSanitizer, mask

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        (f"Credential=AKIDEXAMPLE/20261122, Signature={SECRET}", "Credential=***"),
        (f"x-amz-security-token: {SECRET}", "x-amz-security-token: ***"),
        (f"AWS_SECRET_ACCESS_KEY={SECRET}", "AWS_SECRET_ACCESS_KEY=***"),
        (f'{{"a": "b", "SessionToken": "{SECRET}"}}', '{"a": "b", "SessionToken": ***'),
        (f"CREDENTIALS AKIDEXAMPLE {SECRET}", "CREDENTIALS ***"),
        (f"Authorization: AWS4-HMAC-SHA256 {SECRET}", "Authorization: ***"),
        ("user AKIAIOSFODNN7EXAMPLE is here", "user *** is here"),
        ("Dropping frame with flag: 64", "Dropping frame with flag: 64"),
        ("getDataEndpoint: 200", "getDataEndpoint: 200"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out(line: str, rest: str) -> None:
    """Whatever an SDK prints at its most talkative."""
    assert mask(line) == rest
    assert SECRET not in mask(line)


def test_lines_are_put_together_and_cut() -> None:
    """In any pieces; empty ones are left out, long ones shortened."""
    chatter = LogSanitizer()
    assert chatter.feed(b"one\n\ntw", 0.0) == ["one"]
    assert chatter.feed(b"o\n" + b"x" * 5000 + b"\n", 0.0) == ["two", "x" * 400]
    assert chatter.feed(b"y" * 1_000_000, 0.0) == []


def test_a_flood_is_held_back_and_told() -> None:
    """A hundred lines at once, then twenty a second, and how many were left out."""
    chatter = LogSanitizer()
    assert len(chatter.feed(b"x\n" * 1000, 0.0)) == 100
    assert chatter.feed(b"x\n" * 10, 0.01) == []
    assert chatter.feed(b"x\n" * 2, 0.1) == ["(910 lines left out)", "x", "x"]
    assert len(chatter.feed(b"x\n" * 1000, 1000.0)) == 100
