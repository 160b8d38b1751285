"""Each of the 18 transforms on its own: gate, strength, derivatives, what it refuses, and what a GPU may not do."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode

from leangan import cli
from leangan.augment import diffaugment, pipeline
from leangan.augment.pipeline import Pipeline, flip_x, luma_flip, rotate90, show
from leangan.augment.pipeline.transforms import TRANSFORMS
from leangan.plugins.controller import Controller, ValidationController

# Share of images that an open gate leaves as they are: coins, and whole shifts of less than half a pixel.
UNCHANGED = {"flip_x": 1 / 2, "rotate90": 1 / 4, "luma_flip": 1 / 2, "translate_whole": (1 / 2) ** 2}
COLOR = {"brightness", "contrast", "luma_flip", "hue", "saturation"}


@pytest.fixture(params=TRANSFORMS, ids=lambda transform: transform.__name__)
def transform(request):
    return request.param


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(1000, 3, 8, 8) * 2 - 1


def changed(out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (out != x).flatten(1).any(1)


def test_there_are_eighteen():
    assert len(set(TRANSFORMS)) == 18


def test_picture_of_all_transforms(tmp_path):
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "gray.png")
    show.main([str(tmp_path / "gray.png"), "--size", "16", "--out", str(tmp_path / "sheet.png")])
    with Image.open(tmp_path / "sheet.png") as picture:
        assert min(picture.size) > 400 and len(picture.getcolors(2**20)) > 10


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["missing.png", "--out", "sheet.png"], "No such file.*missing.png"),
        (["text.png", "--out", "sheet.png"], "cannot identify image file"),
        (["--size", "0", "--out", "sheet.png"], "size is 0; 1 pixel or more"),
        (["--size", "8", "--out", "sheet.xyz"], "'xyz' is not supported.*png"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        cli.main(["pipeline", *arguments])
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]


@pytest.mark.parametrize("p", [0.0, 0.2, torch.tensor(0.7), 1.6])
def test_share_of_changed_images_follows_p(transform, p, images):
    torch.manual_seed(1)
    out = transform(images, p)
    share = min(float(p), 1) * (1 - UNCHANGED.get(transform.__name__, 0))
    assert stats.binomtest(int(changed(out, images).sum()), len(images), share).pvalue > 1e-3


def test_zero_strength_is_the_identity(transform, images):
    assert torch.equal(transform(images, 1.0, 0.0), images)


def test_strength_widens_the_law(transform):
    # Smooth images, so that distance grows with the parameter; of coins, more images change.
    wave = torch.cos(torch.arange(16) / 4).expand(600, 3, 16, 16) * torch.tensor([0.2, 0.5, 0.8])[:, None, None]
    means = []
    for strength in (0.2, 0.6, 1.0):
        torch.manual_seed(2)
        means.append((transform(wave, 1.0, strength) - wave).abs().mean())
    assert 0 <= means[0] < means[1] < means[2]


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 8, 8), (2, 3, 10, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_are_kept(transform, shape, dtype):
    x = torch.rand(shape, dtype=dtype)
    before = x.clone()
    out = transform(x)
    assert out.shape == x.shape and out.dtype == dtype and out.isfinite().all()
    assert torch.equal(x, before), "the images were changed in place"


def test_other_channel_counts_are_taken_or_refused(transform):
    x = torch.rand(2, 4, 8, 8)
    if transform.__name__ in COLOR:
        with pytest.raises(ValueError, match="4 channels.*1 or 3"):
            transform(x)
    else:
        assert transform(x).shape == x.shape


@pytest.mark.parametrize("wrong", [torch.zeros(3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), np.zeros((2, 3))])
def test_what_is_no_batch_of_images_is_refused(transform, wrong):
    for refusing in (transform, lambda x: Pipeline("bgcfnc")(x, 0.5)):
        with pytest.raises(ValueError, match=r"floating-point \[N, C, H, W\]"):
            refusing(wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_images_lose_nothing_but_the_last_rounding(transform, dtype):
    # 8 significant bits do not tell 300 columns apart, let alone places between them.
    torch.manual_seed(5)
    x = (torch.rand(8, 3, 12, 300) * 2 - 1).to(dtype)
    outs = []
    for images in (x, x.double().float()):
        torch.manual_seed(6)
        outs.append(transform(images))
    assert outs[0].dtype == dtype
    assert torch.equal(outs[0], outs[1].to(dtype))


def test_autocast_rounds_nothing(transform):
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    outs = []
    for enabled in (False, True):
        torch.manual_seed(7)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            outs.append(transform(x))
    assert torch.equal(*outs)


def test_each_image_may_have_a_probability_of_its_own(transform, images):
    torch.manual_seed(8)
    is_changed = changed(transform(images, torch.tensor([0.0, 1.0]).repeat(500)), images)
    assert not is_changed[::2].any()
    share = 1 - UNCHANGED.get(transform.__name__, 0)
    assert stats.binomtest(int(is_changed[1::2].sum()), 500, share).pvalue > 1e-3


def test_a_probability_of_another_shape_is_refused(transform, images):
    for shape in ((4, 1, 1, 1), (3,)):
        with pytest.raises(ValueError, match=re.escape(f"p has shape {shape}") + r".*\(1000,\)"):
            transform(images, torch.full(shape, 0.5))


@pytest.mark.parametrize("coin", [flip_x, rotate90, luma_flip])
def test_strength_of_a_coin_multiplies_its_probability_whatever_p(coin, images):
    torch.manual_seed(9)
    share = (1 - UNCHANGED[coin.__name__]) * 0.4
    assert stats.binomtest(int(changed(coin(images, 3.0, 0.4), images).sum()), len(images), share).pvalue > 1e-3


def test_no_images_are_no_images(transform):
    assert transform(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_derivatives_of_first_and_second_order(transform):
    torch.manual_seed(3)
    x = torch.rand(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)

    def fixed(x):
        torch.manual_seed(4)
        return transform(x)

    assert torch.autograd.gradcheck(fixed, x, fast_mode=True)
    # Squared: transforms are affine in x, whose second derivative alone would be zero.
    assert torch.autograd.gradgradcheck(lambda x: fixed(x).square(), x, fast_mode=True)


def test_one_images_numbers_do_not_depend_on_how_many_follow(transform):
    """Draws have the images first: of a larger batch, the first images are drawn alike if nothing else is drawn."""
    draws = []

    class Recorder(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if func in (torch.rand, torch.randn, torch.randint, torch.rand_like, torch.randn_like):
                draws.append(out.shape)
            return out

    with Recorder():
        transform(torch.rand(7, 3, 8, 8), 0.5)
    assert len(draws) > 1 and all(shape[0] == 7 for shape in draws)


def test_nothing_is_read_back_from_a_device(transform):
    # Tensors on the meta device have no contents; reading one back raises.
    x = torch.rand(4, 3, 16, 16, device="meta", requires_grad=True)
    out = transform(x, torch.full((), 0.5, device="meta"))
    (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    grad.square().sum().backward()
    assert out.device == x.grad.device == x.device


@pytest.fixture
def pretended_gpu():
    """A GPU that need not exist: its tensors have no contents either. Only the way back needs a real one."""

    def forget_constants():
        for module in [module for name, module in sys.modules.items() if name.startswith(pipeline.__name__)]:
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()

    forget_constants()
    with FakeTensorMode():
        yield torch.device("cuda")
    forget_constants()


@pytest.mark.parametrize(
    "whole", [Pipeline("bgcfnc"), Pipeline("blit"), lambda x, p: diffaugment.Method().transform(x, "real")]
)
def test_pipelines_read_nothing_back_from_a_gpu(whole, pretended_gpu):
    x = torch.rand(4, 3, 16, 16, device=pretended_gpu)
    assert whole(x, torch.full((), 0.5, device=pretended_gpu)).device == x.device


@pytest.mark.parametrize("controller", [Controller, ValidationController])
def test_controllers_read_nothing_back_from_a_gpu(controller, pretended_gpu):
    controller = controller(interval=1).to(pretended_gpu)
    logits = torch.rand(4, 1, device=pretended_gpu)
    controller.observe(logits, logits)
    controller.observe_validation(logits)
    assert controller.p.device == logits.device
