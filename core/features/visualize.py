"""Feature visualization: the input that activates a channel most.

Gradient ascent after Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017. The image is held as the coefficients of its
Fourier transform, scaled so that coarse and fine detail are learned at the same rate, and in uncorrelated colors. Small
random transforms keep the result from depending on single pixels.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError
from core.models import architecture, registry
from core.progress import Progress

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STEPS = 112

# Pixels of the input between neighboring positions of a layer -> side of the image. It spans several positions and most of
# their receptive fields; a smaller image is faster.
_SIDES = {1: 32, 2: 48, 4: 80, 8: 112, 16: 144, 32: 160}
# From this spacing on, the receptive field of one position covers the image. Only the middle position is maximized, which
# shows an object; the mean over all would show pieces of it everywhere. Below, the result is a texture.
_WHOLE = 32
# Below, this fraction of the positions is maximized, the strongest: an edge can't be everywhere, and the mean over all
# positions is highest for a plain color.
_STRONG = 1 / 2
# Fraction of the sides that is cut off at each edge, where the padding of the convolutions has an effect.
_EDGE = 1 / 8
# Random transforms in every step: rotation in radians, scale, and shift as a fraction of the side.
_TURN, _SIZE, _SHIFT = 0.15, 0.1, 1 / 12

_RATE = 0.05
_START = 0.01
# Amplitudes fall with frequency to this power, a little faster than those of photographs, from the authors' value at
# a frequency of this many waves per image.
_POWER = 1.2
_WAVES = 8
# Colors of photographs as uncorrelated directions: the square root of their covariance in ImageNet
# (tensorflow/lucid, optvis/param/color.py), scaled to a largest column of length one.
_COLORS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
_COLORS /= np.linalg.norm(_COLORS, axis=0).max()


def visualize(
    graph: "keras.Model",
    model: registry.Model,
    layer: str,
    channels: Sequence[int],
    progress: Progress,
    steps: int = STEPS,
) -> np.ndarray:
    """Visualize channels of a layer.

    The image of a channel is the same in every run, alone or with others, up to rounding.

    Parameters
    ----------
    graph : as ``core.models.weights.load`` gives it.
    channels : from 0.
    progress : gets every step; what it raises ends the ascent.

    Returns
    -------
    images : (len(channels), side, side, 3) uint8, RGB; the coarser the layer, the larger the side.

    Raises
    ------
    UserError : there is no such layer or channel, or the layer has no height and width.
    """
    import keras
    import tensorflow as tf

    output = _output(graph, model, layer, channels)
    spacing = _spacing(model, output)
    side = _SIDES[spacing]
    shift = round(side * _SHIFT)
    canvas = side + 2 * shift
    network = _copy(graph, output, side, to_ascend=True)
    rows, columns = (_maximized(n, spacing) for n in network.output.shape[1:3])
    n_positions = (rows.stop - rows.start) * (columns.stop - columns.start)
    n_strong = n_positions if spacing >= _WHOLE else max(1, round(n_positions * _STRONG))
    wanted = tf.one_hot(channels, output.shape[-1])[:, None, None]
    amplitudes = tf.constant(_amplitudes(canvas), tf.complex64)

    generators = [np.random.default_rng(channel) for channel in channels]
    start = [generator.normal(0, _START, (3, canvas, canvas // 2 + 1, 2)) for generator in generators]
    waves = tf.Variable(np.stack(start), dtype=tf.float32)
    moves = np.stack([g.uniform(-1, 1, (steps, 4)) for g in generators], axis=1).astype(np.float32)
    adam = keras.optimizers.Adam(_RATE)
    adam.build([waves])

    def paint() -> tf.Tensor:
        planes = tf.signal.irfft2d(tf.complex(waves[..., 0], waves[..., 1]) * amplitudes, (canvas, canvas))
        return tf.sigmoid(tf.transpose(planes, (0, 2, 3, 1)) @ _COLORS.T)

    def ascend(move: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            transformed = _transform(paint(), side, shift, move)
            activations = network(model.preprocessing(255 * transformed), training=False)
            mine = tf.reduce_sum(activations[:, rows, columns] * wanted, axis=3)
            strongest = tf.math.top_k(tf.reshape(mine, (len(channels), -1)), n_strong).values
            loss = -tf.reduce_sum(strongest) / n_strong
        adam.apply(tape.gradient(loss, [waves]), [waves])

    progress.stage(f"visualizations of {layer}", steps)
    # Traced once: TensorFlow would warn of a function that is traced in every call of this one.
    step = tf.function(
        ascend, input_signature=[tf.TensorSpec(moves.shape[1:])], autograph=False
    ).get_concrete_function()
    for move in moves:
        step(tf.constant(move))
        progress.step()
    edge = shift + round(side * _EDGE)
    images: np.ndarray = np.round(paint()[:, edge:-edge, edge:-edge].numpy() * 255)
    return images.astype(np.uint8)


def peaks(
    graph: "keras.Model", model: registry.Model, layer: str, channels: Sequence[int], images: np.ndarray
) -> np.ndarray:
    """The highest activation of each channel for its image.

    Parameters
    ----------
    images : (n, side, side, 3) uint8 of any side, one for each of n channels, not resized.

    Returns
    -------
    peaks : (n,) float32.

    Raises
    ------
    UserError : as :func:`visualize`.
    """
    output = _output(graph, model, layer, channels)
    network = _copy(graph, output, images.shape[1], to_ascend=False)
    activations = network(model.preprocessing(images.astype(np.float32)), training=False)
    highest: np.ndarray = activations.numpy().max(axis=(1, 2))
    return highest[np.arange(len(channels)), list(channels)]


def _output(
    graph: "keras.Model", model: registry.Model, layer: str, channels: Sequence[int]
) -> "keras.KerasTensor":
    output = architecture.output(graph, model, layer)
    n = output.shape[-1]
    for channel in channels:
        if not 0 <= channel < n:
            raise UserError(f"{layer} of {model.title} has the channels 0 to {n - 1}, not {channel}.")
    return output


def _spacing(model: registry.Model, output: "keras.KerasTensor") -> int:
    """About how many pixels of the input lie between neighboring positions: a power of two."""
    return 1 << min(5, max(0, round(math.log2(model.input_size / output.shape[1]))))


def _maximized(n: int, spacing: int) -> slice:
    """Those of n positions in a row that are maximized."""
    if spacing >= _WHOLE:
        return slice((n - 1) // 2, n // 2 + 1)
    return slice(round(n * _EDGE), n - round(n * _EDGE))


def _amplitudes(side: int) -> np.ndarray:
    """(side, side // 2 + 1): factor of the coefficient of each frequency."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    waves = side * np.maximum(frequency, 1 / side)  # per image, at least one
    amplitudes: np.ndarray = side**2 / 4 / _WAVES * (_WAVES / waves) ** _POWER
    return amplitudes


def _transform(images: "tf.Tensor", side: int, shift: int, move: "tf.Tensor") -> "tf.Tensor":
    """A window of each image, rotated, scaled and shifted.

    Parameters
    ----------
    images : (n, canvas, canvas, 3) from 0 to 1; gray outside.
    move : (n, 4) from -1 to 1: rotation, scale, shift to the right and down.

    Returns
    -------
    (n, side, side, 3) from 0 to 1.
    """
    import tensorflow as tf

    angle, size, right, down = tf.unstack(move, axis=1)
    size = 1 + _SIZE * size
    cosine, sine = tf.cos(_TURN * angle) / size, tf.sin(_TURN * angle) / size
    # Without the shift, the middle of the window is that of the canvas.
    center, middle = (images.shape[1] - 1) / 2, (side - 1) / 2
    zero = tf.zeros_like(angle)
    transformed = tf.raw_ops.ImageProjectiveTransformV3(
        images=images - 0.5,
        transforms=tf.stack(
            [
                *(cosine, -sine, center - (cosine - sine) * middle + shift * right),
                *(sine, cosine, center - (sine + cosine) * middle + shift * down),
                *(zero, zero),
            ],
            axis=1,
        ),
        output_shape=(side, side),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return transformed + 0.5


def _copy(graph: "keras.Model", output: "keras.KerasTensor", side: int, to_ascend: bool) -> "keras.Model":
    """A copy of the graph up to an output, for images of another size.

    Parameters
    ----------
    to_ascend : leave out a ReLU at the end, since the ascent would stop where it is flat, and let those before it pass
        a gradient where it would vanish.
    """
    import keras

    cut = keras.Model(graph.input, output)
    last = output._keras_history.operation

    def copy_layer(layer: keras.Layer) -> keras.Layer:
        # Nothing is drawn at random: that would change the weights of untrained models that are built meanwhile.
        settings = {
            name: "zeros" if name.endswith("_initializer") else value
            for name, value in layer.get_config().items()
        }
        if "seed" in settings:
            settings["seed"] = 0
        rectifier = _rectifier(layer) if to_ascend else None
        if rectifier is None:
            return type(layer).from_config(settings)
        if layer is last:
            rectifier = keras.activations.linear
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.Activation(rectifier, name=layer.name)
        copied = type(layer).from_config({**settings, "activation": "linear"})
        copied.activation = rectifier
        return copied

    network = keras.models.clone_model(cut, keras.Input((side, side, 3)), clone_function=copy_layer)
    network.set_weights(cut.get_weights())
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    return network


def _rectifier(layer: "keras.Layer") -> Callable[[Any], Any] | None:
    """A replacement of the layer's ReLU with the same values; None where it has none.

    Its gradient is that of ReLU, unless that is zero for the whole image: then the gradient passes, except where it would
    push values further down. The authors' code does the same (tensorflow/lucid, misc/redirected_relu_grad.py).
    """
    import keras
    import tensorflow as tf

    top: float | None
    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold:
        top = math.inf if layer.max_value is None else float(layer.max_value)
    else:
        tops = {keras.activations.relu: math.inf, keras.activations.relu6: 6.0}
        top = tops.get(getattr(layer, "activation", None))
    if top is None:
        return None

    def rectify(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            passed = tf.where((x > 0) & (x < top), upstream, 0.0)
            rising = tf.where((x <= 0) & (upstream > 0), 0.0, upstream)
            alive = tf.reduce_any(passed != 0, axis=range(1, len(x.shape)), keepdims=True)
            return tf.where(alive, passed, rising)

        return tf.clip_by_value(x, 0.0, top), gradient

    rectified: Callable[[Any], Any] = tf.custom_gradient(rectify)
    return rectified
