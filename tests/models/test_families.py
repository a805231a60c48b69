"""Our own graphs against PyTorch's numbers, and the reader of their pickled weights."""

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
from core.models import registry, weights
from core.models.checkpoint import read_arrays
from core.models.families import efficientnet_lite

# The original PyTorch modules on the image of `pattern`: for each of the eight layers the mean of the activation, and
# its mean when weighted with (row + 2 * column) / height.
TORCH = {
    "efficientnet-lite0": (
        (1.98328, -0.13046, 0.440672, -1.80744, -1.41418, 0.179745, 0.232784, 0.230608),
        (2.95278, -0.201922, 0.202196, -2.80917, -1.83379, 0.340463, 0.251347, 0.238443),
    ),
    "efficientnet-lite1": (
        (1.73639, 0.12673, 4.27749, 0.793595, -0.566367, -0.151268, 0.104569, 0.247466),
        (2.57565, 0.145602, 5.82416, 1.05274, -0.758193, -0.119444, 0.0419302, 0.242227),
    ),
    "efficientnet-lite2": (
        (1.70981, 0.661708, 0.412606, -0.152114, -0.439085, -0.331724, -0.171684, 0.168112),
        (2.56905, 0.913635, 0.717556, -0.284055, -0.590683, -0.481669, -0.259565, 0.191568),
    ),
    "mobilenetv2": (
        (0.222556, 0.19342, 0.195601, -0.0398206, 0.122586, 0.0696578, -0.00432452, 0.423998),
        (0.330006, 0.288618, 0.29799, -0.0380634, 0.162326, 0.0916528, -0.00496333, 0.503071),
    ),
    "squeezenet": (
        (33.0823, 60.7145, 64.5775, 73.1558, 34.1409, 24.8182, 6.08762, 0.990613),
        (47.9871, 88.1675, 93.9749, 104.582, 47.2699, 34.122, 8.24408, 1.09252),
    ),
}


def pattern(size: int) -> np.ndarray:
    """A picture of bent stripes, (1, size, size, 3) from 0 to 255."""
    y, x, c = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    stripes = x * x * (c + 1) // 7 + y * y * (c + 2) // 11 + 3 * x * y // 13
    return (stripes % 256).astype(np.float32)[None]


@pytest.mark.parametrize("name", TORCH)
def test_every_layer_computes_what_pytorch_does(name):
    import keras

    model = registry.get_model(name)
    installed, sentence = weights.availability(model)
    if not installed:
        pytest.skip(sentence)
    graph, _ = weights.load(model, "imagenet")
    cut = keras.Model(graph.input, model.outputs(graph, [layer.name for layer in model.layers]))
    means, weighted = [], []
    for output in cut(model.preprocessing(pattern(model.input_size))):
        activation = np.asarray(output, np.float64)[0]
        row, column = np.indices(activation.shape[:2])
        ramp = (row + 2 * column) / len(activation)
        means.append(activation.mean())
        weighted.append((activation * ramp[..., None]).mean())
    np.testing.assert_allclose(means, TORCH[name][0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(weighted, TORCH[name][1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", TORCH)
def test_all_published_arrays_but_the_classifier_are_used(name):
    model = registry.get_model(name)
    if not weights.availability(model)[0]:
        pytest.skip(f"{model.weights.package} is not installed")
    arrays = read_arrays(model.weights.locate(model)[0])
    used = model.weights.translate(arrays)
    values = [array for arrays in used.values() for array in arrays]
    assert sum(array.size for array in values) == model.parameters
    rest = {key for key in arrays if not key.endswith("num_batches_tracked")}
    classifier = {"_fc.weight", "_fc.bias", "conv10"} & rest
    assert len(rest - classifier) == (len(used) if name == "squeezenet" else len(values))


@pytest.mark.parametrize(
    ("channels", "width", "scaled"), [(16, 1.1, 16), (40, 1.1, 48), (320, 1.1, 352), (24, 1.0, 24)]
)
def test_channels_scale_to_multiples_of_eight(channels, width, scaled):
    assert efficientnet_lite.scale_channels(channels, width) == scaled


# the reader


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


def test_the_sentence_names_what_was_asked_for(tmp_path):
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
def test_a_file_cut_short_is_told(write, tmp_path):
    content = write(TENSORS)
    path = tmp_path / "weights.pt"
    path.write_bytes(content[: len(content) - 20])
    with pytest.raises(WeightsError, match=r"weights\.pt .*reinstall"):
        read_arrays(path)


def test_a_missing_file_and_other_contents_are_told(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        read_arrays(tmp_path / "weights.pt")
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps({"epoch": 3}))
    with pytest.raises(WeightsError, match="something else than named arrays"):
        read_arrays(path)
