"""A run's identity covers every value it is trained with, in one form each, and nothing else."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leangan.core.errors import ConfigError
from leangan.core.spec import Labels, RunSpec
from leangan.core.yaml_files import parse_yaml, read
from leangan.models import biggan, stylegan2
from leangan.plugins import precision, registry
from leangan.plugins.backbone import LOOP_KEYS, Key
from leangan.runs.cells import cells
from leangan.runs.config import configured
from leangan.runs.grid import expand
from leangan.runs.presets import preset_at

GOLDEN = Path(__file__).with_name("run_ids.yaml")
PRESETS = {"stylegan2": "tiny", "biggan": "tiny-biggan"}
BACKBONES = {"stylegan2": stylegan2.Backbone, "biggan": biggan.Backbone}
KEYS = [(name, key) for name, cls in BACKBONES.items() for key in {**LOOP_KEYS, **cls.keys}]


def demo(**changes):
    return expand("demo", configured(**changes))


def key_of(backbone: str, name: str) -> Key:
    return {**LOOP_KEYS, **BACKBONES[backbone].keys}[name]


def of_preset(backbone: str, **keys) -> RunSpec:
    """A run whose preset states these keys, as texts that YAML reads."""
    stated = {name: parse_yaml(text) for name, text in keys.items()}
    preset = preset_at(PRESETS[backbone], 32, "a test", stated)
    return replace(demo()[0], backbone=preset.backbone, hyper=preset.hyper)


# ---- Every value is in it ----


def test_a_spec_has_every_key_and_every_argument():
    for spec in demo(methods=[name for name in registry.names("method") if name != "transfer"]):
        assert set(spec.hyper) == {*LOOP_KEYS, *BACKBONES[spec.backbone].keys}
        for name, args in spec.plugins:
            parameters = inspect.signature(registry.load("method", name)).parameters.values()
            assert list(args) == [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]


OTHERS = {
    int: (3, 5), float: (0.3, 0.5), float | None: (0.3, 0.5), bool: (True, False), str: ("one", "other"),
    list[int]: ([8], [9]), tuple[float, float]: ([0.0, 0.5], [0.0, 0.9]),
}  # fmt: skip


@pytest.mark.parametrize("backbone, name", KEYS)
def test_a_default_changed_in_the_code_is_another_run(monkeypatch, backbone, name):
    """Of every key, where the preset does not state it."""
    keys = LOOP_KEYS if name in LOOP_KEYS else BACKBONES[backbone].keys
    row = {key: value for key, value in read("config/presets.yaml")[PRESETS[backbone]].items() if key != name}
    spec = demo()[0]
    monkeypatch.setattr("leangan.runs.presets.presets", lambda: {"shown": row})
    digests = set()
    for default in OTHERS[keys[name].kind]:
        monkeypatch.setitem(keys, name, keys[name]._replace(default=default))
        if name == "half_type":  # the configuration states it; it counts where there are 16-bit resolutions
            row |= {"half_resolutions": 2, "half_type": default}
        preset = preset_at("shown", 32, "a test")
        digests.add(replace(spec, backbone=preset.backbone, hyper=preset.hyper).digest)
    assert len(digests) == 2


def test_a_default_changed_in_a_method_is_another_run(monkeypatch, make_spec):
    """Of every argument of every method whose default is a number."""
    changed = 0
    for name in registry.names("method"):
        plugin = registry.load("method", name)
        defaults = plugin.__init__.__defaults__ or ()
        for i, default in enumerate(defaults):
            if isinstance(default, bool) or not isinstance(default, int | float):
                continue
            before = make_spec(name, plugins=[(name, plugin.quick if name == "transfer" else {})]).digest
            with monkeypatch.context() as patch:
                patch.setattr(plugin.__init__, "__defaults__", (*defaults[:i], default + 1, *defaults[i + 1 :]))
                assert make_spec(name, plugins=[(name, {})]).digest != before, (name, i)
            changed += 1
    assert changed > 20


@pytest.mark.parametrize(
    "field, value",
    [
        ("images", 25), ("seed", 1), ("subset_seed", 1), ("subset_rule", "first"), ("validation_images", 10),
        ("total_kimg", 1.0), ("snapshot_kimg", 1.0), ("resolution", 32), ("dataset", "elpv"), ("conditional", True),
        ("backbone", "biggan"), ("tf32", True), ("plugins", [("da", {"p": 0.31})]), ("hyper", {"batch": 9}),
        ("revisions", {"da": 9}),
    ],
)  # fmt: skip
def test_every_field_is_part_of_the_digest_and_of_the_setting_but_for_the_seed(make_spec, field, value):
    spec = make_spec("da")
    other = replace(spec, **{field: value})
    assert other.digest != spec.digest
    assert (other.setting == spec.setting) == (field == "seed")


def test_a_parent_counts_by_its_own_values_and_its_seed_is_no_part_of_the_setting(make_spec):
    def child(seed=0, **parent):
        source = make_spec(seed=seed, **parent)
        return make_spec(plugins=[("transfer", {"run": source.run_id})], parent=source, seed=seed)

    first, longer, other_seed = child(), child(total_kimg=1.0), child(seed=1)
    assert len({first.digest, longer.digest, other_seed.digest}) == 3
    assert first.setting == other_seed.setting != longer.setting
    assert child(preset="another-name").digest == first.digest


# ---- One form for each value ----


def texts(kind: object) -> st.SearchStrategy[list[str]]:
    """Lists of YAML texts that mean one value of a type."""
    whole = st.integers(1, 10**6).map(lambda n: [str(n), f"{n}.0", f"{n}e0", f"{n}.0E+0", f"+{n}"])
    real = st.floats(1e-9, 1e9).map(lambda x: [repr(x), f"{x:.17e}", f"+{x!r}", f"{x:.17E}"])
    strategies = {
        int: whole,
        float: st.one_of(whole, real),
        float | None: st.one_of(whole, real, st.just(["null", "~", ""])),
        bool: st.sampled_from([["true", "True", "yes"], ["false", "False", "no"]]),
        list[int]: st.lists(whole, min_size=1, max_size=4).map(lists),
        tuple[float, float]: st.lists(st.one_of(whole, real), min_size=2, max_size=2).map(lists),
        str: st.sampled_from([["resnet", '"resnet"', "'resnet'"]]),
    }
    return strategies[kind]


def lists(entries: list[list[str]]) -> list[str]:
    return [f"[{', '.join(entry[i % len(entry)] for entry in entries)}]" for i in range(5)]


@pytest.mark.parametrize("backbone, name", KEYS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_spelling_of_a_value_is_no_part_of_the_digest(backbone, name, data):
    """Over all keys: 1, 1.0 and 1e0 where a float or an int is meant, null, flags, lists."""
    spellings = data.draw(texts(key_of(backbone, name).kind))
    if name == "half_type":
        spellings = ["float16", '"float16"']
    if name == "betas":
        spellings = ["[0, 0.99]", "[0.0, 9.9e-1]", "[0e0, .99]"]
    specs = [of_preset(backbone, **{name: text}) for text in spellings]
    assert len({spec.digest for spec in specs}) == 1, spellings
    assert len({spec.to_json() for spec in specs}) == 1
    assert RunSpec.from_fields(json.loads(specs[0].to_json())) == specs[0]


@pytest.mark.parametrize(
    "key, text, words",
    [
        ("batch", "64.5", "preset key batch is 64.5, must be int"),
        ("lr_g", "fast", "preset key lr_g is 'fast', must be float"),
        ("mirror", "1", "preset key mirror is 1, must be bool"),
        ("betas", "[0.9]", r"preset key betas is \[0.9\], must be tuple\[float, float\]"),
        ("r1_gamma", "null", "preset key r1_gamma is None, must be float"),
        ("r1_gamma", ".nan", "preset key r1_gamma is nan, must be float"),
    ],
)
def test_a_value_of_another_type_is_refused_by_key_and_preset(key, text, words):
    with pytest.raises(ConfigError, match=f"preset 'tiny' with {key} from the method's entry in .*: {words}"):
        of_preset("stylegan2", **{key: text})


def test_settings_that_train_the_same_are_one_run():
    none, nothing = of_preset("stylegan2", half_resolutions="0", half_type="float16"), of_preset("stylegan2")
    assert none.digest == nothing.digest and none.hyper["half_type"] == "none"
    assert of_preset("stylegan2", half_resolutions="4", half_type="none").digest == nothing.digest
    assert of_preset("stylegan2", half_resolutions="4", half_type="float16").digest != nothing.digest


@pytest.mark.parametrize("keys", [{"half_type": "float16"}, {"half_resolutions": "4", "half_type": "none"}])
def test_biggan_without_16_bits_is_the_run_that_it_was_without_these_keys(keys):
    plain = of_preset("biggan", **keys)
    assert plain.digest == of_preset("biggan").digest and not plain.hyper.keys() & precision.KEYS.keys()
    assert not biggan.Backbone(plain.hyper, 32, 3, 0).half, "what is left out means float32"
    types = [of_preset("biggan", half_resolutions="4", half_type=half) for half in precision.HALF_TYPES]
    assert len({plain.digest, *(spec.digest for spec in types)}) == 3
    assert all(set(biggan.Backbone(spec.hyper, 32, 3, 0).half) == {8, 16, 32} for spec in types)


def test_the_arithmetic_of_the_configuration_is_part_of_the_id_where_it_counts():
    def digests(**arithmetic):
        return [spec.digest for spec in demo(arithmetic={"tf32": False, "half": "bfloat16", **arithmetic})]

    assert digests() == digests(half="float16"), "tiny computes in 32 bits"
    assert not set(digests()) & set(digests(tf32=True))
    paper = configured(scale="paper")
    other = configured(scale="paper", arithmetic={"tf32": False, "half": "float16"})
    of_cifar = [{spec.digest for spec in expand("ada-fig11b-conditional", config)} for config in (paper, other)]
    assert not of_cifar[0] & of_cifar[1]


def test_numbers_are_one_where_no_type_says_which_is_meant(make_spec):
    spec = make_spec()
    ids = {replace(spec, plugins=[("mine", {"any": value})]).digest for value in (1, 1.0, [1], [1.0], True, "1", 1.5)}
    assert len(ids) == 5, "1 and 1.0, [1] and [1.0]; the others differ"


def test_where_the_networks_of_a_transfer_lie_is_no_part_of_it(make_spec):
    def start(file: str, digest: str, **parts) -> str:
        source = {"file": file, "sha256": digest * 64}
        return make_spec(plugins=[("transfer", dict.fromkeys(parts or {"G": 1}, source))]).digest

    assert start("a/G.safetensors", "a") == start("b/G.safetensors", "a") != start("a/G.safetensors", "b")
    assert start("a", "a", G=1) == start("a", "a", G_ema=1) == start("a", "a", G=1, G_ema=1) != start("a", "a", D=1)


# ---- Labels are not in it ----


def test_labels_do_not_change_the_id(make_spec):
    spec = make_spec("da")
    other = replace(spec, labels=Labels("my-preset", "my-name-for-da", "Mine", "arXiv:0000.00000: elsewhere", 1.0))
    assert other.digest == spec.digest and other.run_id == spec.run_id
    assert (other.labels.published_kimg, spec.labels.published_kimg) == (1.0, None)


def test_two_names_for_one_training_are_one_run_shown_under_both(monkeypatch):
    named = {**read("config/methods.yaml"), "my-ada": [{"ada": {"categories": "bgc"}}]}
    files = {"config/methods.yaml": named}
    monkeypatch.setattr("leangan.runs.methods.read", lambda path: files.get(path) or read(path))
    specs = [spec for spec in demo(methods=["my-ada"]) if spec.method in ("ada", "my-ada")]
    assert [spec.method for spec in specs] == ["ada", "my-ada"]
    assert specs[0].run_id == specs[1].run_id
    members = cells(configured(methods=["my-ada"]))["demo"]
    assert len({cell.spec.run_id for cell in members}) == 4 and len(members) == 5


def test_a_mended_citation_or_published_length_is_no_other_run(monkeypatch):
    before = demo()
    rows = dict(read("config/presets.yaml"))
    mended = {**rows["tiny-batch16"], "citation": "mended", "kimg": 300}
    monkeypatch.setattr("leangan.runs.presets.presets", lambda: {**rows, "tiny-batch16": mended})
    assert [spec.digest for spec in demo()] == [spec.digest for spec in before]
    assert {spec.labels.citation for spec in demo()} == {"mended"}


def test_the_run_id_names_data_set_size_backbone_plugins_and_seed():
    spec = next(spec for spec in demo(methods=["freeze-d-ada"]) if spec.method == "ada")
    assert spec.run_id == f"elpv-mono-{spec.images}/stylegan2-transfer-ada-s0-{spec.digest[:8]}"
    bcr = next(spec for spec in demo(methods=["ada-bcr"]) if spec.method == "ada-bcr")
    assert bcr.run_id == f"elpv-mono-32/stylegan2-transfer-ada-bcr-s0-{bcr.digest[:8]}"


# ---- The scheme ----


def test_ids_of_published_runs_are_those_of_the_golden_file():
    """A change of identity is a change of tests/core/run_ids.yaml, whose first lines say how it is written."""
    config = configured(scale="paper")
    found = {}
    for name, runs in yaml.safe_load(GOLDEN.read_text()).items():
        specs = {f"{s.dataset} {s.images} {s.preset} {s.method}": s for s in expand(name, config) if s.seed == 0}
        found[name] = {run: specs[run].run_id for run in runs}
    assert found == yaml.safe_load(GOLDEN.read_text())


def test_a_stored_spec_is_the_same_run(make_spec):
    spec = make_spec("ada")
    assert RunSpec.from_fields(json.loads(spec.to_json())) == spec


def test_a_spec_of_the_earlier_scheme_is_refused_in_one_sentence(make_spec, tmp_path):
    fields = json.loads(make_spec().to_json())
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"run": "a-1/b", **fields["trained"], "preset": "tiny", "method": "none"}))
    with pytest.raises(ConfigError, match="scheme 1; this version writes scheme 2.*Move that results tree away"):
        RunSpec.read(path)


def test_a_spec_whose_values_were_changed_is_refused(make_spec, tmp_path):
    fields = json.loads(make_spec().to_json())
    fields["trained"]["hyper"]["lr_g"] = 0.1
    (tmp_path / "spec.json").write_text(json.dumps(fields))
    with pytest.raises(ConfigError, match="spec.json is damaged.*its values have digest"):
        RunSpec.read(tmp_path / "spec.json")


# ---- Snapshots, grids, scales ----


def test_snapshots_lie_at_whole_batches_and_the_last_at_the_end(make_spec):
    spec = make_spec(total_kimg=1.0, snapshot_kimg=0.3, hyper={"batch": 32})
    assert spec.snapshot_nimgs() == [320, 608, 928, 1024]
    two_steps = make_spec(total_kimg=1.0, snapshot_kimg=0.5, hyper={"batch": 50, "d_steps": 4})
    assert two_steps.snapshot_nimgs() == [600, 1000]


def test_own_sets_sizes_and_methods_enter_the_grid():
    own = demo(datasets={"mine": {"path": "/x", "resolution": 64}}, images=[10, 20], methods=["diffaugment-ct"])
    assert {(s.dataset, s.resolution) for s in own} == {("mine", 64)}
    assert {s.images for s in own} == {10, 20}
    assert {s.method for s in own} == {s.method for s in demo()} | {"diffaugment-ct"}
    assert len({s.run_id for s in own}) == len(own)


@pytest.mark.parametrize("scale", read("config/scales.yaml"))
def test_every_scale_has_every_key(scale):
    assert set(read("config/scales.yaml")[scale]) == {"kimg", "snapshot_kimg", "tick_kimg", "fakes", "seeds", "papers"}
