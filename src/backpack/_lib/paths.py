"""Decide at which paths of a server a stream can stand."""

from __future__ import annotations

import re

from backpack.errors import SettingsError

_MOUNT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_LONGEST_PATH = 200


def check_mount_path(path: str) -> str:
    """
    Refuse a mount path that players could not ask for.

    Returns:
        The path.

    Raises:
        SettingsError: It does not start with a slash, ends with one, or has
            characters that URLs would have to escape.

    """
    fits = isinstance(path, str) and len(path) <= _LONGEST_PATH and _MOUNT_PATH.fullmatch(path)
    if not fits or any(part in (".", "..") for part in path.split("/")):
        raise SettingsError(
            f"mount path {path!r}: give one that starts with a slash, has letters, digits, "
            "'.', '_', '~' and '-' after it, and does not end with a slash, "
            "for example '/front_door'."
        )
    return path
