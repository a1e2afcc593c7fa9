"""Make redactors as a SpyGlass does."""

from __future__ import annotations

import logging
from typing import Any

from backpack._app.redaction.redactor import Redactor
from backpack.redaction import Redaction


def redactor(
    settings: Redaction | None = None,
    *,
    privacy_mask: list[Any] | None = None,
    show_only: list[Any] | None = None,
    required: bool = False,
) -> Redactor:
    """Make one, by default one that hides what it is told and holds nothing."""
    return Redactor(
        settings or Redaction(margin=0, hold_frames=0, hold_seconds=0),
        privacy_mask=privacy_mask,
        show_only=show_only,
        required=required,
        logger=logging.getLogger("backpack.spyglass"),
    )
