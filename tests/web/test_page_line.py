from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.web.screen import moves, wait_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.web.rig import Rig


def test_a_password_in_the_address_lets_the_page_in(
    rig: Rig, open_page: Callable[..., Any]
) -> None:
    """The list with its thumbnails and the pictures of a stream, though none may be fetched so."""
    serving = rig.serve(users={"anna": "pw"})
    frames = rig.frames()
    frames.put(7)
    serving.mount("/cam", rig.stream().hub, frames.snapshots.ask)
    page = open_page(f"http://anna:pw@127.0.0.1:{serving.port}/")
    page.wait_for_selector(".card img:not([hidden])")
    page.click(".card a")
    wait_picture(page)

    assert moves(page)
    assert page.evaluate("document.URL").startswith("http://anna:pw@")
