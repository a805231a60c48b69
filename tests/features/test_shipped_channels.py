"""What ships of the channels: complete, sound, small, and what the code computes today."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core.data import datasets
from core.features import channel_files, compute, visualize
from core.imaging import decode, transform
from core.models import networks, registry, weights
from core.models.intermediate_model import IntermediateModel
from core.models.keras_weights import KerasWeights
from core.models.package_weights import PackageWeights
from core.settings import settings
from tests.conftest import ROOT

# Those whose trained weights come in packages: with the setup, or as a package that is optional.
PACKAGES = {
    name: model.weights if isinstance(model.weights, PackageWeights) else model.weights.package
    for name, model in registry.MODELS.items()
    if isinstance(model.weights, PackageWeights | KerasWeights)
}
MODELS = [name for name, package in PACKAGES.items() if package]
DATASETS = [datasets.load(ROOT / "precomputed" / name) for name in compute.DATASETS]


def with_weights(*names):
    """A case for each model, skipped where its weights are not on this machine."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not weights.availability(registry.MODELS[name])[0],
                reason=f"the package {PACKAGES[name].package} is optional",
            ),
        )
        for name in names
    ]


def layers():
    return [
        pytest.param(name, layer.name, id=f"{name}-{layer.name}")
        for name in MODELS
        for layer in registry.MODELS[name].layers
    ]


@pytest.mark.parametrize(("model", "layer"), layers())
def test_every_layer_has_images_that_are_neither_flat_nor_alike(model, layer):
    images = channel_files.visualizations(model, "imagenet", layer)
    channels = [one.channel for one in images]
    assert len(set(channels)) == len(channels) >= 6
    assert max(channels) < registry.MODELS[model].layer(layer).shape[2]
    pixels = []
    for one in images:
        with Image.open(io.BytesIO(one.webp)) as image:
            assert (image.format, image.size) == ("WEBP", (96, 96))
            pixels.append(np.asarray(image.convert("RGB"), float))
    assert min(image.std() for image in pixels) > 15
    differences = [np.abs(a - b).mean() for i, a in enumerate(pixels) for b in pixels[:i]]
    assert min(differences) > 10


def test_most_images_activate_their_channel_at_least_as_much_as_the_best_of_four_hundred():
    wins = []
    for model in MODELS:
        for layer in registry.MODELS[model].layers:
            for one in channel_files.visualizations(model, "imagenet", layer.name):
                others = [
                    other.value
                    for dataset in DATASETS
                    for other in channel_files.top_images(
                        dataset, model, "imagenet", layer.name, one.channel, 1
                    )
                ]
                wins.append(one.activation >= max(others) * 0.999)  # half precision
    assert len(MODELS) == 8 and len(wins) >= len(MODELS) * 8 * 6
    assert np.mean(wins) > 0.7


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
@pytest.mark.parametrize(("model", "layer"), layers())
def test_top_images_of_every_channel_are_stored(model, layer, dataset):
    found = channel_files.top_images_of_layer(dataset, model, "imagenet", layer)
    assert found.items.shape == (registry.MODELS[model].layer(layer).shape[2], channel_files.MOST)
    assert (np.diff(found.values, axis=1) <= 0).all() and np.isfinite(found.values).all()
    there = found.values > 0
    assert there[:, 0].mean() > 0.5  # a few channels next to the image are zero for every image
    left, top, right, bottom = np.moveaxis(found.boxes[there], -1, 0)
    assert (left >= 0).all() and (left < right).all() and (right <= 1).all()
    assert (top >= 0).all() and (top < bottom).all() and (bottom <= 1).all()
    for channel in np.flatnonzero(there[:, 0])[::50]:
        ids = [one.item for one in found.of(channel)]
        assert len(set(ids)) == len(ids)
    pictured = [one.channel for one in channel_files.visualizations(model, "imagenet", layer)]
    assert there[pictured, 0].all() and found.spread[pictured].min() > 0
    assert pictured == compute.choose(registry.MODELS[model], "imagenet", DATASETS, layer)[: len(pictured)]


@pytest.mark.parametrize("name", with_weights("efficientnet-lite0", "mobilenet", "xception", "vgg16"))
def test_recomputed_the_activations_are_the_same(name):
    model, dataset = registry.get_model(name), DATASETS[0]
    layer = model.layers[5].name
    network = IntermediateModel(model, networks.load(model, "imagenet"), [layer], 4)
    for channel in (0, 100):
        stored = channel_files.top_images(dataset, model.name, "imagenet", layer, channel, 4)
        pixels = [
            transform.resize(decode.read(dataset.path(one.item)), model.input_size, model.resample)
            for one in stored
        ]
        peaks = network(np.stack(pixels))[0][..., channel].max(axis=(1, 2))
        np.testing.assert_allclose([one.value for one in stored], peaks, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", with_weights("squeezenet", "mobilenet", "xception", "vgg16"))
def test_a_shipped_image_activates_its_channel_more_than_those_of_the_other_channels_do(name):
    model = registry.get_model(name)
    graph, _ = weights.load(model, "imagenet")
    layer = model.layers[-1].name
    shipped = channel_files.visualizations(name, "imagenet", layer)
    images = np.stack([np.asarray(Image.open(io.BytesIO(one.webp)).convert("RGB")) for one in shipped])
    for one in shipped:
        peaks = visualize.peaks(graph, model, layer, [one.channel] * len(images), images)
        assert shipped[int(peaks.argmax())] is one


def test_it_is_made_from_the_weights_of_the_packages():
    for name in MODELS:
        for kind in (channel_files.VISUALIZATIONS, channel_files.TOP_IMAGES):
            facts = [facts for _, facts in channel_files.stored(name, "imagenet", kind)]
            assert len(facts) == (8 if kind == channel_files.VISUALIZATIONS else 16)
            assert {one["weights_fingerprint"] for one in facts} == {PACKAGES[name].fingerprints[0]}


def test_it_is_small():
    size = {
        kind: sum(path.stat().st_size for path in settings.MODELS_DIR.glob(f"*/{kind}.*.parquet"))
        for kind in (channel_files.VISUALIZATIONS, channel_files.TOP_IMAGES)
    }
    assert size[channel_files.VISUALIZATIONS] < 3e6 and size[channel_files.TOP_IMAGES] < 2.5e6
    assert sum(path.stat().st_size for path in settings.MODELS_DIR.rglob("*") if path.is_file()) < 6e6


def test_reading_imports_no_tensorflow():
    script = (
        "import sys\n"
        "from core.data import datasets\n"
        "from core.features import channel_files, top_activating\n"
        "dataset = datasets.find('objects200')\n"
        "assert channel_files.visualizations('squeezenet', 'imagenet', 'fire4_concat')\n"
        "assert top_activating.top_images(dataset, 'squeezenet', 'imagenet', 'fire4_concat', 15)\n"
        "print(sorted({'tensorflow', 'keras', 'openvino', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
