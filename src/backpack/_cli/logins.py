"""Read logins from where others on the machine cannot see them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from backpack._cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USERS = "BACKPACK_USERS"
SOURCE_LOGIN = "BACKPACK_SOURCE_LOGIN"

Logins = dict[str, str]


def read_users(
    path: str | None, warn: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> Logins:
    """
    Return the names and passwords of those who may watch.

    Args:
        path: File with one ``name:password`` a line, or None. A line that
            begins with ``#`` is a comment.
        warn: Told that others can read the file.
        environ: Where `USERS` is looked up: the same lines.

    Raises:
        Failure: The file cannot be read, or a line is no login.

    """
    users = _parse(environ.get(USERS, ""), USERS)
    if path is None:
        return users
    try:
        text = Path(path).read_text(encoding="utf-8")
        mode = Path(path).stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--users-file {path} cannot be read: {error}.", USAGE) from error
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        warn(f"{path} holds passwords and others can read it. Close it: chmod 600 {path}")
    found = _parse(text, path)
    if not found:
        raise Failure(f"--users-file {path} holds no login. Give name:password lines.", USAGE)
    return {**users, **found}


def read_source_login(environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """
    Return name and password for the source, None if there are none.

    Raises:
        Failure: What `SOURCE_LOGIN` holds is no login.

    """
    return next(iter(_parse(environ.get(SOURCE_LOGIN, ""), SOURCE_LOGIN).items()), None)


def _parse(text: str, where: str) -> Logins:
    logins: Logins = {}
    for number, line in enumerate(text.splitlines(), start=1):
        login = line.strip()
        if not login or login.startswith("#"):
            continue
        name, colon, password = login.partition(":")
        if not colon or not name or not password:
            # The line itself is not shown: it may be a password.
            raise Failure(f"{where}, line {number}: write name:password.", USAGE)
        logins[name] = password
    return logins
