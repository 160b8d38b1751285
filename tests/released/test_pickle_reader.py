"""Hostile, damaged and foreign files are refused, and nothing in them runs; arrays and tensors are read exactly."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.released import convert, pickle_reader
from leangan.released.pickle_reader import RefusedGlobal, as_tensor, read_pickle
from tests.helpers.released_files import draw, modules, place, write_tf, write_torch


class Call:
    """Pickles as a call: `Call(os.system, "...")` runs the command wherever the file is read by Python's reader."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def payloads(canary: Path) -> dict[str, object]:
    return {
        "posix.system": Call(os.system, f"touch {canary}"),
        "builtins.eval": Call(eval, f"open({str(canary)!r}, 'w')"),
        "builtins.exec": Call(exec, f"open({str(canary)!r}, 'w')"),
        "pathlib.Path.touch": Call(Path.touch, canary),
        "io.open": Call(open, str(canary), "w"),
    }


KINDS = list(payloads(Path("x")))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_calls_are_refused(kind: str, protocol: int, canary: Path):
    path = canary.with_name("network.pkl")
    path.write_bytes(pickle.dumps({"G": [payloads(canary)[kind]]}, protocol))
    with pytest.raises(RefusedGlobal, match=f"{path} asks for .*nothing in it was executed"):
        read_pickle(path)
    assert not canary.exists()
    pickle.loads(path.read_bytes())  # the payload is a live one
    assert canary.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_calls_within_a_network_are_refused(kind: str, canary: Path):
    parts = [{"": {"a/b": draw(2)}}] * 3
    tf, port = canary.with_name("tf.pkl"), canary.with_name("port.pkl")
    write_tf(tf, parts, static_kwargs={"func": payloads(canary)[kind]})
    write_torch(port, {name: {"a.b": draw(2)} for name in ("G", "D", "G_ema")}, augment_pipe=payloads(canary)[kind])
    for path in (tf, port):
        with pytest.raises(RefusedGlobal):
            convert.read_network(path, "G", "stylegan2")
    assert not canary.exists()


def test_a_name_within_an_allowed_one_is_refused(tmp_path: Path):
    """Protocol 4 may ask for an attribute of an allowed class, and so for what lies behind it."""

    def short(text: str) -> bytes:
        return b"\x8c" + bytes([len(text)]) + text.encode()

    path = tmp_path / "network.pkl"
    for module, name in (("dnnlib.util", "EasyDict.__init__.__globals__"), ("torch", "load"), ("numpy", "load")):
        path.write_bytes(b"\x80\x04" + short(module) + short(name) + b"\x93.")
        with pytest.raises(RefusedGlobal, match=f"{module}.{name}"):
            read_pickle(path)


def test_a_file_cannot_change_what_the_next_one_finds(tmp_path: Path):
    """BUILD on a class instead of an instance would set attributes of that class."""
    path = tmp_path / "network.pkl"
    fields = pickle.dumps({"__setstate__": 0, "origin": "numpy.ndarray", "__new__": 0}, 2)[2:-1]
    path.write_bytes(b"\x80\x02cdnnlib.util\nEasyDict\nN" + fields + b"\x86b.")
    before = dict(vars(pickle_reader.Record))
    with pytest.raises(ConfigError, match=str(path)):
        read_pickle(path)
    assert dict(vars(pickle_reader.Record)) == before
    path.write_bytes(b"\x80\x02cdnnlib.util\nEasyDict\n)\x81.")
    assert pickle_reader.origin(read_pickle(path)) == "dnnlib.util.EasyDict"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zipped", [True, False])
def test_calls_in_a_tensor_storage_are_refused(kind: str, zipped: bool, canary: Path, tmp_path: Path):
    inner = tmp_path / "inner.pt"
    torch.save(payloads(canary)[kind], inner, _use_new_zipfile_serialization=zipped)

    class Storage:
        def __reduce__(self) -> tuple:
            return torch.storage._load_from_bytes, (inner.read_bytes(),)

    tensor = Call(torch._utils._rebuild_tensor_v2, Storage(), 0, (1,), (1,), False, OrderedDict())
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps(tensor))
    with pytest.raises(ValueError, match="storage is refused or damaged"):
        as_tensor(read_pickle(path))
    assert not canary.exists()
    with pytest.raises(ConfigError, match="nothing in it was run"):  # the same as a .pth of its own
        convert.read_content(inner)
    assert not canary.exists()


def test_tensors_cannot_reach_beyond_their_storage(tmp_path: Path):
    storage = torch.arange(6.0).__reduce_ex__(2)[1][0]
    for size, stride, offset in (((7,), (1,), 0), ((3,), (1,), 4), ((2,), (-1,), 3), ((10**9,), (0,), 0)):
        call = Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())
        (tmp_path / "t.pkl").write_bytes(pickle.dumps(call))
        with pytest.raises((ValueError, RuntimeError)):
            as_tensor(read_pickle(tmp_path / "t.pkl"))


ARRAYS = {
    "float32": np.arange(24, dtype="<f4").reshape(2, 3, 4),
    "big-endian": np.arange(6, dtype=">f8").reshape(2, 3),
    "Fortran order": np.asfortranarray(np.arange(12, dtype="<f4").reshape(3, 4)),
    "strided": np.arange(24, dtype="<f4").reshape(4, 6)[::2, 1:5],
    "half": np.linspace(-1, 1, 7, dtype="<f2"),
    "int64": np.array([2**40, -1]),
    "0-d": np.array(2.5, dtype="<f4"),
    "scalar": np.float32(-0.75),
    "empty": np.zeros((0, 512), dtype="<f4"),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_arrays(kind: str, protocol: int, tmp_path: Path):
    path, array = tmp_path / "a.pkl", ARRAYS[kind]
    data = pickle.dumps({"new": array}, protocol)
    written = [data, data.replace(b"numpy._core", b"numpy.core")] if protocol == 3 else [data]
    for content in written:  # both generations of numpy
        path.write_bytes(content)
        tensor = as_tensor(read_pickle(path)["new"])
        assert tensor.shape == array.shape
        np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_tensors(dtype: torch.dtype, tmp_path: Path):
    base = torch.arange(24).reshape(4, 6).to(dtype)
    tensors = {"whole": base, "view": base.T[1:5, ::2], "scalar": base[1, 1], "empty": base[:0]}
    if dtype.is_floating_point:
        tensors["parameter"] = torch.nn.Parameter(base)
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(tensors))
    for name, record in read_pickle(tmp_path / "t.pkl").items():
        read = as_tensor(record)
        assert read.dtype == dtype and torch.equal(read, tensors[name].detach()), name


def test_objects_and_text_are_no_arrays(tmp_path: Path):
    for array in (np.array([{}], dtype=object), np.array(["a"]), np.array([(1, 2.0)], dtype="i4,f4")):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(array, 4))
        with pytest.raises(ValueError):
            as_tensor(read_pickle(tmp_path / "a.pkl"))


def test_damaged_and_foreign_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = tmp_path / "whole.pkl"
    write_tf(whole, [{"": {"a/b": draw(5, 5)}}] * 3)
    data = whole.read_bytes()
    path = tmp_path / "network.pkl"
    foreign = [b"", b"<html>quota exceeded</html>", b"\x80\x04", b"\x80\x04]\x94r\xff", bytes(range(0, 256, 5))]
    for content in [data[:n] for n in range(0, len(data), 37)] + foreign:
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=str(path)):
            convert.read_network(path, "G", "stylegan2")
    path.write_bytes(pickle.dumps({"model": [1, 2]}))
    with pytest.raises(ConfigError, match="holds no released network of backbone 'stylegan2'"):
        convert.read_network(path, "G", "stylegan2")
    monkeypatch.setattr(pickle_reader, "MAX_BYTES", len(data) - 1)
    with pytest.raises(ConfigError, match=f"whole.pkl has {len(data)} bytes"):
        read_pickle(whole)


@pytest.mark.parametrize("data", [b"\x80\x02]r\xff\xff\xff\xff.", b"]p4294967295\n."])
def test_a_small_file_cannot_claim_the_memory(data: bytes, tmp_path: Path):
    """A slot number of 2^32 - 1 makes Python's own reader set aside 64 GB."""
    (tmp_path / "n.pkl").write_bytes(data)
    with pytest.raises(ConfigError, match="slot 4294967295 is filled by instruction"):
        read_pickle(tmp_path / "n.pkl")


def test_a_network_that_holds_itself(tmp_path: Path):
    parts: dict = {}
    with modules("dnnlib.tflib.network") as (module,):

        class Network:
            pass

        network = place(module, Network)()
        network.__dict__.update(variables=[], components=parts)
        parts["own"] = network
        (tmp_path / "n.pkl").write_bytes(pickle.dumps((network,) * 3))
    with pytest.raises(ConfigError, match="network G cannot be read: RecursionError"):
        convert.read_network(tmp_path / "n.pkl", "G", "stylegan2")


def test_changed_bytes_never_end_in_anything_but_a_clear_error(tmp_path: Path):
    """Random damage anywhere in the file; the damage may also leave it readable."""
    whole = tmp_path / "whole.pkl"
    write_torch(whole, {name: {"a.b": draw(3), "mapping.w_avg": draw(2)} for name in ("G", "D", "G_ema")})
    data = whole.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(300):
        position, byte = int(rng.integers(len(data))), int(rng.integers(256))
        whole.write_bytes(data[:position] + bytes([byte]) + data[position + 1 :])
        try:
            convert.read_network(whole, "G", "stylegan2")
            outcomes.add("read")
        except ConfigError as error:
            outcomes.add("refused")
            assert str(whole) in str(error)
    assert outcomes == {"read", "refused"}
