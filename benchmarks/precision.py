"""What 16 bits and TF32 cost in accuracy: `python -m benchmarks.precision --backbone stylegan2 biggan`.

Relative L2 errors against float32 of what networks with random weights compute: images, logits, and the gradients by
all parameters of each loss and regulariser; the median of some draws of weights. A GPU computes in TF32 itself. On a
CPU the factors of convolutions and matrix products are rounded to TF32's 10 bits instead, which is what a GPU does, up
to the order of its sums.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.setting import backbone_of, described, parser_of, positive, prepared
from leangan.core.errors import ConfigError, exit_on_user_error
from leangan.plugins.backbone import Backbone
from leangan.plugins.precision import HALF_TYPES, half_precision
from leangan.runs.presets import preset_at

PRESETS = {"stylegan2": "paper256", "biggan": "biggan-cifar-16bit"}
"""The presets whose networks are measured; StyleGAN2 is narrowed to WIDTH maps."""

WIDTH, BATCH = 64, 8

MULTIPLYING = {
    getattr(torch.ops.aten, name).default for name in ("convolution", "convolution_backward", "mm", "bmm", "addmm")
}


def rounded(x: Tensor) -> Tensor:
    """float32 numbers rounded to the 10 bits of mantissa that TF32 has, half away from zero."""
    if x.dtype != torch.float32:
        return x
    dropped = 13
    return ((x.view(torch.int32) + (1 << (dropped - 1))) >> dropped << dropped).view(torch.float32)


class RoundedFactors(TorchDispatchMode):
    """Within it, convolutions and matrix products take factors in TF32 and add in float32."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in MULTIPLYING:
            args = tuple(rounded(arg) if isinstance(arg, Tensor) else arg for arg in args)
        return func(*args, **(kwargs or {}))


@contextmanager
def tf32(device: torch.device) -> Iterator[None]:
    """Within it, float32 factors are rounded as TF32 does: by the GPU, on a CPU by RoundedFactors."""
    if device.type != "cuda":
        with RoundedFactors():
            yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32 = cudnn.allow_tf32 = False


def networks(name: str, resolution: int) -> Backbone:
    """The backbone `name` with 16-bit layers at its highest resolutions, without noise inputs.

    Noise that is drawn in another type is other noise.
    """
    narrow = {"fmap_max": WIDTH, "style_mixing": 0.0, "noise_inputs": False} if name == "stylegan2" else {}
    return backbone_of(preset_at(PRESETS[name], resolution, "PRESETS", narrow), resolution)


def flat(gradients: tuple[Tensor | None, ...]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


def quantities(backbone: Backbone, G: nn.Module, D: nn.Module, z: Tensor, x: Tensor) -> dict[str, Tensor]:
    """What the networks compute from latents z and reals x, each as one vector."""

    def gradient(loss: Tensor, network: nn.Module) -> Tensor:
        return flat(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))

    found = {"images": G(z, None), "logits": D(x, None)}
    found["gradient of G's loss"] = gradient(backbone.g_loss(D(G(z, None), None)), G)
    found["gradient of D's loss"] = gradient(backbone.d_loss(D(x, None), D(G(z, None).detach(), None)), D)
    if backbone.d_reg_interval:
        at = x.clone().requires_grad_()
        found["gradient of R1"] = gradient(backbone.d_regularizer(at, D(at, None)), D)
    if backbone.g_reg_interval:
        found["gradient of the path length"] = gradient(backbone.g_regularizer(G, z, None), G)
    return {name: value.detach().flatten() for name, value in found.items()}


def errors(name: str, resolution: int, device: torch.device, draw: int) -> dict[str, dict[str, float]]:
    """By quantity, the relative L2 error of each type: "bfloat16", "float16" and "TF32"; `draw` seeds all weights."""
    torch.manual_seed(draw)
    backbone = networks(name, resolution)
    G, D = backbone.generator().to(device), backbone.discriminator().to(device)
    z, x = torch.randn(BATCH, G.z_dim), torch.rand(BATCH, 3, resolution, resolution) * 2 - 1
    z, x = z.to(device), x.to(device)

    def measured(kind: Callable[[], Any], dtype: torch.dtype) -> dict[str, Tensor]:
        # A step of power iteration in each pass, and the direction of the path length: the same ones for every type.
        states = [{key: value.clone() for key, value in network.state_dict().items()} for network in (G, D)]
        torch.manual_seed(1)
        with half_precision(dtype), kind():
            found = quantities(backbone, G, D, z, x)
        for network, state in zip((G, D), states, strict=True):
            network.load_state_dict(state)
        return found

    expected = measured(nullcontext, torch.float32)
    kinds = {half: measured(nullcontext, dtype) for half, dtype in HALF_TYPES.items()}
    kinds["TF32"] = measured(lambda: tf32(device), torch.float32)
    return {
        quantity: {kind: float((found[quantity] - true).norm() / true.norm()) for kind, found in kinds.items()}
        for quantity, true in expected.items()
    }


def main(argv: list[str] | None = None) -> int:
    parser = parser_of("benchmarks.precision", __doc__)
    parser.add_argument("--backbone", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--draws", type=positive, default=5, help="of weights, of which the median error counts")
    args = parser.parse_args(argv)
    # With AMX, oneDNN gets second derivatives of bfloat16 convolutions by their weights wrong.
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    if args.tf32:
        raise ConfigError("--tf32 is given, but the errors are against float32; TF32 has a column of its own")
    device = prepared(args)
    torch.backends.cudnn.benchmark = False  # every shape comes a few times only
    print(f"{described(device, args)}{'' if device.type == 'cuda' else '; TF32 emulated'}\n")
    print("| network | quantity | bfloat16 | float16 | TF32 |")
    print("| --- | --- | ---: | ---: | ---: |", flush=True)
    for name in args.backbone:
        resolution = 64 if name == "stylegan2" else 32
        # Features on the other side of a kink of ReLU make some errors large, hence the median.
        draws = [errors(name, resolution, device, draw) for draw in range(args.draws)]
        for quantity in draws[0]:
            of = {kind: median(draw[quantity][kind] for draw in draws) for kind in (*HALF_TYPES, "TF32")}
            cells = " | ".join(f"{100 * error:.2g} %" for error in of.values())
            print(f"| {name} | {quantity} | {cells} |", flush=True)
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
