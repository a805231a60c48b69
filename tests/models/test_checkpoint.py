"""The reader of pickled checkpoints: arrays and nothing else."""

import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from core.errors import WeightsError
from core.models.checkpoint import read_arrays


class _Tensor:
    """What PyTorch would pickle, for a test without PyTorch."""

    def __init__(self, array: np.ndarray):
        self.array = array


def torch_pickle(tensors: dict[str, np.ndarray], strides=None) -> bytes:
    """The pickled tree of a PyTorch file, whose tensors refer to storages by key."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        """Stands for PyTorch's, by name."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for kind in ("FloatStorage", "LongStorage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch", "__qualname__": kind}))

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if isinstance(item, Storage):
                kind = torch.FloatStorage if item.array.dtype == np.float32 else torch.LongStorage
                return ("storage", kind, item.key, "cpu", item.array.size)
            return None

        def reducer_override(self, item):
            if not isinstance(item, _Tensor):
                return NotImplemented
            array = item.array
            steps = strides or tuple(step // array.itemsize for step in array.strides)
            storage = Storage(str(next(keys)), array)
            return (_rebuild_tensor_v2, (storage, 0, array.shape, steps, False, collections.OrderedDict()))

    keys = iter(range(len(tensors)))
    file = io.BytesIO()
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        Pickler(file, protocol=2).dump(
            collections.OrderedDict((name, _Tensor(array)) for name, array in tensors.items())
        )
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return file.getvalue()


def torch_archive(tensors, **options) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", torch_pickle(tensors, **options))
        for key, array in enumerate(tensors.values()):
            archive.writestr(f"model/data/{key}", np.ascontiguousarray(array).tobytes())
    return file.getvalue()


def torch_older_file(tensors, **options) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    parts = [pickle.dumps(item, protocol=2) for item in head]
    parts.append(torch_pickle(tensors, **options))
    parts.append(pickle.dumps([str(key) for key in range(len(tensors))], protocol=2))
    for array in tensors.values():
        parts += [struct.pack("<q", array.size), np.ascontiguousarray(array).tobytes()]
    return b"".join(parts)


TENSORS = {
    "kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "count": np.array(7, np.int64),
    "bias": np.arange(3, dtype=np.float32),
}


@pytest.mark.parametrize("write", [torch_archive, torch_older_file])
def test_both_formats_of_pytorch_are_read(write, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(write(TENSORS))
    arrays = read_arrays(path)
    assert list(arrays) == list(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_transposed_tensors_come_out_right(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(torch_archive({"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, strides=(1, 2)))
    np.testing.assert_array_equal(read_arrays(path)["kernel"], [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3), np.float32))]
)
def test_pickled_numpy_arrays_are_read(array, tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"conv1": [array, array[0].copy()]}, protocol=3))
    kernel, bias = read_arrays(path)["conv1"]
    np.testing.assert_array_equal(kernel, array)
    np.testing.assert_array_equal(bias, array[0])


class _Call:
    """Unpickles to the result of a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile_pickles(trace: str) -> dict[str, bytes]:
    command = f"touch {trace}"
    named = {"conv1": [np.ones(3)]}
    return {
        "system": pickle.dumps(_Call(os.system, command)),
        "eval": pickle.dumps(named | {"x": _Call(eval, f"__import__('os').system({command!r})")}),
        "exec": pickle.dumps({"x": _Call(exec, f"open({trace!r}, 'w')")}, protocol=2),
        "open": pickle.dumps({"x": _Call(open, trace, "w")}),
        "getattr": pickle.dumps(_Call(getattr, "", "__class__")),
        "attribute of an allowed name": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "class of an allowed name": b"\x80\x04\x8c\x05numpy\x8c\x17ndarray.__class__.mro\x93.",
        "function of an allowed module": b"cnumpy\nload\n(S'" + trace.encode() + b"'\ntR.",
        "object array": pickle.dumps({"x": np.array([_Call(os.system, command)], dtype=object)}),
        "old style instance": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "code after the magic": pickle.dumps(0x1950A86A20F9469CFC6C, 2)
        + pickle.dumps(_Call(os.system, command)),
    }


@pytest.mark.parametrize("kind", hostile_pickles(""))
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_that_calls_anything_is_refused_and_nothing_is_run(kind, zipped, tmp_path):
    trace = tmp_path / "trace"
    content = hostile_pickles(str(trace))[kind]
    path = tmp_path / "weights.pt"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model/data.pkl", content)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pt .*reinstall"):
        read_arrays(path)
    assert not trace.exists()


def test_the_message_names_what_was_requested(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(_Call(eval, "1")))
    with pytest.raises(WeightsError, match=r"it asks for builtins\.eval, and only arrays are allowed"):
        read_arrays(path)


@pytest.mark.parametrize("strides", [(100, 1), (-3, 1)])
def test_a_tensor_beyond_its_storage_is_refused(strides, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(torch_archive({"kernel": np.ones((2, 3), np.float32)}, strides=strides))
    with pytest.raises(WeightsError, match="beyond its numbers"):
        read_arrays(path)


@pytest.mark.parametrize(
    "write", [torch_archive, torch_older_file, lambda _: b"", lambda _: b"PK\x03\x04nonsense"]
)
def test_a_file_cut_short_is_reported(write, tmp_path):
    content = write(TENSORS)
    path = tmp_path / "weights.pt"
    path.write_bytes(content[: len(content) - 20])
    with pytest.raises(WeightsError, match=r"weights\.pt .*reinstall"):
        read_arrays(path)


def test_a_missing_file_and_other_contents_are_reported(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        read_arrays(tmp_path / "weights.pt")
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps({"epoch": 3}))
    with pytest.raises(WeightsError, match="something else than named arrays"):
        read_arrays(path)
