"""The artefacts of both papers: runs counted and set up as published, each trained once, the papers' numbers beside."""

import csv
from collections import defaultdict

import pytest

from leangan.artefacts.columns import SETTING_KEYS
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.data.known_sets import find_test_split, is_amplified, known_sets
from leangan.data.subset import PUBLISHED
from leangan.metrics.families import known_families
from leangan.metrics.protocols import read_protocol
from leangan.results.metric_names import Metric
from leangan.results.published import find_published, read_published
from leangan.runs.cells import cells
from leangan.runs.config import artefact, artefact_names, configured
from leangan.runs.grid import expand
from leangan.runs.presets import preset_at

PAPERS = [name for name in artefact_names() if name.startswith(("ada-", "diffaugment-"))]
CONFIG = configured(scale="paper", artefacts=PAPERS)
SEEDS = 3


@pytest.fixture(scope="module")
def runs() -> dict[str, list[RunSpec]]:
    return {name: expand(name, CONFIG) for name in PAPERS}


@pytest.fixture(scope="module")
def table():
    return read_published(ROOT / "results/published/published.csv")


def test_all_expand_and_none_is_refused():
    planned = cells(CONFIG)
    assert set(planned) == set(PAPERS)
    assert not {(cell.spec.run_id, cell.refused) for members in planned.values() for cell in members if cell.refused}


@pytest.mark.parametrize(
    "name, count",
    [
        ("ada-fig1", 7),
        ("ada-fig4", 3 * (1 + 6 * 5)),  # sizes x (baseline + categories x strengths)
        ("ada-fig5", 3 * (1 + 4 + 5) + 2 * 5),  # sizes x (baseline + fixed strengths + targets of r_t), those of r_v
        ("ada-fig3", 1 + 3 * 6),  # baseline + augmentations x strengths
        ("ada-fig6", 2 * 7),
        ("ada-fig7", 2 * 6 * 4),  # 36 printed numbers, and 12 points of bCR
        ("ada-fig8a", 27),
        ("ada-fig8b", 3 * 4),
        ("ada-fig9", 5 * (2 + 4)),
        ("ada-fig11a", 5 * 2),
        ("ada-fig11a-transfer", 5 * 2),
        ("ada-fig11b-conditional", 3),
        ("ada-fig11b-unconditional", 3),
        ("diffaugment-table1", 8),
        ("diffaugment-table2", 6),
        ("diffaugment-table3", 2 * (5 + 4)),
        ("diffaugment-table4-biggan", 12),
        ("diffaugment-table4-cr-biggan", 12),
        ("diffaugment-table4-stylegan2", 12),
        ("diffaugment-table5", 10),
        ("diffaugment-100-shot", 4 * 2),
        ("diffaugment-50k-stylegan2", 2),
        ("diffaugment-50k-biggan", 2),
        ("diffaugment-table5-transfer", 30),
        ("diffaugment-table6-biggan", 3 * 8),
        ("diffaugment-table6-stylegan2", 3 * 8),
        ("diffaugment-fig8-width", 3 * 4 * 2),
        ("diffaugment-fig8-r1", 7 + 2 * 12),
    ],
)
def test_each_has_the_runs_of_the_paper(runs, name: str, count: int):
    cells = {tuple(getattr(spec, key) for key in [*SETTING_KEYS, "method", "seed"]) for spec in runs[name]}
    assert len(cells) == len(runs[name]) == SEEDS * count


def test_no_artefact_is_left_uncounted():
    (counts,) = test_each_has_the_runs_of_the_paper.pytestmark
    assert {name for name, _ in counts.args[1]} == set(PAPERS)


def test_what_two_artefacts_train_alike_is_one_run(runs):
    """Runs of one method and seed that differ in nothing but labels; sources of transfer count, too."""
    ids = defaultdict(set)
    for spec in [spec for specs in runs.values() for spec in specs]:
        for run in filter(None, (spec, spec.parent)):
            ids[run.digest].add(run.run_id)
    assert all(len(same) == 1 for same in ids.values())


@pytest.mark.parametrize(
    "inner, outer, shared",
    [
        ("ada-fig1", "ada-fig7", 6),
        ("ada-fig1", "ada-fig8a", 3),
        ("ada-fig6", "ada-fig7", 12),
        ("ada-fig6", "ada-fig1", 7),
        ("ada-fig8b", "ada-fig8a", 3),
        ("ada-fig4", "ada-fig8a", 3),
        ("ada-fig5", "ada-fig8a", 6),
        ("ada-fig9", "ada-fig7", 8),
        ("diffaugment-table1", "diffaugment-table4-biggan", 2),
        ("diffaugment-50k-stylegan2", "diffaugment-table4-stylegan2", 2),
        ("diffaugment-50k-biggan", "diffaugment-table4-biggan", 2),
        ("diffaugment-table6-biggan", "diffaugment-table4-biggan", 6),
        ("diffaugment-table6-stylegan2", "diffaugment-table4-stylegan2", 6),
        ("diffaugment-fig8-width", "diffaugment-table4-biggan", 6),
        ("diffaugment-fig8-r1", "diffaugment-table4-stylegan2", 6),
    ],
)
def test_artefacts_share_runs(runs, inner: str, outer: str, shared: int):
    assert len({spec.run_id for spec in runs[inner]} & {spec.run_id for spec in runs[outer]}) == SEEDS * shared


def test_transfer_starts_from_runs_of_the_published_kind(runs):
    of_table3 = {spec.run_id for spec in runs["diffaugment-table3"] if (spec.images, spec.method) == (70000, "none")}
    assert {spec.parent.run_id for spec in runs["diffaugment-table5-transfer"]} == of_table3
    sources = [spec.parent for spec in runs["ada-fig9"] if spec.parent]
    assert {(run.dataset, run.images, run.total_kimg, run.hyper["mirror"]) for run in sources} == {
        ("celeba-hq", 30000, 100000, True)
    }
    assert {dict(run.plugins)["ada"]["target"] for run in sources} == {0.5}
    for spec in [*runs["ada-fig9"], *runs["ada-fig11a-transfer"], *runs["diffaugment-table5-transfer"]]:
        for key in ("fmap_base", "fmap_max", "mapping_layers", "d_architecture", "z_dim", "w_dim"):
            assert spec.parent is None or spec.parent.hyper[key] == spec.hyper[key]


def test_subsets_are_the_published_ones(runs):
    """Rule, seed and held-out images, where the papers have a list: data/subsets.csv."""
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        keys = ("dataset", "size", "rule", "seed", "validation")
        known = {tuple(row[key] for key in keys) for row in csv.DictReader(file)}
    listed_sizes = {(dataset, size) for dataset, size, *_ in known}
    for name, specs in runs.items():
        for spec in specs:
            dataset, size = spec.dataset.removesuffix("-full"), str(spec.images)
            chosen = dataset, size, spec.subset_rule, str(spec.subset_seed), str(spec.validation_images)
            all_images = spec.images == known_sets()[dataset].count
            # StyleGAN2's images of CIFAR are the first, of which there is no list.
            of_cifar = dataset.startswith("cifar") and spec.subset_rule == "first"
            assert (dataset, size) not in listed_sizes or chosen in known or all_images or of_cifar, (name, chosen)
            assert (dataset, size) in listed_sizes or all_images or dataset == "imagenet", (name, chosen)


def test_sets_have_as_many_images_and_the_split_that_the_protocol_asks_for(runs):
    for name, specs in runs.items():
        for dataset, images in {(spec.dataset, spec.images) for spec in specs}:
            count = known_sets()[dataset].count
            assert count is None or images <= count or is_amplified(dataset, images)
            if read_protocol(artefact(name).protocol).reference == "test":
                assert known_sets()[find_test_split(dataset)].count in (10000, 50000)


def test_lengths_presets_and_learning_rates_as_published(runs):
    """protocols of arXiv:2006.10738: 250,000, 125,000 and 500,000 G steps of 4 x 50 images; D's rate on ImageNet."""
    lengths = {(spec.dataset, spec.images): spec.total_kimg for spec in runs["diffaugment-table4-biggan"]}
    assert lengths == {
        ("cifar10", 50000): 50000, ("cifar10", 10000): 50000, ("cifar10", 5000): 25000,
        ("cifar100", 50000): 100000, ("cifar100", 10000): 50000, ("cifar100", 5000): 25000,
    }  # fmt: skip
    cr = {(spec.dataset, spec.images): spec.total_kimg for spec in runs["diffaugment-table4-cr-biggan"]}
    assert cr == lengths
    rates = {(spec.images, spec.method): spec.hyper["lr_d"] for spec in runs["diffaugment-table2"]}
    assert rates == {
        (1281167, "none"): 5e-4, (640583, "none"): 5e-4, (320291, "none"): 5e-4,
        (1281167, "diffaugment-t"): 4e-4, (640583, "diffaugment-t"): 2e-4, (320291, "diffaugment-t"): 2e-4,
    }  # fmt: skip
    few = {spec.dataset: spec.total_kimg for spec in runs["diffaugment-table5"]}
    assert set(few.values()) == {300, 500} and few["animalface-dog"] == 500
    # G's 4,000 steps of BigGAN, 50 ticks of ADA, 10 of them where it transfers.
    distances = {name: {spec.snapshot_kimg for spec in runs[name]} for name in runs}
    assert distances["diffaugment-table4-biggan"] == {800} and distances["ada-fig7"] == {200}
    assert distances["ada-fig11a-transfer"] == {40} and distances["ada-fig9"] == {40, 200}


def test_policies_of_table_4(runs):
    policies = {
        (spec.images, spec.backbone, dict(spec.plugins)["diffaugment"]["policy"])
        for name in ("biggan", "cr-biggan", "stylegan2")
        for spec in runs[f"diffaugment-table4-{name}"]
        if "diffaugment" in dict(spec.plugins)
    }
    assert policies == {
        (50000, "stylegan2", "color,cutout"),
        (10000, "stylegan2", "color,translation,cutout"), (5000, "stylegan2", "color,translation,cutout"),
        (50000, "biggan", "translation,cutout"), (50000, "biggan", "cutout"),
        (10000, "biggan", "translation,cutout"), (5000, "biggan", "translation,cutout"),
    }  # fmt: skip


def test_tuning_makes_the_preset_cifar(runs):
    tuned = next(spec for spec in runs["ada-fig11b-conditional"] if spec.method == "ada-tuned")
    wanted = preset_at("cifar", 32, "this test")
    assert tuned.hyper == wanted.hyper and tuned.preset == "cifarbaseline"
    assert tuned.conditional and tuned.total_kimg == wanted.kimg


def beside(name: str, specs: list[RunSpec], table) -> dict[tuple, float]:
    """The published numbers that the artefact's table shows, by (metric, dataset, images, method)."""
    content = artefact(name)
    protocol, part = read_protocol(content.protocol), content.layout.published
    numbers = {}
    for family in content.layout.metrics:
        metric = Metric(family, protocol.fakes, protocol.reference, protocol.extractor)
        for spec in specs:
            setting = {key: getattr(spec, key) for key in SETTING_KEYS}
            line = find_published(part, table, setting, spec.method, metric, proxy=False)
            if line is not None:
                key = family, spec.dataset, spec.images, spec.method
                numbers[key] = line.number * known_families()[family].scale
    return numbers


@pytest.mark.parametrize(
    "name, count, some",
    [
        ("ada-fig7", 36, {("fid", "ffhq", 1000, "none"): 100.16, ("fid", "lsun-cat", 200000, "ada-bcr"): 9.03}),
        ("ada-fig8a", 27, {("fid", "ffhq", 140000, "wgan-gp"): 6.54, ("fid", "ffhq", 2000, "pagan"): 56.49}),
        ("ada-fig11a", 20, {("fid", "metfaces", 1336, "none"): 57.26, ("kid", "afhq-wild", 4738, "ada"): 0.45}),
        ("ada-fig11b-conditional", 6, {("fid", "cifar10", 50000, "ada-tuned"): 2.42}),
        ("ada-fig11b-unconditional", 6, {("is", "cifar10", 50000, "ada"): 10.02}),
        ("diffaugment-table1", 8, {("fid", "cifar10", 50000, "diffaugment-reals"): 49.38}),
        ("diffaugment-table2", 12, {("is_unsplit", "imagenet", 1281167, "diffaugment-t"): 100.8}),
        ("diffaugment-table3", 18, {("fid", "lsun-cat-full", 1000, "none"): 182.85}),
        ("diffaugment-table4-biggan", 24, {("fid", "cifar100", 5000, "diffaugment-tc"): 33.7}),
        ("diffaugment-table4-cr-biggan", 24, {("is", "cifar10", 5000, "cr-diffaugment-limited"): 8.49}),
        ("diffaugment-table4-stylegan2", 24, {("fid", "cifar10", 50000, "diffaugment-ct"): 9.89}),
        ("diffaugment-50k-stylegan2", 2, {("fid", "cifar10", 50000, "diffaugment-ct"): 5.79}),
        ("diffaugment-50k-biggan", 1, {("fid", "cifar10", 50000, "diffaugment-tc"): 4.61}),
        ("diffaugment-table5", 10, {("fid", "100-shot-obama", 100, "diffaugment"): 46.87}),
        ("diffaugment-table5-transfer", 30, {("fid", "animalface-dog", 389, "freeze-d"): 70.46}),
    ],
)
def test_published_numbers_stand_beside_every_cell_that_has_one(runs, table, name: str, count: int, some: dict):
    numbers = beside(name, [spec for spec in runs[name] if spec.seed == 0], table)
    assert len(numbers) == count
    for key, value in some.items():
        assert numbers[key] == pytest.approx(value)


def test_every_artefact_with_published_numbers_is_looked_up():
    (cases,) = test_published_numbers_stand_beside_every_cell_that_has_one.pytestmark
    assert {case[0] for case in cases.args[1]} == {name for name in PAPERS if artefact(name).layout.published}
