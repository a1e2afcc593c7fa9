from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.outputs.web.screen import hurry, is_grey, moves, until, wait_picture, wait_state
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.outputs.web.relay import Relay
    from tests.outputs.web.rig import Rig, Serving
    from tests.streams import NumberedStream


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


def test_a_certificate_makes_the_page_secure_under_any_name(
    rig: Rig, certificate: tuple[Path, Path], open_page: Callable[..., Any]
) -> None:
    """All comes over TLS, thumbnails, the WebSocket and the cookie, until the server is closed."""
    chain, key = map(str, certificate)
    serving = rig.serve(certificate=chain, key=key, allowed_hosts=("spy.test",))
    frames = rig.frames()
    frames.put(7)
    serving.mount("/cam", rig.stream().hub, frames.snapshots.ask)
    page = open_page()
    asked: list[str] = []
    page.on("websocket", lambda ws: asked.append(ws.url))
    page.goto(serving.url("/", host="spy.test"))
    page.wait_for_selector(".card img:not([hidden])")
    page.click(".card a")
    wait_picture(page)

    assert page.get_attribute("#stage", "data-player") == "webcodecs"
    assert moves(page)
    assert asked == [f"wss://spy.test:{serving.port}/cam/ws"]
    assert [cookie["secure"] for cookie in page.context.cookies()] == [True]
    serving.close()
    wait_state(page, "reconnecting")


@pytest.mark.parametrize("host", ["127.0.0.1", "spy.test"])
def test_a_line_that_hangs_is_noticed(
    rig: Rig, relay_to: Callable[[int], Relay], open_page: Callable[..., Any], host: str
) -> None:
    """Its connections stay and nothing passes; when something does the page goes on by itself."""
    serving = rig.serve(allowed_hosts=("spy.test",))
    serving.mount("/cam", rig.stream().hub)
    relay = relay_to(serving.port)
    page = open_page()
    hurry(page, "socket.js", PING_MS=200)
    page.goto(serving.url("/cam", host=host, port=relay.port))
    wait_picture(page)
    relay.is_held = True
    wait_state(page, "reconnecting")
    until(page, lambda: is_grey(page))
    relay.is_held = False
    wait_picture(page)

    assert moves(page)


def test_a_connection_that_is_never_made_is_given_up(
    serving: Serving, relay_to: Callable[[int], Relay], open_page: Callable[..., Any]
) -> None:
    """As one that somebody takes and forgets: another one may come through."""
    relay = relay_to(serving.port)
    page = open_page()
    hurry(page, "socket.js", PING_MS=200, OPEN_MS=300)
    page.goto(serving.url("/cam", port=relay.port))
    wait_picture(page)
    relay.is_held = True
    for _ in range(3):
        page.wait_for_event("websocket")


def test_whatever_comes_is_a_sign_of_life(serving: Serving, open_page: Callable[..., Any]) -> None:
    """On a full line an answer waits behind pictures: as long as those come nothing is lost."""
    page = open_page()
    pings, opened = [], []

    def between(page_end: Any) -> None:
        opened.append(page_end)
        server_end = page_end.connect_to_server()
        page_end.on_message(lambda said: (pings.append(said), server_end.send(said)))
        server_end.on_message(lambda said: "pong" in str(said[:20]) or page_end.send(said))

    page.route_web_socket("**/ws", between)
    hurry(page, "socket.js", PING_MS=300)
    page.goto(serving.url("/cam"))
    wait_picture(page)
    until(page, lambda: sum("ping" in str(said) for said in pings) > 9)

    assert len(opened) == 1


def test_the_list_notices_a_line_that_hangs(
    rig: Rig, relay_to: Callable[[int], Relay], open_page: Callable[..., Any]
) -> None:
    """It says that it reconnects, and shows the streams again when something passes."""
    serving = rig.serve()
    frames = rig.frames()
    frames.put(7)
    serving.mount("/cam", rig.stream().hub, frames.snapshots.ask)
    relay = relay_to(serving.port)
    page = open_page()
    hurry(page, "ask.js", LIMIT_MS=500)
    hurry(page, "list.js", REFRESH_MS=100)
    page.goto(serving.url("/", port=relay.port))
    page.wait_for_selector(".card img:not([hidden])")
    relay.is_held = True
    page.wait_for_selector("body.away")
    assert "Reconnecting" in page.inner_text("#notice")
    relay.is_held = False
    page.wait_for_selector("body:not(.away)")


@pytest.mark.parametrize("broken", [{"body": "<h1>Gateway</h1>"}, {"json": {}}, {"status": 502}])
def test_the_list_outlives_an_answer_that_is_none(
    rig: Rig, open_page: Callable[..., Any], broken: dict[str, Any]
) -> None:
    """As a proxy gives in place of a server that is away: it says so, and asks again."""
    serving = rig.serve()
    serving.mount("/cam", rig.stream().hub)
    page = open_page()
    hurry(page, "list.js", REFRESH_MS=100)
    page.goto(serving.url("/"))
    page.wait_for_selector(".card")
    page.route("**/api/streams", lambda route: route.fulfill(**broken))
    page.wait_for_selector("body.away")
    page.unroute("**/api/streams")
    page.wait_for_selector("body:not(.away)")


def test_thumbnails_leave_nothing_behind(rig: Rig, open_page: Callable[..., Any]) -> None:
    """One picture is kept for each card, whether others could not be decoded, and none after it."""
    serving = rig.serve()
    frames = rig.frames()
    frames.put(7)
    serving.mount("/cam", rig.stream().hub, frames.snapshots.ask)
    page = open_page()
    page.add_init_script("""
      window.held = new Set();
      const [make, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
      URL.createObjectURL = (blob) => {
        const url = make(blob);
        window.held.add(url);
        window.made = (window.made || 0) + 1;
        return url;
      };
      URL.revokeObjectURL = (url) => {
        window.held.delete(url);
        revoke(url);
      };
      // While it is held, nothing is decoded.
      const decode = Image.prototype.decode;
      window.decoding = Promise.resolve();
      Image.prototype.decode = async function () {
        await window.decoding;
        return decode.call(this);
      };
    """)
    hurry(page, "list.js", REFRESH_MS=50)
    page.goto(serving.url("/"))
    page.wait_for_selector(".card img:not([hidden])")
    broken = {"body": "no picture", "content_type": "image/jpeg"}
    page.route("**/snapshot.jpg*", lambda route: route.fulfill(**broken))
    made = page.evaluate("made")
    until(page, lambda: page.evaluate("made") > made + 3)
    # One that is shown, and one that is tried.
    assert page.evaluate("held.size") <= 2
    assert page.evaluate("document.querySelector('.card img').naturalWidth") == 320
    page.unroute("**/snapshot.jpg*")
    made = page.evaluate(
        "() => { window.decoding = new Promise((go) => { window.go = go; }); return window.made; }"
    )
    until(page, lambda: page.evaluate("made") > made)
    serving.unmount("/cam")
    until(page, lambda: page.query_selector(".card") is None)
    page.evaluate("window.go()")
    until(page, lambda: page.evaluate("held.size") == 0)


def test_a_page_that_nobody_sees_costs_nothing(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """Whether it was opened behind another one or went there; when it is seen it plays."""
    page = open_page()
    said: list[str] = []
    page.on("websocket", lambda ws: ws.on("framesent", lambda sent: said.append(str(sent))))
    page.add_init_script("""
      window.isHidden = true;
      const given = (name, get) => Object.defineProperty(document, name, { get });
      given("hidden", () => window.isHidden);
      given("visibilityState", () => (window.isHidden ? "hidden" : "visible"));
      window.hide = (is) => {
        window.isHidden = is;
        document.dispatchEvent(new Event("visibilitychange"));
      };
    """)
    page.goto(serving.url("/cam"))
    until(page, lambda: any("pause" in one for one in said))
    wait_for(lambda: not serving.viewers() and not stream.hub.subscriber_count)
    page.evaluate("hide(false)")
    wait_picture(page)
    assert moves(page)
    page.evaluate("hide(true)")
    wait_for(lambda: not serving.viewers() and not stream.hub.subscriber_count)
    page.evaluate("hide(false)")
    assert moves(page)
