"""The benchmark of preparation measures what it says, on a few images."""

from __future__ import annotations

from benchmarks import prepare


def test_a_line_for_every_form_and_number_of_jobs(monkeypatch, capsys):
    monkeypatch.setattr(prepare, "DISTINCT", 2)
    prepare.main(["--images", "12", "6", "--jobs", "1"])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [tuple(row[:4]) for row in rows] == [
        (*form, work)
        for form in (("PNG in a ZIP", "32", "12"), ("folder of JPEG", "256", "6"), ("folder of PNG", "256", "6"))
        for work in ("decoding only", "--jobs 1")
    ]
    assert all(float(rate) > 0 for rate in (row[4] for row in rows))


def test_rate_and_processor_time_are_those_of_the_work(monkeypatch):
    """10 images in 0.4 s, with 0.1 s of user and system time each, here and in a process that was waited for."""
    now, used = 100.0, (1.0, 2.0, 3.0, 4.0)

    def work():
        nonlocal now, used
        now += 0.4
        used = tuple(seconds + 0.1 for seconds in used)

    monkeypatch.setattr(prepare.time, "perf_counter", lambda: now)
    monkeypatch.setattr(prepare.os, "times", lambda: (*used, now))
    assert prepare.measure(work, 10) == "25 | 40.00"


def test_images_are_as_hard_to_compress_as_photographs():
    pixels = 256 * 256
    assert 1.5 < len(prepare.encoded(256, "PNG")[0]) / pixels < 2.0
    assert 0.3 < len(prepare.encoded(256, "JPEG")[0]) / pixels < 0.6
