"""The graphs of this project compared with the numbers of PyTorch."""

import numpy as np
import pytest

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
    """An image of bent stripes, (1, size, size, 3) from 0 to 255."""
    y, x, c = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    stripes = x * x * (c + 1) // 7 + y * y * (c + 2) // 11 + 3 * x * y // 13
    return (stripes % 256).astype(np.float32)[None]


@pytest.mark.slow
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
    arrays = read_arrays(model.weights.file(model).path)
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
