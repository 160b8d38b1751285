"""Files in the formats of the published networks, with random weights, and images computed from the same weights.

The classes named in the files exist only while a file is written. The images follow the equations of
arXiv:1912.04958 sample by sample in float64: explicit modulated and demodulated kernels, zeros between pixels.
"""

from __future__ import annotations

import math
import pickle
import sys
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

RESOLUTION, CHANNELS, Z_DIM, W_DIM = 16, 3, 10, 6
MAPS = {4: 12, 8: 8, 16: 4}
SIZES = tuple(MAPS)
LR_MULTIPLIER = 0.01
RNG = np.random.default_rng(0)


# ---- Weights, named and laid out as in the two formats ----


def draw(*shape: int) -> np.ndarray:
    """Standard normal float32, different at every call."""
    return np.asarray(RNG.standard_normal(shape), dtype=np.float32)


def dense_tf(name: str, inputs: int, outputs: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return {f"{name}/weight": draw(inputs, outputs) * scale, f"{name}/bias": draw(outputs) * scale}


def mapping_tf(classes: int, layers: int) -> dict[str, np.ndarray]:
    variables = dense_tf("LabelEmbed", classes, W_DIM) if classes else {}
    width = Z_DIM + (W_DIM if classes else 0)
    for index in range(layers):
        variables |= dense_tf(f"Dense{index}", width, W_DIM, 1 / LR_MULTIPLIER)
        width = W_DIM
    return variables


def synthesis_tf() -> dict[str, np.ndarray]:
    variables = {"4x4/Const/const": draw(1, MAPS[4], 4, 4), "noise0": draw(1, 1, 4, 4)}
    for index, size in enumerate(SIZES):
        maps, before = MAPS[size], MAPS[max(size // 2, 4)]
        convs = {"Conv": maps} if size == 4 else {"Conv0_up": before, "Conv1": maps}
        for name, inputs in {**convs, "ToRGB": maps}.items():
            rgb = name == "ToRGB"
            outputs, kernel, place = (CHANNELS if rgb else maps), (1 if rgb else 3), f"{size}x{size}/{name}"
            variables[f"{place}/weight"] = draw(kernel, kernel, inputs, outputs)
            variables[f"{place}/bias"] = draw(outputs)
            variables[f"{place}/mod_weight"] = draw(W_DIM, inputs)
            variables[f"{place}/mod_bias"] = draw(inputs)
            if not rgb:
                variables[f"{place}/noise_strength"] = np.float32(draw())
        if index:
            variables[f"noise{2 * index - 1}"] = draw(1, 1, size, size)
            variables[f"noise{2 * index}"] = draw(1, 1, size, size)
    return variables


def discriminator_tf(classes: int, residual: bool) -> dict[str, np.ndarray]:
    top = f"{RESOLUTION}x{RESOLUTION}/FromRGB"
    variables = {f"{top}/weight": draw(1, 1, CHANNELS, MAPS[RESOLUTION]), f"{top}/bias": draw(MAPS[RESOLUTION])}
    for size in SIZES[:0:-1]:
        inputs, outputs = MAPS[size], MAPS[size // 2]
        for name, width in {"Conv0": inputs, "Conv1_down": outputs}.items():
            variables[f"{size}x{size}/{name}/weight"] = draw(3, 3, inputs, width)
            variables[f"{size}x{size}/{name}/bias"] = draw(width)
        if residual:
            variables[f"{size}x{size}/Skip/weight"] = draw(1, 1, inputs, outputs)
    variables |= {"4x4/Conv/weight": draw(3, 3, MAPS[4] + 1, MAPS[4]), "4x4/Conv/bias": draw(MAPS[4])}
    variables |= dense_tf("4x4/Dense0", MAPS[4] * 16, MAPS[4])
    variables |= dense_tf("Output", MAPS[4], W_DIM if classes else 1)
    return variables | (dense_tf("LabelEmbed", classes, W_DIM) if classes else {})


def generator_torch(classes: int, layers: int) -> dict[str, np.ndarray]:
    """The names and layouts of the PyTorch release, with the low-pass buffers it keeps."""
    tensors = {"mapping.w_avg": draw(W_DIM), "synthesis.b4.const": draw(MAPS[4], 4, 4)}
    if classes:
        tensors |= {"mapping.embed.weight": draw(W_DIM, classes), "mapping.embed.bias": draw(W_DIM)}
    width = Z_DIM + (W_DIM if classes else 0)
    for index in range(layers):
        tensors[f"mapping.fc{index}.weight"] = draw(W_DIM, width) / LR_MULTIPLIER
        tensors[f"mapping.fc{index}.bias"] = draw(W_DIM) / LR_MULTIPLIER
        width = W_DIM
    for size in SIZES:
        maps, before = MAPS[size], MAPS[max(size // 2, 4)]
        convs = {"conv1": maps} if size == 4 else {"conv0": before, "conv1": maps}
        for name, inputs in {**convs, "torgb": maps}.items():
            rgb, place = name == "torgb", f"synthesis.b{size}.{name}"
            outputs, kernel = (CHANNELS if rgb else maps), (1 if rgb else 3)
            tensors[f"{place}.weight"] = draw(outputs, inputs, kernel, kernel)
            tensors[f"{place}.bias"] = draw(outputs)
            tensors[f"{place}.affine.weight"] = draw(inputs, W_DIM)
            tensors[f"{place}.affine.bias"] = draw(inputs)
            if not rgb:
                tensors[f"{place}.noise_strength"] = draw()
                tensors[f"{place}.noise_const"] = draw(size, size)
                tensors[f"{place}.resample_filter"] = draw(4, 4)
    return tensors


def discriminator_torch(classes: int, layers: int) -> dict[str, np.ndarray]:
    tensors = {f"b{RESOLUTION}.fromrgb.weight": draw(MAPS[RESOLUTION], CHANNELS, 1, 1)}
    tensors[f"b{RESOLUTION}.fromrgb.bias"] = draw(MAPS[RESOLUTION])
    for size in SIZES[:0:-1]:
        inputs, outputs = MAPS[size], MAPS[size // 2]
        tensors |= {f"b{size}.conv0.weight": draw(inputs, inputs, 3, 3), f"b{size}.conv0.bias": draw(inputs)}
        tensors |= {f"b{size}.conv1.weight": draw(outputs, inputs, 3, 3), f"b{size}.conv1.bias": draw(outputs)}
        tensors |= {f"b{size}.skip.weight": draw(outputs, inputs, 1, 1), f"b{size}.resample_filter": draw(4, 4)}
    tensors |= {"b4.conv.weight": draw(MAPS[4], MAPS[4] + 1, 3, 3), "b4.conv.bias": draw(MAPS[4])}
    tensors |= {"b4.fc.weight": draw(MAPS[4], MAPS[4] * 16), "b4.fc.bias": draw(MAPS[4])}
    outputs = W_DIM if classes else 1
    tensors |= {"b4.out.weight": draw(outputs, MAPS[4]), "b4.out.bias": draw(outputs)}
    if classes:
        tensors |= {"mapping.embed.weight": draw(W_DIM, classes), "mapping.embed.bias": draw(W_DIM)}
        for index in range(layers):
            tensors[f"mapping.fc{index}.weight"] = draw(W_DIM, W_DIM) / LR_MULTIPLIER
            tensors[f"mapping.fc{index}.bias"] = draw(W_DIM) / LR_MULTIPLIER
    return tensors


# ---- Writing them as the releases do ----


@contextmanager
def modules(*names: str):
    """Empty modules of these names that exist inside the block only."""
    parents = {".".join(name.split(".")[:i]) for name in names for i in range(1, name.count(".") + 2)}
    created = {name: ModuleType(name) for name in parents}
    sys.modules.update(created)
    try:
        yield [created[name] for name in names]
    finally:
        for name in created:
            del sys.modules[name]


def place(module: ModuleType, thing: type) -> type:
    """The class or function `thing` as a member of `module`."""
    thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
    setattr(module, thing.__name__, thing)
    return thing


def write_tf(path: Path, networks: list[dict], protocol: int = 4, **extra: object) -> None:
    """A tuple of three networks; each dict has own variables "" and those of its components by name."""
    with modules("dnnlib.tflib.network", "dnnlib.util") as (network_module, util):
        easy_dict = place(util, type("EasyDict", (dict,), {}))

        class Network:
            def __init__(self, variables: dict, components: dict, **extra: object) -> None:
                self.state = {
                    "version": 5,
                    "name": "N",
                    "static_kwargs": easy_dict(resolution=RESOLUTION),
                    "build_module_src": "raise RuntimeError('the source text was executed')",
                    "variables": list(variables.items()),
                    "components": {name: Network(own, {}) for name, own in components.items()},
                    **extra,
                }

            def __getstate__(self) -> dict:
                return self.state

        place(network_module, Network)
        content = tuple(
            Network(parts[""], {name: own for name, own in parts.items() if name}, **extra) for parts in networks
        )
        path.write_bytes(pickle.dumps(content, protocol))


def write_torch(path: Path, networks: dict[str, dict[str, np.ndarray]], protocol: int = 4, **extra: object) -> None:
    """A dict of modules built back by `torch_utils.persistence`, tensors stored as torch pickles them."""
    with modules("torch_utils.persistence", "dnnlib.util") as (persistence, util):

        def _reconstruct_persistent_obj(meta: dict) -> None: ...

        place(persistence, _reconstruct_persistent_obj)
        easy_dict = place(util, type("EasyDict", (dict,), {}))

        class Persistent:
            def __init__(self, state: dict) -> None:
                self.state = state

            def __reduce__(self) -> tuple:
                source = "raise RuntimeError('the source text was executed')"
                meta = {"type": "class", "version": 6, "module_src": source, "class_name": "N", "state": self.state}
                return _reconstruct_persistent_obj, (meta,)

        def module(tensors: dict[str, np.ndarray]) -> Persistent:
            state = {
                "training": False,
                "_parameters": OrderedDict(),
                "_buffers": OrderedDict(),
                "_modules": OrderedDict(),
                "_non_persistent_buffers_set": set(),
                "_init_kwargs": easy_dict(weight_gain=np.float64(0.5)),
            }
            children: dict[str, dict] = {}
            for name, value in tensors.items():
                first, _, rest = name.partition(".")
                if rest:
                    children.setdefault(first, {})[rest] = value
                elif first in ("w_avg", "noise_const", "resample_filter"):
                    state["_buffers"][first] = torch.from_numpy(value)
                else:
                    state["_parameters"][first] = torch.nn.Parameter(torch.from_numpy(value), requires_grad=False)
            state["_modules"].update({name: module(own) for name, own in children.items()})
            return Persistent(state)

        content = {name: module(tensors) for name, tensors in networks.items()}
        content |= {"training_set_kwargs": easy_dict(resolution=RESOLUTION), "augment_pipe": None, **extra}
        path.write_bytes(pickle.dumps(content, protocol))


# ---- The equations ----


def activate(x: Tensor) -> Tensor:
    return math.sqrt(2) * torch.where(x > 0, x, 0.2 * x)


def normalise(x: Tensor) -> Tensor:
    return x / x.square().mean().add(1e-8).sqrt()


def dense(x: Tensor, weight: Tensor, bias: Tensor, multiplier: float = 1.0) -> Tensor:
    """x [in], weight [in, out]."""
    return x @ weight * (multiplier / math.sqrt(len(x))) + bias * multiplier


def insert_zeros(x: Tensor) -> Tensor:
    """[1, C, H, W] -> [1, C, 2H - 1, 2W - 1]."""
    y = x.new_zeros(1, x.shape[1], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
    y[:, :, ::2, ::2] = x
    return y


def low_pass(x: Tensor, gain: float, padding: int) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    kernel = (gain * taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])


class ReadTf:
    """Layers of the TensorFlow format: weights for a correlation, style scales, biases, noise."""

    def __init__(self, generator: dict[str, dict[str, np.ndarray]]) -> None:
        flat = {**{f"mapping/{k}": v for k, v in generator["mapping"].items()}, **generator["synthesis"]}
        self.values = {name: torch.from_numpy(np.asarray(value)).double() for name, value in flat.items()}

    def dense(self, name: str) -> tuple[Tensor, Tensor]:
        name = {"embed": "LabelEmbed"}.get(name, name.replace("fc", "Dense"))
        return self.values[f"mapping/{name}/weight"], self.values[f"mapping/{name}/bias"]

    def const(self) -> Tensor:
        return self.values["4x4/Const/const"]

    def layer(self, size: int, name: str, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        names = {"conv0": "Conv0_up", "conv1": "Conv" if size == 4 else "Conv1", "torgb": "ToRGB"}
        get = {key: self.values.get(f"{size}x{size}/{names[name]}/{key}") for key in ("weight", "bias")}
        place = f"{size}x{size}/{names[name]}"
        style = dense(w, self.values[f"{place}/mod_weight"], self.values[f"{place}/mod_bias"]) + 1
        return get["weight"].permute(3, 2, 0, 1), style, get["bias"]

    def noise(self, size: int, name: str) -> Tensor:
        number = {(4, "conv1"): 0, (8, "conv0"): 1, (8, "conv1"): 2, (16, "conv0"): 3, (16, "conv1"): 4}[size, name]
        layer = {"conv0": "Conv0_up", "conv1": "Conv" if size == 4 else "Conv1"}[name]
        return self.values[f"noise{number}"][0, 0] * self.values[f"{size}x{size}/{layer}/noise_strength"]


class ReadTorch:
    """The same of the PyTorch format, whose up-sampling kernels are those of a true convolution."""

    def __init__(self, generator: dict[str, np.ndarray]) -> None:
        self.values = {name: torch.from_numpy(np.asarray(value)).double() for name, value in generator.items()}

    def dense(self, name: str) -> tuple[Tensor, Tensor]:
        return self.values[f"mapping.{name}.weight"].T, self.values[f"mapping.{name}.bias"]

    def const(self) -> Tensor:
        return self.values["synthesis.b4.const"][None]

    def layer(self, size: int, name: str, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place = f"synthesis.b{size}.{name}"
        style = dense(w, self.values[f"{place}.affine.weight"].T, self.values[f"{place}.affine.bias"])
        weight = self.values[f"{place}.weight"]
        return weight.flip(2, 3) if name == "conv0" else weight, style, self.values[f"{place}.bias"]

    def noise(self, size: int, name: str) -> Tensor:
        place = f"synthesis.b{size}.{name}"
        return self.values[f"{place}.noise_const"] * self.values[f"{place}.noise_strength"]


def latent(read: ReadTf | ReadTorch, z: Tensor, c: Tensor | None, layers: int) -> Tensor:
    """z [z_dim], one-hot c [classes] -> w [w_dim]."""
    x = normalise(z)
    if c is not None:
        x = torch.cat([x, normalise(dense(c, *read.dense("embed")))])
    for index in range(layers):
        x = activate(dense(x, *read.dense(f"fc{index}"), LR_MULTIPLIER))
    return x


def image(read: ReadTf | ReadTorch, w: Tensor) -> Tensor:
    """w [w_dim] -> image [channels, resolution, resolution], stored noise."""
    x, rgb = read.const(), None
    for size in SIZES:
        for name in ("conv1",) if size == 4 else ("conv0", "conv1"):
            weight, style, bias = read.layer(size, name, w)
            kernel = weight / math.sqrt(weight[0].numel()) * style[None, :, None, None]
            kernel = kernel / kernel.square().sum(dim=(1, 2, 3), keepdim=True).add(1e-8).sqrt()
            if name == "conv0":
                x = low_pass(F.conv2d(insert_zeros(x), kernel, padding=2), gain=4, padding=1)
            else:
                x = F.conv2d(x, kernel, padding=1)
            x = activate(x + read.noise(size, name) + bias[:, None, None])
        weight, style, bias = read.layer(size, "torgb", w)
        kernel = weight / math.sqrt(weight.shape[1]) * style[None, :, None, None]
        own = F.conv2d(x, kernel) + bias[:, None, None]
        rgb = own if rgb is None else low_pass(insert_zeros(rgb), gain=4, padding=2) + own
    return rgb[0]


def logits(tensors: dict[str, np.ndarray], x: Tensor, c: Tensor | None, layers: int, residual: bool) -> Tensor:
    """Scores [N] of images [N, channels, H, W], all in one group, by weights in the PyTorch format's names."""
    get = {name: torch.from_numpy(np.asarray(value)).double() for name, value in tensors.items()}

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight = get[f"{name}.weight"]
        x = F.conv2d(x, weight / math.sqrt(weight[0].numel()), stride=stride, padding=padding)
        return activate(x + get[f"{name}.bias"][:, None, None]) if f"{name}.bias" in get else x

    x = conv(x, f"b{RESOLUTION}.fromrgb")
    for size in SIZES[:0:-1]:
        y = conv(low_pass(conv(x, f"b{size}.conv0", padding=1), gain=1, padding=2), f"b{size}.conv1", stride=2)
        if residual:
            y = (y + conv(low_pass(x, gain=1, padding=1), f"b{size}.skip", stride=2)) / math.sqrt(2)
        x = y
    spread = x.var(dim=0, correction=0).add(1e-8).sqrt().mean()
    x = conv(torch.cat([x, spread.expand(len(x), 1, 4, 4)], dim=1), "b4.conv", padding=1)
    scores = []
    for n, features in enumerate(x.flatten(1)):
        hidden = activate(dense(features, get["b4.fc.weight"].T, get["b4.fc.bias"]))
        out = dense(hidden, get["b4.out.weight"].T, get["b4.out.bias"])
        if c is not None:
            y = normalise(dense(c[n], get["mapping.embed.weight"].T, get["mapping.embed.bias"]))
            for index in range(layers):
                y = activate(dense(y, get[f"mapping.fc{index}.weight"].T, get[f"mapping.fc{index}.bias"], 0.01))
            out = out @ y / math.sqrt(W_DIM)
        scores.append(out.reshape(()))
    return torch.stack(scores)


def discriminator_tf_as_torch(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights of the TensorFlow format under the names and layouts `logits` reads."""
    layers = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip"}
    tensors = {}
    for name, value in variables.items():
        *block, layer, kind = name.split("/")
        if block and block[0] != "4x4":
            place = f"b{block[0].split('x')[0]}.{layers[layer]}"
        else:
            place = {"Conv": "b4.conv", "Dense0": "b4.fc", "Output": "b4.out", "LabelEmbed": "mapping.embed"}[layer]
        tensors[f"{place}.{kind}"] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return tensors
