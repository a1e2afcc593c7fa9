"""Look at a page with Firefox, through WebDriver BiDi, which needs no driver beside the browser."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FIREFOX", "look"]

FIREFOX: Final = shutil.which("firefox-esr") or shutil.which("firefox")
_SECONDS: Final = 60.0
_LISTENS: Final = "WebDriver BiDi listening on "


def look(url: str, ready: str, expression: str, profile: Path) -> Any:
    """
    Open a page, wait until it is ready, and return the value of an expression.

    Args:
        url: The page.
        ready: JavaScript that is true when the page is ready.
        expression: JavaScript whose value JSON can hold.
        profile: An empty folder for the browser's profile.

    """
    # Playwright's loop may run in this thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        done = thread.submit(
            asyncio.run, asyncio.wait_for(_look(url, ready, expression, profile), _SECONDS)
        )
        return json.loads(done.result())


async def _look(url: str, ready: str, expression: str, profile: Path) -> str:
    assert FIREFOX is not None
    browser = await asyncio.create_subprocess_exec(
        *(FIREFOX, "--headless", "--no-remote", "--profile", str(profile)),
        *("--remote-debugging-port", "0", "about:blank"),
        env={**os.environ, "HOME": str(profile)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert browser.stderr is not None
        address = ""
        while not address:
            line = (await browser.stderr.readline()).decode()
            assert line, "Firefox has ended"
            address = line.partition(_LISTENS)[2].strip()
        drain = asyncio.create_task(browser.stderr.read())
        found = await _ask(address, url, ready, expression)
    finally:
        browser.kill()
        await browser.wait()
    await drain
    return found


async def _ask(address: str, url: str, ready: str, expression: str) -> str:
    import aiohttp  # noqa: PLC0415 - of this function alone

    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/session") as line:
        number = 0

        async def command(method: str, **parameters: Any) -> dict[str, Any]:
            nonlocal number
            number += 1
            await line.send_json({"id": number, "method": method, "params": parameters})
            while True:
                answer = await line.receive_json()
                if answer.get("id") == number:
                    assert answer["type"] == "success", answer
                    return dict(answer["result"])

        await command("session.new", capabilities={})
        tab = (await command("browsingContext.getTree"))["contexts"][0]["context"]
        await command("browsingContext.navigate", context=tab, url=url, wait="complete")

        async def evaluate(text: str) -> str:
            answer = await command(
                "script.evaluate",
                expression=f"JSON.stringify({text})",
                target={"context": tab},
                awaitPromise=False,
            )
            return str(answer["result"]["value"])

        # A page has no event for us: it is asked again and again.
        while await evaluate(ready) != "true":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return await evaluate(expression)
