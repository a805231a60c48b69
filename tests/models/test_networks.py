"""Networks that are converted once and kept in files."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.models import architecture, extractor, network_file, networks, registry, runtime, weights
from core.settings import settings
from tests.conftest import ROOT, needs_openvino
from tests.models.test_runtime import pixels

pytestmark = [pytest.mark.slow, needs_openvino]

MODEL = registry.get_model("squeezenet")
LAYERS = [layer.name for layer in MODEL.layers]


@pytest.fixture(scope="module")
def graph():
    return weights.load(MODEL, "imagenet")[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> bytes:
    """The content of the file of the network, as the first use writes it."""
    folder = tmp_path_factory.mktemp("networks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "NETWORKS_DIR", folder)
        networks.load(MODEL, "imagenet")
    [file] = folder.glob("*.network")
    return file.read_bytes()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder of networks."""
    monkeypatch.setattr(settings, "NETWORKS_DIR", tmp_path / "networks")
    return tmp_path / "networks"


@pytest.fixture
def file(folder, exported) -> Path:
    """The file of the network in its folder."""
    path = networks._path(MODEL, weights.provenance(MODEL, "imagenet"))
    folder.mkdir()
    path.write_bytes(exported)
    return path


@pytest.fixture
def conversions(monkeypatch) -> list[str]:
    """The models that are converted during the test."""
    done = []
    convert = runtime.convert
    monkeypatch.setattr(
        runtime, "convert", lambda model, graph: done.append(model.name) or convert(model, graph)
    )
    return done


def vectors(network: runtime.Network, batch_size: int = 2) -> dict[tuple[str, str], np.ndarray]:
    poolings = tuple(extractor.POOLINGS)
    return extractor.Extractor(MODEL, network, LAYERS, poolings, batch_size)(pixels(MODEL.input_size))


def test_vectors_from_the_file_are_those_of_the_direct_way(file, graph, conversions):
    direct = vectors(runtime.OpenVINONetwork(MODEL, runtime.convert(MODEL, graph)))
    conversions.clear()
    found = vectors(networks.load(MODEL, "imagenet"))
    assert conversions == []
    for key, expected in direct.items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_the_file_has_every_layer(file, graph):
    layers = [
        name for name, layer in architecture.layers_by_name(graph).items() if len(layer.output.shape) == 4
    ]
    image = pixels(MODEL.input_size, 1)
    means = [
        network.compile(layers, lambda ops, x: [ops.mean(x)], 1)(image)
        for network in (networks.load(MODEL, "imagenet"), runtime.TensorFlowNetwork(MODEL, graph))
    ]
    for name, found, expected in zip(layers, *means, strict=True):
        np.testing.assert_allclose(
            found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max(), err_msg=name
        )


def test_a_network_compiled_for_one_size_of_batch_leaves_another_as_it_is(file):
    network = networks.load(MODEL, "imagenet")
    one = network.compile(LAYERS[-1:], lambda ops, x: [ops.mean(x)], 1)
    eight = network.compile(LAYERS[-1:], lambda ops, x: [ops.mean(x)], 8)
    images = pixels(MODEL.input_size, 3)
    alone = np.concatenate([one(image[None])[0] for image in images])
    np.testing.assert_allclose(eight(images)[0], alone, rtol=1e-5, atol=1e-6)


HEAD = b'{"format": 1, "key": "%s", "sizes": [10, 10], "sha256": "%s"}\n'
DAMAGE = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "cut in its first line": lambda data: data[:20],
    "longer": lambda data: data + b"0",
    "a weight changed": lambda data: data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:],
    "the description changed": lambda data: data.replace(b"<net ", b"<nut ", 1),
    "no head": lambda data: data.partition(b"\n")[2],
    "a head of lists": lambda data: b"[" * 9_000 + b"\n" + data,
    "huge": lambda data: data.replace(b'"sizes": [', b'"sizes": [1' + b"0" * 15, 1),
    "another format": lambda data: data.replace(b'"format": 1', b'"format": 9', 1),
    "of another network": lambda data: data.replace(b'"key": "', b'"key": "0', 1),
    "consistent, and no network": lambda data: _consistent(data, b"<net/>", b"none"),
}


def _consistent(data: bytes, *parts: bytes) -> bytes:
    head = json.loads(data.partition(b"\n")[0])
    head |= {"sizes": [len(part) for part in parts], "sha256": network_file._digest(*parts)}
    return b"".join([json.dumps(head).encode(), b"\n", *parts])


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again_and_never_used(
    file, exported, graph, conversions, monkeypatch, caplog, damage
):
    monkeypatch.setattr(weights, "load", lambda *_: (graph, None))
    data = DAMAGE[damage](exported)
    assert data != exported
    file.write_bytes(data)
    last = vectors(networks.load(MODEL, "imagenet"))[LAYERS[-1], "avg"]
    assert conversions == ["squeezenet"]
    assert file.name in caplog.text
    network_file.read(file, networks._key(MODEL, weights.provenance(MODEL, "imagenet")))
    np.testing.assert_array_equal(vectors(networks.load(MODEL, "imagenet"))[LAYERS[-1], "avg"], last)
    assert conversions == ["squeezenet"]


def test_each_weights_model_and_version_has_a_file_of_its_own(folder, monkeypatch):
    keys = {
        networks._key(registry.get_model(name), weights.provenance(registry.get_model(name), slug))
        for name in ("squeezenet", "mobilenetv2")
        for slug in ("imagenet", "untrained")
    }
    version = networks.importlib.metadata.version
    for package in networks._PACKAGES:
        with monkeypatch.context() as patch:
            patch.setattr(
                networks.importlib.metadata,
                "version",
                lambda name, p=package: version(name) + "1" * (name == p),
            )
            keys.add(networks._key(MODEL, weights.Provenance("file", "file-0", "", "0" * 64)))
    with monkeypatch.context() as patch:
        patch.setattr(networks, "_code", lambda family: "other")
        keys.add(networks._key(MODEL, weights.provenance(MODEL, "imagenet")))
    assert len(keys) == 4 + len(networks._PACKAGES) + 1


def test_the_least_recently_used_files_are_removed(file, monkeypatch, graph):
    monkeypatch.setattr(weights, "load", lambda *_: (graph, None))
    size = file.stat().st_size
    old, used = (file.with_name(f"{name}.network") for name in ("old", "used"))
    for age, path in ((300, old), (200, used)):
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - age,) * 2)
    left = file.with_name(".killed.part")
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 1_000,) * 2)
    os.utime(file, (time.time() - 400,) * 2)
    networks.load(MODEL, "imagenet")  # used again
    monkeypatch.setattr(settings, "MAX_NETWORK_BYTES", 3 * size + size // 2)
    networks.load(MODEL, "untrained")
    kept = {path.name for path in file.parent.glob("*")} - {".lock"}
    assert {"used.network", file.name} < kept and len(kept) == 3
    # A network larger than the limit is used all the same.
    monkeypatch.setattr(settings, "MAX_NETWORK_BYTES", 10)
    file.unlink()
    vectors(networks.load(MODEL, "imagenet"))
    assert list(file.parent.glob("*.network")) == []


def test_without_a_place_to_write_it_is_converted_each_time(
    tmp_path, monkeypatch, graph, conversions, caplog
):
    monkeypatch.setattr(weights, "load", lambda *_: (graph, None))
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(settings, "NETWORKS_DIR", tmp_path / "file" / "networks")
    for _ in range(2):
        vectors(networks.load(MODEL, "imagenet"))
    assert conversions == ["squeezenet"] * 2 and "can't be kept" in caplog.text
    monkeypatch.setattr(settings, "NETWORKS_DIR", tmp_path / "networks")
    monkeypatch.setattr(settings, "MIN_FREE_BYTES", 10**18)
    vectors(networks.load(MODEL, "imagenet"))
    assert not list((tmp_path / "networks").glob("*.network"))


SEARCH = """
import sys
from pathlib import Path
from core.experiments.store import Configuration
from core.imaging import decode
from core.search import shared_engine
engine = shared_engine.engine()
configuration = Configuration("squeezenet", "imagenet", "fire9_concat", "avg", "cosine")
vector = engine.embed(decode.read(Path(sys.argv[1])), configuration)
engine.nearest(engine.index(engine.grid.dataset("objects200"), configuration), vector, 3)
print(vector.sum(), sorted({"tensorflow", "keras"} & set(sys.modules)))
"""


def start(folder: Path, **more: str) -> subprocess.Popen:
    image = next((ROOT / "precomputed" / "objects200" / "images").iterdir())
    environment = {**os.environ, "PLAYGROUND_NETWORKS_DIR": str(folder), "PLAYGROUND_OPENVINO": "1", **more}
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(image)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen) -> list[str]:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out.split(maxsplit=1)


def test_two_processes_that_need_it_first_convert_it_once(tmp_path):
    first, second = (answer(one) for one in [start(tmp_path / "networks") for _ in range(2)])
    assert first[0] == second[0]
    assert len(list((tmp_path / "networks").glob("*.network"))) == 1
    # One of them waited for the file of the other.
    assert sorted([first[1], second[1]]) == ["['keras', 'tensorflow']\n", "[]\n"]
    assert answer(start(tmp_path / "networks")) == [first[0], "[]\n"]


def _write_slowly(path: str, data: bytes, started: "multiprocessing.synchronize.Event") -> None:
    """Write a network's file, and stop before it is whole."""
    from core import disk

    def stop(descriptor: int) -> None:
        started.set()
        time.sleep(60)

    disk.os.fsync = stop
    disk.replace_file(Path(path), data)


def test_killed_in_the_middle_of_the_write_nothing_is_left_that_is_read(file, exported):
    file.unlink()
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_write_slowly, args=(str(file), exported, started))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not file.exists() and len(list(file.parent.glob("*.part"))) == 1
    assert answer(start(file.parent))[1] == "['keras', 'tensorflow']\n"
    assert answer(start(file.parent))[1] == "[]\n"
