"""Look at a page as a person does: read the number off the picture, and the words."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.streams import BITS, BLOCK, HEIGHT, WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.streams import NumberedStream

STATIC = Path(__file__).parents[3] / "src" / "backpack" / "_outputs" / "web" / "worker" / "static"

_READ = """([width, height, bits, block]) => {
  // The last one lies above the others.
  const shown = [...document.querySelectorAll(".picture:not([hidden])")].at(-1);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.drawImage(shown, 0, 0, width, height);
  const row = context.getImageData(0, block / 2, width, 1).data;
  let number = 0;
  for (let bit = 0; bit < bits; bit += 1) {
    if (row[(bit * block + block / 2) * 4] > 128) number += 2 ** bit;
  }
  return number;
}"""


def number_on(page: Any) -> int:
    """Read the number of the picture that is on the screen."""
    return int(page.evaluate(_READ, [WIDTH, HEIGHT, BITS, BLOCK]))


def numbers_on(page: Any, stream: NumberedStream) -> list[int]:
    """Read the numbers of the pictures that are on the screen, until there were some."""
    numbers: list[int] = []

    def look() -> bool:
        number = number_on(page)
        # A video that begins again has no picture for a moment.
        if number:
            numbers.append(number)
            late_ns = time.monotonic_ns() - stream.published[number].pts_ns
            assert late_ns < 5 * 10**9
        return len(numbers) >= 20 and len(set(numbers)) > 3

    until(page, look, what="the picture stands still")
    return numbers


def state_of(page: Any) -> str:
    """Tell the state that the page shows."""
    return str(page.get_attribute("#stage", "data-state"))


def wait_state(page: Any, state: str) -> None:
    """Wait until the page shows a state."""
    page.wait_for_selector(f'#stage[data-state="{state}"]')


def note_states(page: Any) -> None:
    """Have the page note its states from now on: one that soon ends is easily overlooked."""
    page.evaluate("""() => {
      window.states = [];
      const stage = document.querySelector("#stage");
      const note = () => window.states.push(stage.dataset.state);
      new MutationObserver(note).observe(stage, { attributeFilter: ["data-state"] });
    }""")


def noted_states(page: Any) -> list[str]:
    """Give the states that the page has noted."""
    return list(page.evaluate("window.states"))


def wait_picture(page: Any) -> None:
    """Wait for the first picture."""
    page.wait_for_selector('#stage[data-state="live"]:not(.empty)')


def until(page: Any, look: Callable[[], object], seconds: float = 30, what: str = "") -> float:
    """Wait for what is seen, letting the page go on; say how long it took."""
    begin = time.monotonic()
    while not look():
        assert time.monotonic() - begin < seconds, what or "it did not come true"
        page.wait_for_timeout(20)
    return time.monotonic() - begin


def hurry(page: Any, module: str, **constants: int) -> None:
    """Have a page's module decide by other constants than its own, so that no test waits long."""
    text = (STATIC / module).read_text()
    for name, value in constants.items():
        line = rf"^const {name} = \d+;"
        text, found = re.subn(line, f"const {name} = {value};", text, flags=re.MULTILINE)
        assert found == 1, f"{module} has no {name}"
    page.route(
        f"**/static/{module}",
        lambda route: route.fulfill(body=text, content_type="text/javascript"),
    )


def is_grey(page: Any) -> bool:
    """Tell whether the picture, or the thumbnail, is shown without its colours."""
    shown = "document.querySelector('.picture:not([hidden]), .thumbnail img')"
    return "grayscale(1)" in str(page.evaluate(f"getComputedStyle({shown}).filter"))


def moves(page: Any) -> bool:
    """Tell whether the picture becomes another one, soon."""
    before = number_on(page)
    until(page, lambda: number_on(page) != before, what="the picture stands still")
    return True
