from __future__ import annotations

import math

import numpy as np
import pytest

from backpack._outputs.kvs.shared.limits import (
    check_buffer_bytes,
    check_buffer_seconds,
    check_fragment_seconds,
    check_metadata,
)
from backpack.errors import SettingsError

NO_NUMBERS = [math.nan, math.inf, -math.inf, "abc", "120", None, True]


def test_what_has_room_is_taken() -> None:
    """As Python's own numbers, which cross the border to the streaming process."""
    assert check_fragment_seconds(np.float32(2)) == 2.0
    assert check_buffer_seconds(6, fragment_seconds=2.0) == 6.0
    assert check_buffer_bytes(np.int64(1 << 20)) == 1 << 20
    assert check_buffer_bytes(2.0**21) == 1 << 21
    for value in (check_fragment_seconds(np.float32(2)), check_buffer_bytes(np.int64(1 << 20))):
        assert type(value) in (int, float)
    assert check_metadata({"door": "front"}) == {"door": "front"}


@pytest.mark.parametrize("seconds", [0.5, 8.1, -2, *NO_NUMBERS])
def test_fragments_that_kvs_refuses_are_refused(seconds: object) -> None:
    """From a second to eight, with what may be given."""
    with pytest.raises(SettingsError, match=r"fragment_seconds=.*give 1 to 8"):
        check_fragment_seconds(seconds)


@pytest.mark.parametrize("seconds", [-5, 0, 5.9, *NO_NUMBERS])
def test_a_buffer_of_less_than_a_few_fragments_is_refused(seconds: object) -> None:
    """Video would be lost on a line that works, and the sentence says from where on it is not."""
    with pytest.raises(SettingsError, match=r"buffer_seconds=.*from 6 on"):
        check_buffer_seconds(seconds, fragment_seconds=2.0)


@pytest.mark.parametrize("size", [128, 0, -1, 1_048_576.5, *NO_NUMBERS])
def test_a_buffer_of_hardly_any_bytes_is_refused(size: object) -> None:
    """Who gives 128 means MiB, and is told how to write them."""
    with pytest.raises(SettingsError, match=r"buffer_bytes=.*128 << 20"):
        check_buffer_bytes(size)


@pytest.mark.parametrize(
    "metadata",
    [
        {"AWS_MINE": "x"},
        {"aws": "x"},
        {"": "x"},
        {"n" * 129: "x"},
        {"n": "v" * 257},
        {"n": "é" * 129},
        {f"n{number}": "" for number in range(11)},
        {"n": 1},
        "door",
    ],
    ids=str,
)
def test_metadata_that_kvs_refuses_is_refused(metadata: object) -> None:
    """Reserved, empty and overlong names, overlong values, and too many."""
    with pytest.raises(SettingsError, match="metadata"):
        check_metadata(metadata)
