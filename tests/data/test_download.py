"""Downloads, from a server on this machine: whole and verified, or an error that says what to do by hand."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from leangan.core.errors import Reported
from leangan.data.contracts import DatasetError
from leangan.data.download import download, main
from leangan.data.known_sets import TABLE

CONTENT = b"images" * 1000


@pytest.fixture
def table(tmp_path):
    """A table with a set whose file the server has, with its checksum, with another one, and a set it lacks."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "fish.zip").write_bytes(CONTENT)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    md5 = hashlib.md5(CONTENT).hexdigest()
    path = tmp_path / "sources.csv"
    header = TABLE.read_text(encoding="utf-8").splitlines()[0]
    row = "images,resources/sources/fish.zip,{},{},,3,,,,,,CC0,fish.zip of the aquarium"
    rows = {"fish": (f"{address}/fish.zip", md5), "fsh": (f"{address}/fish.zip", "0" * 32)}
    rows |= {"gone": (f"{address}/gone.zip", md5), "free": (f"{address}/fish.zip", ""), "none": ("", "")}
    path.write_text("\n".join([header, *(f"{name},{row.format(*values)}" for name, values in rows.items())]))
    yield path
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["fish", "free"])
def test_a_file_arrives_whole_and_its_sha256_is_told(table, tmp_path, capsys, name):
    download(name, tmp_path / "in" / "fish.zip", table)
    assert (tmp_path / "in" / "fish.zip").read_bytes() == CONTENT
    assert hashlib.sha256(CONTENT).hexdigest() in capsys.readouterr().out
    assert [file.name for file in (tmp_path / "in").iterdir()] == ["fish.zip"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fsh", "gave another file than the one with MD5 0000.*; fetch it by other means and put it at .*fish.zip"),
        ("gone", "cannot download http://127.0.0.1.*gone.zip .*404.*; fetch it by other means"),
    ],
)
def test_what_cannot_be_had_leaves_nothing_and_says_what_to_do(table, tmp_path, name, words):
    with pytest.raises(DatasetError, match=f"^{name}: .*{words}"):
        download(name, tmp_path / "in" / "fish.zip", table)
    assert list((tmp_path / "in").iterdir()) == []


def test_no_network_and_sets_without_an_address_are_one_line(table, tmp_path, monkeypatch):
    def unreachable(*arguments, **options):
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(DatasetError, match="fish: cannot download .*timed out"):
        download("fish", tmp_path / "fish.zip", table)
    with pytest.raises(Reported, match="ffhq: is not downloaded [^\n]*Needed: FFHQ[^\n]*$"):
        main(["--dataset", "ffhq", "--out", str(tmp_path / "x")])
    with pytest.raises(Reported, match="unknown data set 'cifar1'[^\n]*$"):
        main(["--dataset", "cifar1", "--out", str(tmp_path / "x")])
