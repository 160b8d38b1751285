"""Speed of measuring, from generator to FID: ours beside torch-fidelity's and clean-fid's own code.

    python -m benchmarks.metrics --preset tiny --images 128 --threads 2
    python -m benchmarks.metrics --preset cifar --images 10240 --device cuda

All take the same fakes from the same generator and use the same weights, random ones in the official files' form
unless --inception-weights names a folder with the real ones. The number is timed on --n-fake vectors of features, with
the statistics of as many reals at hand. Prints a Markdown table; "end to end" is for --n-fake images, the last column
how much faster we are than that line. What fails of another package, as with a newer SciPy, is a cell that says so.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import cleanfid.fid
import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from torch import Tensor, nn
from torch_fidelity import GenerativeModelModuleWrapper, feature_extractor_inceptionv3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_generative_model

from benchmarks.setting import backbone_of, described, parser_of, positive, prepared
from benchmarks.stopwatch import synchronize
from leangan.core.errors import ConfigError, exit_on_user_error
from leangan.core.files import sha256
from leangan.metrics.base import Features
from leangan.metrics.extraction import default_batch, fake_features
from leangan.metrics.fakes import BLOCK, Fakes
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.loading import LoadedExtractor, load_extractor
from leangan.metrics.weights import CLEAN, FIDELITY
from leangan.plugins.pair import Generator
from leangan.runs.presets import preset_at

FEATURES = 2048
FIDELITY_BATCH = 64
CLEAN_BATCH = 32
"""Both packages' defaults."""


class Official(nn.Module):
    """The form of clean-fid's TorchScript file: a network with a part called `layers`."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def write_random_weights(folder: Path) -> None:
    """Both official files with random weights, of a size that lets features neither die out nor explode."""
    download = mock.patch.object(feature_extractor_inceptionv3, "load_state_dict_from_url")
    with download, mock.patch.object(nn.Module, "load_state_dict"):
        network = feature_extractor_inceptionv3.FeatureExtractorInceptionV3("random", ["2048"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data *= 6**0.5
    torch.save(network.state_dict(), folder / FIDELITY.name)
    layers = nn.Sequential(*(part for name, part in network.named_children() if name != "fc"), nn.Flatten()).eval()
    traced = torch.jit.trace(layers, torch.zeros(2, 3, 299, 299))
    torch.jit.script(Official(traced)).save(str(folder / CLEAN.name))


class InOrder(nn.Module):
    """A generator that hands out fakes in order, whatever latents it is given: uint8 [n, 3, H, W]."""

    def __init__(self, fakes: Fakes):
        super().__init__()
        self.blocks = fakes.blocks()

    def forward(self, z: Tensor) -> Tensor:
        return next(self.blocks)


class Pipeline(NamedTuple):
    """`features()` makes those of all fakes, `number` one number from features [N, FEATURES]."""

    features: Callable[[], object]
    number: Callable[[Tensor], object]


def ours(extractor: LoadedExtractor, G: Generator, images: int, real: Tensor, device: torch.device) -> Pipeline:
    distance = FrechetDistance(Features(real.to(device)))
    batch = default_batch(extractor, G.resolution, device)

    def features() -> object:
        return fake_features(extractor, Fakes(G, images, None, 0, device, BLOCK), batch, extractor.name)

    return Pipeline(features, lambda fake: distance(Features(fake.to(device))))


def torch_fidelity(folder: Path, G: Generator, images: int, real: Tensor, device: torch.device) -> Pipeline:
    cuda = device.type == "cuda"
    path = str(folder / FIDELITY.name)
    network = create_feature_extractor("inception-v3-compat", ["2048"], cuda=cuda, feature_extractor_weights_path=path)
    reference = fid_features_to_statistics(real)

    def features() -> object:
        fakes = InOrder(Fakes(G, images, None, 0, device, FIDELITY_BATCH))
        model = GenerativeModelModuleWrapper(fakes, G.z_dim, "normal", 0)
        return get_featuresdict_from_generative_model(model, network, images, FIDELITY_BATCH, cuda, 0, False)

    return Pipeline(features, lambda fake: fid_statistics_to_metric(fid_features_to_statistics(fake), reference, False))


def clean_fid(folder: Path, G: Generator, images: int, real: Tensor, device: torch.device) -> Pipeline:
    network = InceptionV3W(str(folder), download=False).to(device).eval()
    reference = real.numpy().mean(0), np.cov(real.numpy(), rowvar=False)

    def features() -> object:
        fakes = InOrder(Fakes(G, images, None, 0, device, CLEAN_BATCH))
        options = {"z_dim": G.z_dim, "num_gen": images, "batch_size": CLEAN_BATCH, "device": device, "verbose": False}
        return cleanfid.fid.get_model_features(fakes, network, **options)

    def number(fake: Tensor) -> object:
        return cleanfid.fid.frechet_distance(fake.numpy().mean(0), np.cov(fake.numpy(), rowvar=False), *reference)

    return Pipeline(features, number)


def seconds(step: Callable[[], object], device: torch.device) -> float:
    """How long `step` takes; on a CPU the time of the processor over its threads, so that other jobs do not count."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    synchronize(device)
    start = clock()
    step()
    synchronize(device)
    return (clock() - start) / (1 if device.type == "cuda" else torch.get_num_threads())


@contextmanager
def noted(faults: dict[str, str], part: str) -> Iterator[None]:
    """An error within ends it and becomes the fault of that part."""
    try:
        yield
    except Exception as error:
        faults[part] = f"failed: {type(error).__name__}: {error}".partition("\n")[0].replace("|", "/")


def compare(
    beside: str,
    theirs: Callable[[], Pipeline],
    own: Pipeline,
    images: int,
    fake: Tensor,
    repeats: int,
    device: torch.device,
) -> None:
    """Print two lines of the table; the two pipelines take turns, and the median of their times counts.

    What of theirs raises is a cell that says why.
    """
    both, faults = {"ours": own}, dict[str, str]()
    own.features()  # warm up
    with noted(faults, "features"):
        pipeline = theirs()
        pipeline.features()
        both[beside] = pipeline
    turns = [{name: seconds(p.features, device) for name, p in both.items()} for _ in range(repeats)]
    rates = {name: images / statistics.median(turn[name] for turn in turns) for name in both}
    numbers = {"ours": seconds(partial(own.number, fake), device)}
    if beside in both:
        with noted(faults, "number"):
            numbers[beside] = seconds(partial(both[beside].number, fake), device)
    whole = {name: len(fake) / (len(fake) / rates[name] + numbers[name]) for name in numbers}
    for name in ("ours", beside):
        cells = [
            f"{rates[name]:.4g}" if name in rates else faults["features"],
            f"{numbers[name]:.2f}" if name in numbers else faults.get("number", ""),
            f"{whole[name]:.4g}" if name in whole else "",
            f"{whole['ours'] / whole[name]:.2f}" if name in whole else "",
        ]
        print("| " + " | ".join([beside, name, *cells]) + " |", flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = parser_of("benchmarks.metrics", __doc__)
    parser.add_argument("--preset", default="tiny", help="a row of config/presets.yaml: the generator")
    parser.add_argument("--resolution", type=positive, default=32, help="pixels")
    parser.add_argument("--images", type=int, default=128, help="fakes that features are timed on, a multiple of 64")
    parser.add_argument("--n-fake", type=positive, default=10_000, help="fakes of a measurement")
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--inception-weights", type=Path, help="a folder with both official files")
    parser.add_argument("--channels-first", action="store_true", help="our network in the other layout as well")
    args = parser.parse_args(argv)
    if args.images < FIDELITY_BATCH or args.images % FIDELITY_BATCH:
        raise ConfigError(f"--images is {args.images}, must be a multiple of {FIDELITY_BATCH}, the larger batch")
    device = prepared(args)
    torch.manual_seed(0)
    preset = preset_at(args.preset, args.resolution, "--preset")
    G = backbone_of(preset, args.resolution).generator().eval().to(device)
    real, fake = torch.randn(2, args.n_fake, FEATURES).relu()

    print(f"{described(device, args)}; {args.preset}, {args.images} images, a number of {args.n_fake:,}\n")
    print("| beside | code | features, images/s | number, s | end to end, images/s | ours over it |")
    print("| --- | --- |" + " ---: |" * 4, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.inception_weights or Path(temporary)
        if args.inception_weights is None:
            write_random_weights(folder)
        fid, clean = (
            load_extractor(name, device, folder / file.name, sha256(folder / file.name))
            for name, file in (("inception_v3", FIDELITY), ("clean_inception", CLEAN))
        )
        common = G, args.images, real, device
        turns = args.images, fake, args.repeats, device
        compare("torch-fidelity", partial(torch_fidelity, folder, *common), ours(fid, *common), *turns)
        compare("clean-fid", partial(clean_fid, folder, *common), ours(clean, *common), *turns)
        if args.channels_first:
            first = load_extractor(fid.name, device, folder / FIDELITY.name, fid.sha256)
            first.network.to(memory_format=torch.contiguous_format)
            compare("channels first", partial(ours, first, *common), ours(fid, *common), *turns)
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
