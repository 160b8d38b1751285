"""A raised revision makes other runs of those that have the part and of no others; what is stored stays as it was."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.plugins import registry
from leangan.plugins.revisions import in_words, other_revisions, revisions_of
from leangan.results.collect import collect, row_files
from leangan.runs.config import configured
from leangan.runs.grid import expand
from leangan.training.run import read_run

TRACKED = ROOT / "results" / "hours" / "rows"
METHODS = ["lecam", "bcr", "ada-bcr", "freeze-d-ada"]


def runs() -> dict[str, RunSpec]:
    """The runs of the demo and some compositions, by method."""
    return {spec.method: spec for spec in expand("demo", configured(methods=METHODS))}


def raise_revision(monkeypatch, kind: str, name: str) -> int:
    cls = registry.require(kind, name)
    monkeypatch.setattr(cls, "revision", cls.revision + 1)
    return cls.revision


@pytest.mark.parametrize("name", ["none", "lecam", "bcr", "ada", "freeze_d", "transfer"])
def test_a_raised_revision_of_a_method_is_another_run_wherever_it_is_a_part(monkeypatch, name):
    before = runs()
    revision = raise_revision(monkeypatch, "method", name)
    after = runs()
    parts = {method: name in dict(spec.plugins) for method, spec in before.items()}
    assert any(parts.values())
    for method, has_it in parts.items():
        assert (after[method].digest != before[method].digest) == has_it, method
        assert (after[method].setting != before[method].setting) == has_it, method
        assert json.loads(after[method].to_json())["trained"].get("revisions", {}).get(name) == (
            revision if has_it else before[method].revisions.get(name)
        )


def test_a_raised_revision_of_a_backbone_is_another_run_of_every_method(monkeypatch):
    before = {spec.run_id for spec in runs().values()}
    raise_revision(monkeypatch, "backbone", "biggan")
    assert {spec.run_id for spec in runs().values()} == before
    raise_revision(monkeypatch, "backbone", "stylegan2")
    assert all(spec.revisions["stylegan2"] == 1 for spec in runs().values())
    assert not {spec.run_id for spec in runs().values()} & before


def test_a_parent_counts_with_its_own_revision(make_spec):
    def child(**revisions):
        parent = make_spec("da", revisions=revisions)
        return make_spec(plugins=[("transfer", {"run": "a/parent"})], parent=parent)

    first, second = child(da=1), child(da=2)
    assert first.revisions == second.revisions == {}
    assert first.digest != second.digest and first.setting != second.setting


def test_a_method_of_ones_own_states_its_revision_or_has_that_of_the_method_it_derives_from(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDERS, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "derived.py").write_text(
        "from leangan.augment import ada\nclass Method(ada.Method): title = 'Derived'\n"
    )
    (tmp_path / "changed.py").write_text(
        "from leangan.plugins import method\nclass Method(method.Method):\n    title, revision = 'Changed', 7\n"
    )
    registry.search([str(tmp_path)])
    try:
        monkeypatch.setattr(registry.require("method", "ada"), "revision", 3)
        found = {spec.method: spec for spec in expand("demo", configured(methods=["derived", "changed"]))}
        assert (found["derived"].revisions, found["changed"].revisions) == ({"derived": 3}, {"changed": 7})
        stored = found["changed"]
    finally:
        monkeypatch.undo()
        registry.forget()
    assert "changed" not in registry.names("method") and other_revisions(stored) == {}, "no one knows its revision"


def test_what_cannot_be_used_has_no_revision(monkeypatch):
    broken = registry.FailedImport("da", "it is broken", "")
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name, *where: broken if name == "da" else load(kind, name))
    assert revisions_of("stylegan2", [("da", {}), ("none", {})]) == {}


@pytest.mark.parametrize("kind, name", [("method", "lecam"), ("backbone", "stylegan2")])
@pytest.mark.parametrize("revision", ["1", 1.0, True, -1, None])
def test_a_revision_that_is_no_number_from_0_up_is_refused(monkeypatch, kind, name, revision):
    monkeypatch.setattr(registry.require(kind, name), "revision", revision)
    registry.forget()
    try:
        reason = registry.load(kind, name).reason
    finally:
        monkeypatch.undo()
        registry.forget()
    assert f": revision is {revision!r}, must be a whole number, 0 or more" in reason


# ---- What is stored ----


def test_without_revisions_a_spec_has_the_digest_and_the_text_of_earlier_versions(make_spec):
    """The digest is written out here as those versions made it."""
    spec = make_spec("lecam", revisions={})
    trained = {"scheme": 2, **json.loads(spec.to_json())["trained"]}
    assert "revisions" not in trained and trained["parent"] is None
    whole = json.loads(
        json.dumps(trained), parse_float=lambda text: int(float(text)) if float(text) % 1 == 0 else float(text)
    )
    assert hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest() == spec.digest
    assert RunSpec.from_fields(json.loads(spec.to_json())) == spec


@pytest.mark.parametrize(
    "revisions",
    [{"lecam": 1}, {"stylegan": 1}, {"da": 0}, {"da": -1}, {"da": "1"}, {"da": 1.0}, {"da": True}, {"da": None},
     ["da"], "da", None, 1],
)  # fmt: skip
def test_revisions_of_no_part_and_no_whole_numbers_are_damage(make_spec, tmp_path, revisions):
    """Also where no digest contradicts them."""
    fields = json.loads(make_spec("da", revisions={}).to_json())
    fields["trained"]["revisions"] = revisions
    path = tmp_path / "spec.json"
    for content in (fields, {key: value for key, value in fields.items() if key != "digest"}):
        path.write_text(json.dumps(content))
        with pytest.raises(ConfigError, match="spec.json is damaged: no spec"):
            RunSpec.read(path)


def test_a_spec_with_revisions_is_the_same_run_when_it_is_read(make_spec, tmp_path):
    spec = make_spec("ada", revisions={"ada": 3, "stylegan2": 2})
    (tmp_path / "spec.json").write_text(spec.to_json())
    assert RunSpec.read(tmp_path / "spec.json") == spec


def test_the_tracked_rows_of_earlier_revisions_still_read():
    """Their specs state ids and digests of their own, their rows settings: all are compared."""
    files = row_files(TRACKED)
    assert len(collect([TRACKED])) == sum(len(file.read_text().splitlines()) for file in files)
    specs = [RunSpec.read(file.parent / "spec.json") for file in files]
    assert [spec.run_id for spec in specs] == ["/".join(file.parts[-3:-1]) for file in files]
    assert {method for spec in specs for method, _ in spec.plugins} >= {"none", "diffaugment"}


def test_the_spec_of_another_revision_is_not_trained(make_spec, tmp_path, monkeypatch):
    monkeypatch.setattr(registry.require("method", "da"), "revision", 3)
    path = tmp_path / "spec.json"
    path.write_text(make_spec("da", revisions={"da": 2}).to_json())
    with pytest.raises(ConfigError, match="spec.json is of revision 2 of da, now 3: this code would train another run"):
        read_run(path)
    path.write_text(make_spec("da").to_json())
    assert read_run(path).revisions == {"da": 3}


def test_other_revisions_are_said_in_words(make_spec, monkeypatch):
    monkeypatch.setattr(registry.require("method", "da"), "revision", 3)
    monkeypatch.setattr(registry.require("backbone", "stylegan2"), "revision", 1)
    parent = make_spec("da", revisions={})
    child = make_spec(plugins=[("transfer", {"run": "a/parent"})], parent=parent, revisions={"stylegan2": 1})
    assert other_revisions(child) == {}, "a parent is trained already"
    words = in_words(other_revisions(child, *child.ancestors()))
    assert words == "revision 0 of stylegan2, now 1; revision 0 of da, now 3"
