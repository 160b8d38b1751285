"""Reading a pickle as inert data: nothing in the file is imported, called or executed.

A pickle names classes and functions, which Python's own reader imports and calls. Here every name on a short
list becomes a fresh subclass of `Record`, which only remembers what it was given, and any other name is an error.
What the records mean (an array, a tensor, a network) is worked out afterwards from that data.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from leangan.core.errors import ConfigError

MAX_BYTES = 4 * 2**30

NETWORK = "dnnlib.tflib.network.Network"
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
ALLOWED = frozenset(
    {
        NETWORK,
        PERSISTENT,
        "builtins.set",
        "collections.OrderedDict",
        "dnnlib.util.EasyDict",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "numpy.dtype",
        "numpy.ndarray",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor_v2",
        "torch.storage._load_from_bytes",
    }
)


class Record(dict):
    """An object of the file: the name of its class or maker, the arguments, the state, and items if it has any."""

    origin = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Record:
        record = super().__new__(cls)
        record.args = args
        record.state = None
        return record

    def __init__(self, *args: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class RefusedGlobal(ConfigError):
    """The file names something that no released network uses."""


class RecordUnpickler(pickle.Unpickler):
    """Builds records for the names in `ALLOWED`; any other raises RefusedGlobal with the file's name."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self.path = path
        self.classes: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> type[Record]:
        origin = f"{re.sub('^numpy[.]_core', 'numpy.core', module)}.{name}"
        if origin not in ALLOWED:
            raise RefusedGlobal(
                f"{self.path} asks for {module}.{name}, which no released network uses: the file is refused and "
                "nothing in it was executed. Allowed names are in leangan/released/pickle_reader.py"
            )
        if origin not in self.classes:
            self.classes[origin] = type("Record", (Record,), {"origin": origin})
        return self.classes[origin]


def read_pickle(path: Path) -> Any:
    """The first pickle of a file as containers, numbers, strings and records.

    Raises ConfigError that names the file: too large, damaged, no pickle, or RefusedGlobal.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ConfigError(f"{path} has {size} bytes, no released network more than {MAX_BYTES}: not read")
    data = path.read_bytes()
    try:
        check_sizes(data)
        return RecordUnpickler(data, path).load()
    except RefusedGlobal:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ConfigError(f"{path} is no pickle, or a damaged or incomplete one ({error!r}); fetch it again") from None


def check_sizes(data: bytes) -> None:
    """Raise ValueError where an instruction of the pickle would claim memory beyond the file's own bytes."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument is not None and argument > count:
            raise ValueError(f"slot {argument} is filled by instruction {count}")


def origin(value: Any) -> str:
    """What the file calls the class of `value`; empty for containers and plain values."""
    return value.origin if isinstance(value, Record) else ""


def read_tensors(values: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors behind records, by name; ConfigError names the file and the tensor that is none."""
    tensors = {}
    for name, value in values.items():
        try:
            tensors[name] = as_tensor(value)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: {name} is no tensor that can be read: {error}") from None
    return tensors


def as_array(value: Any) -> np.ndarray:
    """The numpy array or scalar behind a record, read from its bytes. Raises ValueError for anything else."""
    match origin(value):
        case "numpy.core.multiarray._reconstruct":
            _, shape, dtype, fortran, data = value.state
        case "numpy.core.numeric._frombuffer":
            data, dtype, shape, order = value.args
            fortran = order == "F"
        case "numpy.core.multiarray.scalar":
            dtype, data = value.args
            shape, fortran = (), False
        case _:
            raise ValueError(f"{origin(value) or type(value).__name__} is no array")
    if not isinstance(data, bytes | bytearray):
        raise ValueError("its elements are no plain numbers")
    return np.frombuffer(data, as_dtype(dtype)).reshape(shape, order="F" if fortran else "C")


def as_dtype(value: Any) -> np.dtype:
    """The element type behind a record: a real number, an integer or a truth value."""
    kind = value.args[0] if origin(value) == "numpy.dtype" else None
    if not (isinstance(kind, str) and re.fullmatch("[fiu][1248]|b1", kind)):
        raise ValueError(f"its elements are of type {kind!r}, not numbers")
    big_endian = isinstance(value.state, tuple) and value.state[1] == ">"
    return np.dtype(kind).newbyteorder(">" if big_endian else "<")


def as_tensor(value: Any) -> Tensor:
    """The torch tensor, parameter or numpy array behind a record. Raises ValueError for anything else."""
    if isinstance(value, Tensor):
        return value
    match origin(value):
        case "torch._utils._rebuild_parameter":
            return as_tensor(value.args[0])
        case "torch._utils._rebuild_tensor_v2":
            storage, offset, size, stride = value.args[:4]
            flat = storage_elements(storage)
            if math.prod(size) > flat.numel():
                raise ValueError(f"a tensor of shape {tuple(size)} does not fit its {flat.numel()} stored elements")
            return flat.as_strided(size, stride, offset).clone()
        case _:
            array = as_array(value)
            return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))  # a copy: the file's is read-only


def read_weights(file: BinaryIO) -> Any:
    """What a torch file holds, by torch's weights-only reader. Raises whatever that does, and ValueError for a bomb.

    torch compresses nothing: entries that together unpack to more than the file are not its own.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > file.seek(0, io.SEEK_END):
            raise ValueError(f"its entries unpack to {unpacked} bytes, more than the file has")
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


def storage_elements(value: Any) -> Tensor:
    """All elements of a storage: a torch file of its own within the pickle, read with torch's weights-only reader."""
    if origin(value) != "torch.storage._load_from_bytes" or not isinstance(value.args[0], bytes):
        raise ValueError(f"{origin(value) or type(value).__name__} is no tensor storage")
    try:
        storage = read_weights(io.BytesIO(value.args[0]))
    except Exception as error:  # torch's own text goes on to advise reading it without protection
        raise ValueError(f"a tensor's storage is refused or damaged ({type(error).__name__})") from None
    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError(f"a tensor's storage holds {type(storage).__name__}")
    return torch.empty(0, dtype=storage.dtype).set_(storage)
