from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.file import CredentialsFile, write_environment, write_line
from tests.outputs.kvs.credentials.stand_ins import SECRET, START, TOKEN, made
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGER = logging.getLogger("test.file")


@pytest.fixture
def private() -> Iterator[CredentialsFile]:
    """Give an open file of its own directory."""
    file = CredentialsFile()
    file.open()
    yield file
    file.close()


def keep(file: CredentialsFile, credentials: Credentials, after: float = 0.0) -> float:
    """Keep it, so many seconds after the start."""
    return file.keep(credentials, wall=START + after, now=after, logger=LOGGER)


def test_temporary_credentials_are_five_words() -> None:
    """The expiry ends in Z and has no fraction; the token comes last."""
    line = write_line(made(lasts=3600.7), wall=START)

    assert line.split() == [
        "CREDENTIALS",
        "ASIA0000000000000001",
        "2026-11-22T10:50:36Z",
        SECRET,
        f"{TOKEN}1",
    ]


def test_lasting_credentials_are_three_words() -> None:
    """Without a token kvssink takes no expiry either."""
    for expires_at in (None, START + 60):
        line = write_line(Credentials.of("AKIA", "secret", None, expires_at), wall=START)
        assert line == "CREDENTIALS AKIA secret\n"


def test_a_token_without_expiry_is_given_an_hour() -> None:
    """A fourth word would be read by kvssink as the expiry."""
    line = write_line(made(lasts=None), wall=START)

    assert line.split()[2] == "2026-11-22T10:50:36Z"


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials.of("A" * 129, "s"),
        Credentials.of("A", "s" * 129),
        Credentials.of("A", "s", "t" * 2049),
    ],
)
def test_what_kvssink_would_refuse_is_not_written(
    credentials: Credentials, private: CredentialsFile, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says what the limit is, and quotes nothing."""
    keep(private, credentials)

    assert "at most" in private.trouble
    assert not private.is_written
    assert "ttt" not in caplog.text
    assert "sss" not in caplog.text


def test_only_this_user_reads_it(private: CredentialsFile) -> None:
    """The directory is 0700, the file 0600, whatever the umask says."""
    before = os.umask(0)
    try:
        keep(private, made())
    finally:
        os.umask(before)

    path = Path(private.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.parent.stat().st_uid == os.getuid()


def test_variables_are_a_line_each() -> None:
    """For a process that takes them into its environment; it is kept like the other form."""
    file = CredentialsFile(form=write_environment)
    file.open()
    keep(file, made(1))
    keep(file, made(2))
    text = Path(file.path).read_text()
    file.close()

    assert text == (
        "AWS_ACCESS_KEY_ID=ASIA0000000000000002\n"
        f"AWS_SECRET_ACCESS_KEY={SECRET}\n"
        f"AWS_SESSION_TOKEN={TOKEN}2\n"
    )


def test_nothing_is_made_before_it_is_open(tmp_path: Path) -> None:
    """A description of a file is no file."""
    assert CredentialsFile().path == ""
    CredentialsFile(str(tmp_path / "deep" / "file")).open()

    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_ours_is_deleted(private: CredentialsFile) -> None:
    """Nothing of it is left after `close`, which may be called twice."""
    keep(private, made())
    directory = Path(private.path).parent
    private.close()
    private.close()

    assert not directory.exists()
    assert not private.is_written


def test_a_path_of_the_applications_stays(tmp_path: Path) -> None:
    """Its directory is made if it is missing, for this user only; the file stays after `close`."""
    file = CredentialsFile(str(tmp_path / "kvs" / "credentials.txt"))
    file.open()
    keep(file, made())
    file.close()

    path = tmp_path / "kvs" / "credentials.txt"
    assert path.read_text().startswith("CREDENTIALS ASIA")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Who may write into the directory cannot make us write elsewhere."""
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "file").symlink_to(tmp_path / "victim")
    keep(CredentialsFile(str(tmp_path / "file")), made())

    assert (tmp_path / "victim").read_text() == "untouched"
    assert not (tmp_path / "file").is_symlink()


def test_it_is_written_when_they_change_and_only_then(private: CredentialsFile) -> None:
    """New credentials are written at once; the same ones again are not."""
    assert keep(private, made()) == float("inf")
    first = Path(private.path).stat().st_ino
    keep(private, made(lasts=3600.05))
    assert Path(private.path).stat().st_ino == first

    keep(private, made(2))
    assert f"{TOKEN}2" in Path(private.path).read_text()
    keep(private, made(2, lasts=7200))
    assert "11:50:36Z" in Path(private.path).read_text()


def test_a_made_up_expiry_is_moved_on_in_time(private: CredentialsFile) -> None:
    """It is half an hour away at least, whenever kvssink reads it."""
    assert keep(private, made(lasts=None)) == 1800
    assert keep(private, made(lasts=None), after=1799) == 1
    assert "10:50:36Z" in Path(private.path).read_text()

    keep(private, made(lasts=None), after=1800)
    assert "11:20:36Z" in Path(private.path).read_text()


def test_what_cannot_be_written_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the path and the reason; the wait grows; then it is written."""
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "in the way").touch()
    file = CredentialsFile(str(tmp_path / "file"))

    assert keep(file, made()) == 1
    assert keep(file, made(), after=0.5) == 0.5
    assert keep(file, made(), after=1) == 2
    assert file.numbers()["credentials_file_failures"] == 2
    assert str(tmp_path / "file") in file.trouble
    assert "directory" in file.trouble
    assert "Trying again in 2 s." in caplog.text
    assert SECRET not in caplog.text
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]

    (tmp_path / "file" / "in the way").unlink()
    (tmp_path / "file").rmdir()
    keep(file, made(), after=3)
    assert file.is_written
    assert file.trouble == ""


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_of_somebody_else_is_told(tmp_path: Path) -> None:
    """No permission is a counted wait, too."""
    tmp_path.chmod(0o500)
    file = CredentialsFile(str(tmp_path / "file"))
    keep(file, made())
    tmp_path.chmod(0o700)

    assert "Permission denied" in file.trouble


def test_a_reader_never_sees_half_of_it(private: CredentialsFile) -> None:
    """While it is rewritten all the time, each look finds one whole line."""
    keep(private, made(0))
    whole = {write_line(made(number), wall=START) for number in range(2)}
    ended = threading.Event()
    torn: list[str] = []
    looks = 0

    def read() -> None:
        nonlocal looks
        while not ended.is_set():
            text = Path(private.path).read_text()
            looks += 1
            if text not in whole:
                torn.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(600):
        keep(private, made(number % 2))
    ended.set()
    reader.join(PATIENCE)

    assert looks > 0
    assert torn == []
