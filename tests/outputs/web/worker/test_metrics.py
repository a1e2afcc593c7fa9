from __future__ import annotations

from backpack._outputs.web.worker.metrics import Page, add_process, add_stream


def test_each_name_is_explained_once() -> None:
    """Values of one name stand together, behind its help and type."""
    page = Page()
    for path in ("/a", "/b"):
        add_stream(
            page,
            path,
            {"encoded": 5, "fps": 29.5, "bitrate_kbps": 100, "width": None, "encoder": "x264enc"},
            [("web", {"viewers": 1, "lost": 0}), ("rtsp-1", {"viewers": 2})],
        )
    lines = page.text().splitlines()

    assert lines.count("# TYPE spyglass_frames_encoded_total counter") == 1
    at = lines.index("# TYPE spyglass_frames_encoded_total counter")
    assert lines[at + 1 : at + 3] == [
        'spyglass_frames_encoded_total{stream="/a"} 5',
        'spyglass_frames_encoded_total{stream="/b"} 5',
    ]
    assert 'spyglass_bitrate_bits_per_second{stream="/a"} 100000' in lines
    assert 'spyglass_output_viewers{stream="/b",output="rtsp-1"} 2' in lines
    assert "width" not in page.text()


def test_labels_are_escaped_and_odd_numbers_written() -> None:
    """A label cannot end its line."""
    page = Page()
    page.add("x", "gauge", "X.", float("inf"), label='a"b\\c\nd')
    page.add("x", "gauge", "X.", value=True)

    assert page.text().splitlines()[2:] == ['x{label="a\\"b\\\\c\\nd"} NaN']


def test_the_process_is_told_under_the_usual_names() -> None:
    """So that dashboards made for others show ours."""
    page = Page()
    add_process(page, "1.0.0")

    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        assert f"\n{name} " in page.text()
