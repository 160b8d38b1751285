from __future__ import annotations

import pytest

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.results.published import read_published

PUBLISHED = ROOT / "results" / "published" / "published.csv"
HEADER = "paper,artefact,dataset,train_images,model,method,conditional,metric,protocol,value,spread,source,verified\n"
LINE = "P,Table 1,toy,128,StyleGAN2,plain,no,{metric},fid10k,{value},,here,{verified}\n"


def test_the_papers_numbers_fit_their_schema_and_come_in_our_units():
    table = read_published(PUBLISHED)
    assert table["number"].notna().all()
    metfaces = table[(table["artefact"] == "Fig 11a") & (table["metric"] == "KID x1e3")]
    assert len(metfaces) and (metfaces["number"] * 1e3 - metfaces["value"].astype(float)).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"metric": "FDI"}, ["line 3 of", "metric", "'FDI'", "Did you mean 'FID'"]),
        ({"value": "about 7"}, ["line 3 of", "value", "'about 7'"]),
        ({"verified": "perhaps"}, ["line 3 of", "verified", "'perhaps'", "no, yes"]),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, wrong, words):
    right = {"metric": "FID", "value": "12.5", "verified": "yes"}
    file = tmp_path / "published.csv"
    file.write_text(HEADER + LINE.format(**right) + LINE.format(**{**right, **wrong}))
    with pytest.raises(ConfigError) as error:
        read_published(file)
    assert all(word in str(error.value) for word in words), error.value


def test_a_missing_column_is_named(tmp_path):
    file = tmp_path / "published.csv"
    file.write_text(HEADER.replace(",verified", "") + "P,Table 1,toy,128,StyleGAN2,plain,no,FID,fid10k,1.5,,here\n")
    with pytest.raises(ConfigError, match="line 2 of .* lacks verified"):
        read_published(file)
