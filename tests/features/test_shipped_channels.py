"""What ships of the channels: complete, sound, small, and what the code computes today."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core.data import datasets
from core.features import channel_files, compute
from core.imaging import decode, transform
from core.models import networks, registry, weights
from core.models.intermediate_model import IntermediateModel
from core.models.package_weights import PackageWeights
from core.settings import settings
from tests.conftest import ROOT

MODELS = [name for name, model in registry.MODELS.items() if isinstance(model.weights, PackageWeights)]
DATASETS = [datasets.load(ROOT / "precomputed" / name) for name in compute.DATASETS]


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
    assert len(wins) >= 5 * 8 * 6
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


def test_recomputed_the_activations_are_the_same():
    model, layer, dataset = registry.get_model("efficientnet-lite0"), "block6_output", DATASETS[0]
    network = IntermediateModel(model, networks.load(model, "imagenet"), [layer], 4)
    for channel in (0, 100):
        stored = channel_files.top_images(dataset, model.name, "imagenet", layer, channel, 4)
        pixels = [
            transform.resize(decode.read(dataset.path(one.item)), model.input_size, model.resample)
            for one in stored
        ]
        peaks = network(np.stack(pixels))[0][..., channel].max(axis=(1, 2))
        np.testing.assert_allclose([one.value for one in stored], peaks, rtol=2e-3)


def test_it_is_made_from_the_weights_that_are_installed():
    for name in MODELS:
        here, _ = weights.availability(registry.MODELS[name])
        for kind in (channel_files.VISUALIZATIONS, channel_files.TOP_IMAGES):
            facts = [facts for _, facts in channel_files.stored(name, "imagenet", kind)]
            assert len(facts) == (8 if kind == channel_files.VISUALIZATIONS else 16)
            if here:
                expected = weights.provenance(registry.MODELS[name], "imagenet").fingerprint
                assert {one["weights_fingerprint"] for one in facts} == {expected}


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
