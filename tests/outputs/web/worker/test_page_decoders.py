from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.outputs.web.screen import moves, wait_picture, wait_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.outputs.web.rig import Serving

BROKEN_WEBCODECS = """
  window.made = 0;
  window.VideoDecoder = class {
    constructor({ output, error }) {
      this.error = error;
      this.state = "unconfigured";
      window.made += 1;
    }
    configure() {
      this.state = "configured";
    }
    close() {
      this.state = "closed";
    }
    decode() {
      setTimeout(() => {
        if (this.state === "closed") return;
        this.state = "closed";
        this.error(new DOMException("as of a driver that fails", "EncodingError"));
      });
    }
  };
"""
"""It takes what it is given, and says later that it was too much."""

BROKEN_MSE = """
  window.appended = 0;
  const append = SourceBuffer.prototype.appendBuffer;
  SourceBuffer.prototype.appendBuffer = function (data) {
    window.appended += 1;
    append.call(this, new Uint8Array(data.byteLength).fill(255));
  };
"""
"""What is appended cannot be read, and the element says so."""


def key_requests(page: Any) -> list[str]:
    """Give a list that notes how often a page asks for a new beginning."""
    said: list[str] = []
    page.on(
        "websocket",
        lambda ws: ws.on("framesent", lambda sent: "resync" in str(sent) and said.append("resync")),
    )
    return said


def test_a_decoder_that_always_fails_is_replaced(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """By the other one, after some failures: each costs all who watch a key frame."""
    page = open_page()
    asked = key_requests(page)
    page.add_init_script(BROKEN_WEBCODECS)
    page.goto(serving.url("/cam"))
    wait_picture(page)

    assert page.get_attribute("#stage", "data-player") == "mse"
    assert moves(page)
    assert page.evaluate("made") <= 4
    assert len(asked) <= 4


def test_where_every_decoder_fails_the_page_says_so(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """It asks for no key frames for ever."""
    page = open_page()
    asked = key_requests(page)
    page.add_init_script(BROKEN_WEBCODECS + BROKEN_MSE + "delete window.RTCPeerConnection;")
    page.goto(serving.url("/cam"))
    wait_state(page, "unable")
    assert "cannot play" in page.inner_text("#notice")
    assert page.evaluate("appended") > 0
    assert len(asked) <= 6


@pytest.mark.parametrize(
    "script",
    [
        "for (const name of ['VideoDecoder', 'MediaSource']) delete window[name];",
        BROKEN_WEBCODECS + BROKEN_MSE,
    ],
    ids=["none", "failing"],
)
def test_what_no_decoder_takes_comes_over_webrtc(
    serving: Serving, open_page: Callable[..., Any], script: str
) -> None:
    """Whether there is none or each has failed; and without WebRTC the page is not called live."""
    pytest.importorskip("backpack._gst.webrtc", exc_type=ImportError)
    page = open_page()
    page.add_init_script(script)
    page.goto(serving.url("/cam"))
    page.wait_for_selector('#stage[data-transport="webrtc"][data-state="live"]')
    assert moves(page)
    assert page.get_attribute("#webrtc", "aria-pressed") == "true"
    page.click("#webrtc")
    wait_state(page, "unable")
