from __future__ import annotations

from backpack._worker.cadence import (
    KEY_INTERVAL_NS,
    KEY_PATIENCE_NS,
    REPEAT_NS,
    Action,
    Cadence,
)

MS = 1_000_000
SECOND = 1_000_000_000


def playing(at_ns: int = 0, action: Action = Action.FRAME, *, key: bool = True) -> Cadence:
    """Give a cadence whose encoder has just got a picture."""
    cadence = Cadence()
    cadence.done(at_ns, action, key=key, pts_ns=at_ns, epoch=0)
    return cadence


def needs_key(
    cadence: Cadence, now_ns: int, action: Action = Action.FRAME, **given: object
) -> bool:
    """Ask whether a picture must be a key frame, with nothing special asked for."""
    asked = {"asked": False, "repeats_refused": False, "epoch": 0, **given}
    return cadence.needs_key(now_ns, action, **asked)  # type: ignore[arg-type]


def test_a_new_frame_is_encoded_at_once() -> None:
    """No frame waits for a rhythm."""
    cadence = playing()
    assert cadence.decide(1, fresh=True, new_viewer=False) is Action.FRAME
    assert Cadence().decide(1, fresh=True, new_viewer=True) is Action.FRAME


def test_a_silent_application_gets_its_last_picture_repeated() -> None:
    """Viewers see a picture at least once a second."""
    cadence = playing()
    assert cadence.decide(REPEAT_NS - 1, fresh=False, new_viewer=False) is Action.NOTHING
    assert cadence.decide(REPEAT_NS, fresh=False, new_viewer=False) is Action.REPEAT
    assert cadence.wake_at() == REPEAT_NS == SECOND


def test_repeats_repeat() -> None:
    """The second after a repeat is followed by the next."""
    cadence = playing(REPEAT_NS, Action.REPEAT)
    assert cadence.wake_at() == 2 * REPEAT_NS


def test_a_new_encoder_gets_a_picture_at_once() -> None:
    """Before its first picture, and after a restart, something is encoded now."""
    assert Cadence().wake_at() is None
    assert Cadence().decide(0, fresh=False, new_viewer=False) is Action.REPEAT
    cadence = playing()
    cadence.restart()
    assert cadence.decide(1, fresh=False, new_viewer=False) is Action.REPEAT


def test_a_newcomer_does_not_wait_for_a_frame() -> None:
    """Whoever comes gets the last picture at once."""
    assert playing().decide(1, fresh=False, new_viewer=True) is Action.REPEAT


def test_a_key_frame_that_was_asked_for_waits_a_moment_for_a_frame() -> None:
    """A moving picture brings its own; a still one is repeated after a tenth of a second."""
    cadence = playing()
    assert cadence.wake_at(0) == KEY_PATIENCE_NS
    assert cadence.decide(KEY_PATIENCE_NS - 1, fresh=False, new_viewer=False, key_due_ns=0) is (
        Action.NOTHING
    )
    assert cadence.decide(KEY_PATIENCE_NS, fresh=False, new_viewer=False, key_due_ns=0) is (
        Action.REPEAT
    )


def test_a_key_frame_is_not_made_before_it_is_due() -> None:
    """The hub holds requests back; the cadence wakes up when one may be answered."""
    assert playing().wake_at(400 * MS) == 400 * MS
    assert playing().wake_at(5 * SECOND) == REPEAT_NS


def test_key_frames_come_by_elapsed_time() -> None:
    """Two seconds after the last one, at any frame rate."""
    cadence = playing()
    cadence.done(SECOND, Action.FRAME, key=False, pts_ns=SECOND, epoch=0)
    assert not needs_key(cadence, KEY_INTERVAL_NS - 1)
    assert needs_key(cadence, KEY_INTERVAL_NS)


def test_key_frames_come_when_asked_for() -> None:
    """A viewer that lost something gets one."""
    assert not needs_key(playing(), 1)
    assert needs_key(playing(), 1, asked=True)


def test_the_first_picture_of_an_encoder_is_a_key_frame() -> None:
    """Nothing can be decoded before it."""
    cadence = playing()
    cadence.restart()
    assert needs_key(cadence, 1)
    assert needs_key(Cadence(), 1)


def test_what_follows_a_repeat_does_not_refer_to_it_where_some_never_saw_it() -> None:
    """The first put frame after a repeat is a key frame for those who refuse repeats."""
    cadence = playing(0, Action.REPEAT)
    assert needs_key(cadence, 1, repeats_refused=True)
    assert not needs_key(cadence, 1, repeats_refused=False)
    assert not needs_key(cadence, 1, Action.REPEAT, repeats_refused=True)
    assert not needs_key(playing(0, Action.FRAME), 1, repeats_refused=True)


def test_a_stepped_clock_gets_a_key_frame() -> None:
    """The new anchor is taken where decoding can start."""
    cadence = playing()
    assert needs_key(cadence, 1, epoch=1)
    cadence.done(1, Action.FRAME, key=True, pts_ns=1, epoch=1)
    assert not needs_key(cadence, 2, epoch=1)


def test_a_newcomer_is_greeted() -> None:
    """Players need some pictures before they show one: they come quickly for a moment."""
    cadence = Cadence()
    now_ns = 100 * SECOND
    pictures = []
    while now_ns < 104 * SECOND:
        action = cadence.decide(now_ns, fresh=False, new_viewer=now_ns == 100 * SECOND)
        if action is Action.REPEAT:
            pictures.append(now_ns)
            cadence.done(now_ns, action, key=False, pts_ns=now_ns, epoch=0)
        now_ns += SECOND // 100

    in_greeting = [at for at in pictures if at < 101.5 * SECOND]
    assert len(in_greeting) == 30
    assert len(pictures) - len(in_greeting) <= 3


def test_key_frames_are_as_far_apart_as_the_pictures_say() -> None:
    """It is the pictures' own times that count, not when the encoder happens to get them."""
    cadence = Cadence()
    cadence.done(7, Action.FRAME, key=True, pts_ns=0, epoch=0)

    assert needs_key(cadence, KEY_INTERVAL_NS)
