from __future__ import annotations

from backpack._outputs.web.worker.webrtc.feed import KEY_SPACING_NS, KeyRequests


def test_a_wish_is_passed_on_at_once() -> None:
    """Once: two wishes make one key frame."""
    keys = KeyRequests()
    assert not keys.take(0)
    keys.wish()
    keys.wish()

    assert keys.take(0)
    assert not keys.take(0)


def test_the_next_wish_waits() -> None:
    """A line that loses everything costs the others one key frame a second."""
    keys = KeyRequests()
    keys.wish()
    keys.take(0)
    keys.wish()

    assert not keys.take(KEY_SPACING_NS - 1)
    assert keys.take(KEY_SPACING_NS)


def test_a_key_frame_of_others_fulfils_a_wish_that_waits() -> None:
    """Whoever asked for it."""
    keys = KeyRequests()
    keys.wish()
    keys.take(0)
    keys.wish()
    keys.answered()

    assert not keys.take(KEY_SPACING_NS)
