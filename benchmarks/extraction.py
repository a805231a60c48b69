"""All layers in one pass, against a bare forward pass and against a pass per layer."""

import statistics

import numpy as np

from benchmarks.table import Row, median_ratio, take_turns
from core import settings
from core.models import extractor, weights, zoo

MODEL = "efficientnet-lite0"
_ROUNDS = 15


def rows() -> list[Row]:
    """Ratios over preloaded arrays, and milliseconds per image for orientation."""
    import tensorflow as tf

    model = zoo.get_model(MODEL)
    graph, _ = weights.load(model, "imagenet")
    size = settings.BATCH_SIZE
    shape = (size, model.input_size, model.input_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    layers = [layer.name for layer in model.layers]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
    def bare(batch: tf.Tensor) -> tf.Tensor:
        return graph(zoo.preprocess(model, tf.cast(batch, tf.float32)), training=False)

    together = extractor.Extractor(model, graph, layers, ("avg",), size)
    flattened = extractor.Extractor(model, graph, layers, ("avg", "flatten"), size)
    apart = [extractor.Extractor(model, graph, [layer], ("avg",), size) for layer in layers]
    times = take_turns(
        {
            "bare": lambda: bare(pixels).numpy(),
            "together": lambda: together(pixels),
            "flattened": lambda: flattened(pixels),
            "apart": lambda: [network(pixels) for network in apart],
        },
        _ROUNDS,
    )
    per_image = {name: statistics.median(values) * 1000 / size for name, values in times.items()}
    note = f"{MODEL}, batches of {size}"
    return [
        Row("one bare forward pass", per_image["bare"], "ms per image", note=note),
        Row(
            "eight layers in one pass, against the bare pass",
            median_ratio(times["together"], times["bare"]),
            "x",
            1.15,
            f"{per_image['together']:.1f} ms per image, avg",
        ),
        Row(
            "eight layers in one pass, flattened too",
            median_ratio(times["flattened"], times["bare"]),
            "x",
            note=f"{per_image['flattened']:.1f} ms per image, avg and flatten",
        ),
        Row(
            "eight passes, a layer each, against the bare pass",
            median_ratio(times["apart"], times["bare"]),
            "x",
            note=f"{per_image['apart']:.1f} ms per image, avg",
        ),
    ]
