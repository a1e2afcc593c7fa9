"""
Read the file that says where kvssink lies: a `.env`, as a Dockerfile writes it.

Three names are taken and nothing else, since whatever stood in it would be in
the environment of a process that talks to AWS. Values are never logged.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLUGIN_PATH: Final = "GST_PLUGIN_PATH"
LIBRARY_PATH: Final = "LD_LIBRARY_PATH"
PRELOAD: Final = "LD_PRELOAD"

TAKEN: Final = (PLUGIN_PATH, LIBRARY_PATH, PRELOAD)

_LARGEST: Final = 64 * 1024

_NAME: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_SPACE: Final = re.compile(r"[ \t]*")
_COMMENT: Final = re.compile(r"#[^\n]*")
# Between two settings. The second form is what `RUN echo "…\n…"` leaves in the
# file where the shell is bash, whose echo writes a backslash and an n.
_BREAK: Final = re.compile(r"\n|\\n")
_BARE: Final = re.compile(r"(?:(?!\\n|[ \t]#)[^\n])*")
_QUOTED: Final = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    "'": re.compile(r"'([^']*)'"),
}
_ESCAPED: Final = re.compile(r"\\([\"\\$`])")


@dataclass(frozen=True)
class DotEnv:
    """
    What was taken from the file.

    Attributes:
        path: The file.
        variables: Those of `TAKEN` that it sets.

    """

    path: str
    variables: dict[str, str] = field(default_factory=dict, repr=False)

    def applied_to(self, environ: Mapping[str, str]) -> dict[str, str]:
        """
        Return an environment with these variables in it.

        The folders of LD_LIBRARY_PATH go behind those that are there: what the
        process was started with goes first. The others replace.
        """
        changed = dict(environ) | self.variables
        before, more = environ.get(LIBRARY_PATH), self.variables.get(LIBRARY_PATH)
        if before and more:
            changed[LIBRARY_PATH] = f"{before}{os.pathsep}{more}"
        return changed


def read_dotenv(path: str) -> DotEnv:
    """
    Read a `.env`.

    Raises:
        SettingsError: It is missing, cannot be read, or is broken; says where.

    """
    try:
        # A pipe would otherwise be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = os.read(descriptor, _LARGEST + 1) if is_file else b""
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise SettingsError(f"dotenv_path={path!r} cannot be read: {_reason(error)}.") from None
    if not is_file:
        raise SettingsError(f"dotenv_path={path!r} is no file.")
    if len(data) > _LARGEST:
        raise SettingsError(f"dotenv_path={path!r} is larger than {_LARGEST} bytes.")
    try:
        # An editor's byte order mark is no part of the first name.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsError(f"dotenv_path={path!r}, line {line}: this is no UTF-8.") from None
    return parse_dotenv(text, path)


def parse_dotenv(text: str, path: str = ".env") -> DotEnv:
    """
    Take from the text of a `.env` what concerns kvssink.

    Raises:
        SettingsError: It is broken; says where, and shows no value.

    """
    found = {}
    for line, name, value in _settings(text.replace("\r\n", "\n").replace("\r", "\n"), path):
        if name not in TAKEN:
            continue
        if "\n" in value or "\0" in value:
            raise _broken(path, line, f"the value of {name} has several lines")
        if "$" in value:
            raise _broken(path, line, f"{name} holds a $: write the folders out")
        found[name] = value
    return DotEnv(path, {name: value for name, value in found.items() if value})


def _settings(text: str, path: str) -> Iterator[tuple[int, str, str]]:
    """Return line, name and value of each setting."""
    at = 0
    while at < len(text):
        at = _skip(_SPACE, text, at)
        if _COMMENT.match(text, at):
            at = _skip(_COMMENT, text, at)
        elif not _BREAK.match(text, at) and at < len(text):
            line = text.count("\n", 0, at) + 1
            named = _NAME.match(text, at)
            if named is None:
                raise _broken(path, line, "give NAME=value")
            value, at = _value(text, named.end(), path, line)
            yield line, named[1], value
            at = _skip(_COMMENT, text, _skip(_SPACE, text, at))
            if at < len(text) and not _BREAK.match(text, at):
                raise _broken(path, line, f"something stands behind the value of {named[1]}")
        at = _skip(_BREAK, text, at)


def _value(text: str, at: int, path: str, line: int) -> tuple[str, int]:
    """Read a value, and tell where it ends."""
    quote = text[at : at + 1]
    if quote not in _QUOTED:
        bare = _BARE.match(text, at)
        assert bare is not None  # noqa: S101 - it may be empty
        # A comment may follow at once.
        value = "" if bare[0].startswith("#") else bare[0].rstrip(" \t")
        return value, at + len(value)
    quoted = _QUOTED[quote].match(text, at)
    if quoted is None:
        raise _broken(path, line, f"the {quote} is not closed")
    value = quoted[1] if quote == "'" else _ESCAPED.sub(r"\1", quoted[1])
    return value, quoted.end()


def _skip(what: re.Pattern[str], text: str, at: int) -> int:
    found = what.match(text, at)
    return at if found is None else found.end()


def _broken(path: str, line: int, reason: str) -> SettingsError:
    return SettingsError(f"dotenv_path={path!r}, line {line}: {reason}.")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
