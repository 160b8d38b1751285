from __future__ import annotations

import csv
import re

import pytest

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.results.published import read_published
from tests.helpers.papers import csv_text, number

PUBLISHED = ROOT / "results" / "published" / "published.csv"


def test_the_papers_numbers_fit_and_come_in_our_units():
    numbers = read_published(PUBLISHED)
    metfaces = [each for each in numbers if each.artefact == "Fig 11a" and each.family == "kid"]
    assert metfaces and all(abs(each.number * 1e3 - float(each.value)) < 1e-9 for each in metfaces)


def test_numbers_say_how_they_were_measured_as_the_words_beside_them_do():
    """Counts and references, read off the words of the two papers' protocols."""
    for each in read_published(PUBLISHED):
        if stated := re.match(r"(?:fid|is|kid)(\d+)k", each.protocol):
            assert each.fakes == 1000 * int(stated[1]), each
        if "test images" in each.protocol:
            assert each.reference == "test", each
        if "fid50k" in each.protocol:
            assert each.reference == "full", each


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("family", "fdi", ["line 3 of", "family", "'fdi'", "Did you mean 'fd'"]),
        ("value", "about 7", ["line 3 of", "value", "'about 7'"]),
        ("fakes", "many", ["line 3 of", "fakes", "'many'", "integer"]),
        ("reference", "tset", ["line 3 of", "reference", "'tset'", "Did you mean 'test'"]),
        ("verified", "perhaps", ["line 3 of", "verified", "'perhaps'", "no, yes"]),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, column, value, words):
    header, line = csv_text(number()).splitlines()
    cells = dict(zip(header.split(","), next(csv.reader([line])), strict=True))
    (tmp_path / "published.csv").write_text("\n".join([header, line, ",".join((cells | {column: value}).values())]))
    with pytest.raises(ConfigError) as error:
        read_published(tmp_path / "published.csv")
    assert all(word in str(error.value) for word in words), error.value


def test_a_missing_column_is_named(tmp_path):
    file = tmp_path / "published.csv"
    file.write_text("".join(line.rsplit(",", 1)[0] + "\n" for line in csv_text(number()).splitlines()))
    with pytest.raises(ConfigError, match="line 2 of .* lacks verified"):
        read_published(file)
