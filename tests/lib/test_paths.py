from __future__ import annotations

import pytest

from backpack._lib.paths import check_mount_path
from backpack.errors import SettingsError


@pytest.mark.parametrize("path", ["/cam", "/a/b", "/Front-Door_1.x~"])
def test_good_mount_paths_are_taken(path: str) -> None:
    """Letters, digits and the four signs that URLs never escape."""
    assert check_mount_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "cam",
        "/cam/",
        "//cam",
        "/a b",
        "/a?b",
        "/a#b",
        "/ä",
        "/a/../b",
        "/.",
        "/" + 300 * "a",
    ],
)
def test_bad_mount_paths_are_refused(path: str) -> None:
    """A path that players could not ask for is refused, and an example given."""
    with pytest.raises(SettingsError, match="/front_door"):
        check_mount_path(path)
