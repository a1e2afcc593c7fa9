from __future__ import annotations

import pytest

from backpack._lib.timing import Backoff


def test_waits_double_up_to_a_limit_and_begin_anew() -> None:
    """Back-off goes from its first wait to its longest, and back after a success."""
    backoff = Backoff(0.1, 1.0)
    assert [backoff.next_wait() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1])
    backoff.reset()
    assert backoff.next_wait() == 0.1
