"""Files made to harm: each attack by itself, with what it may cost at most. Random damage is in tests/fuzz."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import struct
import tracemalloc
import zipfile
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import lmdb
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from leangan.core import files
from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.core.yaml_files import parse_yaml
from leangan.data.contracts import DatasetError
from leangan.data.image import decode
from leangan.data.readers.archive import Archive
from leangan.data.readers.labels import parse_labels
from leangan.data.readers.lsun_lmdb import LsunLmdb
from leangan.leaderboard import page
from leangan.released import convert
from leangan.results import collect
from leangan.results.table import read_results, to_csv
from leangan.runs.rows import parse_row
from leangan.training import log
from tests.helpers.readers import row

MEGABYTE = 2**20


@contextmanager
def at_most(bytes_: int):
    """Fail where Python allocates more at one time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < bytes_
    finally:
        tracemalloc.stop()


def archive(path: Path, content: bytes, method: int, stated: int) -> Path:
    """A ZIP with one image entry that states another size than it has."""
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a.png", content)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, stated)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_entry_unpacks_no_further_than_it_states(tmp_path, method):
    """32 MB behind a few kB: Python's reader unpacks all that is there before it looks at the stated size."""
    path = archive(tmp_path / "a.zip", bytes(32 * MEGABYTE), method, stated=1000)
    with at_most(4 * MEGABYTE), pytest.raises(DatasetError, match="a.zip"):
        Archive("mine", path, "free").image(0)


def test_a_symbolic_link_in_a_zip_is_not_followed(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    link = zipfile.ZipInfo("a.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, str(tmp_path / "secret.png"))
    with pytest.raises(DatasetError, match="a.png: not a readable image"):
        Archive("mine", tmp_path / "a.zip", "free").image(0)


def test_an_lmdb_whose_end_is_missing_is_refused_before_it_kills_the_process(tmp_path):
    """A download that was cut off: reading a page that is mapped but not there ends in SIGBUS."""
    with lmdb.open(str(tmp_path), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        for number in range(20):
            transaction.put(f"key{number}".encode(), bytes(9000))
    content = (tmp_path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match="pages are cut off; fetch or unpack it again"):
        LsunLmdb("mine", tmp_path, "free")


def test_postscript_reaches_no_interpreter(monkeypatch):
    """Pillow opens it by its content, whatever the file is called, and hands it to Ghostscript."""
    called = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **_: called.append(arguments))
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(DatasetError, match="cat.png: not a readable image"):
        decode(io.BytesIO(program), "cat.png")
    assert not called


@pytest.mark.parametrize("label", [10**9, 2**62, 2**63, 10**400])
def test_one_large_label_does_not_make_a_billion_classes(label):
    content = json.dumps({"labels": [["a.png", label]]}).encode()
    with at_most(MEGABYTE), pytest.raises(DatasetError, match="labels.json: "):
        parse_labels(content, ["a.png"], "labels.json")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '["\\ud800"]', "[NaN]", "[1e999]", "9" * 5000])
def test_json_that_breaks_readers_or_writers_is_refused(text):
    with pytest.raises(ValueError):
        files.parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]",
        "[" * 1000,
    ],
)
def test_yaml_that_stands_for_a_billion_values_is_refused(text):
    with pytest.raises(ValueError, match="values|nested"):
        parse_yaml(text)


def test_a_torch_file_unpacks_no_further_than_it_has_bytes(tmp_path):
    torch.save({"linear.weight": torch.zeros(4 * MEGABYTE)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(tmp_path / "a.pth", "w", 8) as bomb:
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))
    assert (tmp_path / "a.pth").stat().st_size < MEGABYTE
    with pytest.raises(ConfigError, match="a.pth is damaged .*its entries unpack to"):
        convert.read_content(tmp_path / "a.pth")


def test_one_hostile_submission_stops_neither_the_others_nor_the_table(tmp_path):
    claim = {
        "submitted_by": "A. Author",
        "url": "https://example.org/a",
        "rows": [row(source="submitted", total_kimg=24.0)],
    }
    hostile = [
        json.dumps({**claim, "submitted_by": "\ud800"}),
        json.dumps(claim).replace("31.5", "1e999"),
        json.dumps(claim).replace("2624", "9" * 400),
        "[" * 100_000,
        "\ufeff{}",
        '"text"',
    ]
    (tmp_path / "submitted").mkdir()
    for number, text in enumerate(hostile):
        (tmp_path / "submitted" / f"{number}.json").write_text(text)
    (tmp_path / "submitted" / "mine.json").write_text(json.dumps(claim))
    (tmp_path / "submitted" / "bytes.json").write_bytes(b"\xff\xfe\x00")
    accepted, rejections = collect.read_submissions(tmp_path / "submitted")
    assert [each.submitted_by for each in accepted] == ["A. Author"]
    assert len(rejections) == len(hostile) + 1
    to_csv(accepted).encode()


def test_a_carriage_return_in_a_text_is_no_new_line_of_the_table(tmp_path):
    """One of them in a submission would make the table unreadable, and no page be rendered."""
    texts = ["a\rb", "\r", "\r\n", "plain"]
    table = [parse_row(row(method_title=text, seed=seed), "") for seed, text in enumerate(texts)]
    (tmp_path / "results.csv").write_bytes(to_csv(table).encode())
    read = read_results(tmp_path / "results.csv")
    assert [each.method_title for each in read] == ["a\nb", "\n", "\n\n", "plain"]
    assert [each.value for each in read] == [31.5] * 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"hyper": 1, "plugins": 2}', b"\xff"])
def test_a_damaged_spec_is_one_line_with_the_remedy(tmp_path, content):
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(ConfigError, match="spec.json is damaged.* Delete it and run the same command"):
        RunSpec.read(tmp_path / "spec.json")


def test_a_log_whose_end_is_garbage_is_continued_before_it(tmp_path):
    path = tmp_path / "train.jsonl"
    for end in (b"\x00" * 100, b"\xff\xfe", b"7\n", b'{"kimg": 1}\n', b'{"cur_nimg": 16, "lo'):
        path.write_bytes(b'{"cur_nimg": 8}\n' + end)
        log.rewind(path, 16)
        assert path.read_bytes() == b'{"cur_nimg": 8}\n'


class Tags(HTMLParser):
    """The elements of a page with the names of their attributes, and its scripts' content."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *sorted(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def structure(folder: Path, text: str) -> list[tuple]:
    """All elements of the leaderboard, and of its details, whose one row says `text` wherever it may say anything."""
    content = row(method_title=text, dataset=text, preset=text, backbone=text)
    content["provenance"] = {**content["provenance"], "device": text, "torch": text, "commit": text}
    (folder / "results.csv").write_bytes(to_csv([parse_row(content, "")]).encode())
    files = ["--results", folder / "results.csv", "--rows", folder / "rows", "--out", folder / "page" / "index.html"]
    page.main([*map(str, files), "--published", str(folder / "published.csv")])
    parsed = Tags((folder / "page" / "index.html").read_bytes().decode())
    found = parsed.tags
    for script in parsed.scripts:  # details are packed, and become elements when a row is opened
        try:
            packed = json.loads(gzip.decompress(base64.b64decode(script.strip(), validate=True)))
        except ValueError:
            continue
        for details in packed["details"].values():
            found = found + Tags(details).tags
    return found


EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 6))
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "<!--",
    "]]>",
    "\u2028",
]


def test_the_page_takes_every_string_as_text(tmp_path):
    (tmp_path / "rows").mkdir()
    published = (ROOT / "results/published/published.csv").read_text().splitlines()
    (tmp_path / "published.csv").write_text("\n".join(published[:2]) + "\n")
    plain = structure(tmp_path, "plain")
    assert ("script",) in {tag[:1] for tag in plain}
    assert structure(tmp_path, "".join(HOSTILE)) == plain

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip) | st.sampled_from(HOSTILE))
    def nothing_but_text_changes(text: str) -> None:
        assert structure(tmp_path, text) == plain

    nothing_but_text_changes()
