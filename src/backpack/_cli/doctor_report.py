"""Show what the doctor has found, as text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._cli.doctor_needs import ALL_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

Facts = dict[str, Any]


def render(facts: Facts) -> str:
    """Return all that was found, the verdict last."""
    return "\n".join(_lines(facts))


def _lines(facts: Facts) -> Iterator[str]:
    here = facts["python"]
    yield f"SpyGlass {facts['version']}"
    yield from ("", "The application's side")
    yield _line("ok", "Python", here["version"], here["path"])
    yield _line("ok" if here["numpy"] else "missing", "numpy", here["numpy"])
    signs = "signs for AWS, kvs://"
    if not here["botocore"]:
        signs += '; python -m pip install "backpack-spyglass[kvs]"'
    yield _line("ok" if here["botocore"] else "missing", "botocore", here["botocore"], signs)
    yield from ("", "Pythons for the streaming process, the first that has GStreamer is used")
    for python in facts["pythons"]:
        yield from _python(python, is_used=python["path"] == facts["used"])
    for python in facts["pythons"]:
        if python["path"] == facts["used"]:
            yield from _used(python, facts)
    if facts["others"]:
        yield from ("", "Other packages that are imported as `backpack`")
        for other in facts["others"]:
            yield _line("warning", other["name"], other["version"], other["place"])
    if facts["variables"]:
        yield from ("", "Variables that change what is found")
        for variable in facts["variables"]:
            yield f"  note    {variable['name']}={variable['value']}: {variable['effect']}"
    yield from _verdict(facts)


def _python(python: Facts, *, is_used: bool) -> Iterator[str]:
    if python["gstreamer"] is None:
        yield _line("failed", python["path"], python["python"], _first_sentence(python["error"]))
        return
    yield _line("ok", python["path"], python["python"], "used" if is_used else "not needed")


def _first_sentence(text: str | None) -> str:
    return text.partition(" Streaming needs")[0].splitlines()[0] if text else ""


def _used(python: Facts, facts: Facts) -> Iterator[str]:
    yield from ("", f"Libraries of {python['path']}")
    for name, key, remark in (
        ("PyGObject (gi)", "gi", ""),
        ("GStreamer", "gstreamer", "with its Python overrides"),
        ("RTSP server library", "rtsp_server", ""),
        ("libyuv", "libyuv", "fast colour conversion"),
        ("TLS (glib-networking)", "tls", "rtsps:// cameras"),
        ("aiohttp", "aiohttp", "http://, the page in the browser"),
        ("h11", "h11", "kvs://, with SpyGlass's own producer"),
        ("WebRTC", "webrtc", "the page over UDP; without it the page uses TCP"),
        ("numpy", "numpy", "`spyglass serve` where the application's Python has no gi"),
    ):
        found = python.get(key)
        yield _line("ok" if found else "missing", name, "" if found is True else found, remark)
    yield from ("", "GStreamer's elements")
    encoders = {each["name"] for each in python["encoders"]}
    for element in ALL_ELEMENTS:
        if element.name not in encoders:
            version = python["elements"].get(element.name)
            where = "" if version else f"; package {element.package}"
            mark = "ok" if version else "missing"
            yield _line(mark, element.name, version, f"{element.needed_for}{where}")
    yield from ("", "Outputs")
    for one in facts["outputs"]:
        urls = " ".join(f"{scheme}://" for scheme in one["schemes"])
        mark = "failed" if one["error"] else "ok"
        yield _line(mark, one["name"], urls, one["error"] or one["package"])
    yield from _kvssink(facts["kvssink"])
    yield from _encoders(python, facts)


def _kvssink(found: Facts) -> Iterator[str]:
    yield from ("", "AWS's own producer for Kinesis Video Streams; ours needs nothing of it")
    mark = "ok" if found["found"] else "missing"
    yield _line(mark, "kvssink", found["version"], found["path"] or found["why"])


def _encoders(python: Facts, facts: Facts) -> Iterator[str]:
    yield from ("", "Encoders, the best first; each that is there was tried")
    for encoder in python["encoders"]:
        version = python["elements"].get(encoder["name"])
        remark = encoder["reason"] or ""
        if encoder["name"] == facts["encoder"]:
            remark = "used"
        yield _line(encoder["verdict"], encoder["name"], version, remark)
    for family, advice in facts["advice"].items():
        yield f"  {family}: {advice}"


def _verdict(facts: Facts) -> Iterator[str]:
    yield ""
    for remark in facts["remarks"]:
        yield f"Note: {remark}"
    for problem in facts["problems"]:
        yield f"Problem: {problem}"
    if facts["install"]:
        yield f"Install: {facts['install']}"
    if facts["ok"]:
        yield f"Streaming works here, encoded with {facts['encoder']}."
    else:
        yield "Streaming cannot run here."


def _line(mark: str, name: str, version: str | None, remark: str = "") -> str:
    return f"  {mark:<8}{name:<24} {version or '':<12} {remark}".rstrip()
