"""The input that excites a channel most.

Gradient ascent on a picture that is kept as the coefficients of its Fourier transform, scaled so that coarse and fine
detail are learned alike, in colors without correlation, under small random moves, so that what comes out does not hang on
single pixels: Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError
from core.models import intermediate, registry
from core.progress import Progress

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STEPS = 112

# Pixels of the input between neighboring positions of a layer -> side of the picture, so that it shows several positions
# and most of what one of them sees. The smaller the picture, the faster.
_SIDES = {1: 32, 2: 48, 4: 80, 8: 112, 16: 144, 32: 160}
# From this spacing on, one position sees all of the picture: what excites the middle one shows an object, where the mean
# over all would show pieces of it everywhere. Below, it shows a texture.
_WHOLE = 32
# There the strongest positions count, this part of them: what excites an edge can't be everywhere, and the mean over all
# positions is highest where the filter is left out of it, on a plain color.
_STRONG = 1 / 2
# Part of the sides of a picture that is left out at each edge: there the padding of the convolutions has its say.
_EDGE = 1 / 8
# Random moves in every step: turns in radians, sizes, and shifts as a part of the side.
_TURN, _SIZE, _SHIFT = 0.15, 0.1, 1 / 12

_RATE = 0.05
_START = 0.01
# Amplitudes fall with frequency to this power, a little faster than those of photographs, from what the authors give
# a frequency of this many waves in the picture.
_POWER = 1.2
_WAVES = 8
# Colors of photographs as uncorrelated directions: the square root of their covariance in ImageNet
# (tensorflow/lucid, optvis/param/color.py), brought to a largest column of length one.
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
    """A picture for each of some channels of a layer, made to excite it as much as possible.

    A channel's picture is the same each time, and whatever others are made with it, up to rounding.

    Parameters
    ----------
    graph : as ``core.models.weights.load`` gives it.
    channels : from 0.
    progress : told of every step; whatever it raises ends the ascent.

    Returns
    -------
    pictures : (len(channels), side, side, 3) uint8, RGB; the coarser the layer, the larger the side.

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
    rows, columns = (_looked_at(n, spacing) for n in network.output.shape[1:3])
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

    @tf.function(input_signature=[tf.TensorSpec(moves.shape[1:])], autograph=False)
    def ascend(move: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            seen = _moved(paint(), side, shift, move)
            answers = network(model.preprocessing(255 * seen), training=False)
            mine = tf.reduce_sum(answers[:, rows, columns] * wanted, axis=3)
            strongest = tf.math.top_k(tf.reshape(mine, (len(channels), -1)), n_strong).values
            loss = -tf.reduce_sum(strongest) / n_strong
        adam.apply(tape.gradient(loss, [waves]), [waves])

    progress.stage(f"pictures for {layer}", steps)
    # Traced by hand: TensorFlow would warn of functions that are traced again and again.
    ascend = ascend.get_concrete_function()
    for move in moves:
        ascend(tf.constant(move))
        progress.step()
    edge = shift + round(side * _EDGE)
    return np.round(paint()[:, edge:-edge, edge:-edge].numpy() * 255).astype(np.uint8)


def peaks(
    graph: "keras.Model", model: registry.Model, layer: str, channels: Sequence[int], pictures: np.ndarray
) -> np.ndarray:
    """The highest activation of each channel on the picture of the same place.

    Parameters
    ----------
    pictures : (n, side, side, 3) uint8 of any side, one for each of n channels, seen at that size.

    Returns
    -------
    peaks : (n,) float32.

    Raises
    ------
    UserError : as :func:`visualize`.
    """
    output = _output(graph, model, layer, channels)
    network = _copy(graph, output, pictures.shape[1], to_ascend=False)
    answers = network(model.preprocessing(pictures.astype(np.float32)), training=False).numpy()
    return answers.max(axis=(1, 2))[np.arange(len(channels)), list(channels)]


def _output(
    graph: "keras.Model", model: registry.Model, layer: str, channels: Sequence[int]
) -> "keras.KerasTensor":
    output = intermediate.output(graph, model, layer)
    n = output.shape[-1]
    for channel in channels:
        if not 0 <= channel < n:
            raise UserError(f"{layer} of {model.title} has the channels 0 to {n - 1}, not {channel}.")
    return output


def _spacing(model: registry.Model, output: "keras.KerasTensor") -> int:
    """About how many pixels of the input lie between neighboring positions: a power of two."""
    return 2 ** min(5, max(0, round(math.log2(model.input_size / output.shape[1]))))


def _looked_at(n: int, spacing: int) -> slice:
    """Those of n positions in a row whose answers are to grow."""
    if spacing >= _WHOLE:
        return slice((n - 1) // 2, n // 2 + 1)
    return slice(round(n * _EDGE), n - round(n * _EDGE))


def _amplitudes(side: int) -> np.ndarray:
    """(side, side // 2 + 1): how much the coefficient of each frequency counts in the picture."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    waves = side * np.maximum(frequency, 1 / side)  # in the picture, from one
    return side**2 / 4 / _WAVES * (_WAVES / waves) ** _POWER


def _moved(pictures: "tf.Tensor", side: int, shift: int, move: "tf.Tensor") -> "tf.Tensor":
    """A window of each picture, turned, scaled and shifted.

    Parameters
    ----------
    pictures : (n, canvas, canvas, 3) from 0 to 1; gray lies around them.
    move : (n, 4) from -1 to 1: turn, size, shift to the right and down.

    Returns
    -------
    (n, side, side, 3) from 0 to 1.
    """
    import tensorflow as tf

    angle, size, right, down = tf.unstack(move, axis=1)
    size = 1 + _SIZE * size
    cosine, sine = tf.cos(_TURN * angle) / size, tf.sin(_TURN * angle) / size
    # The middle of the window falls on the middle of the canvas, but for the shift.
    center, middle = (pictures.shape[1] - 1) / 2, (side - 1) / 2
    zero = tf.zeros_like(angle)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures - 0.5,
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
    return moved + 0.5


def _copy(graph: "keras.Model", output: "keras.KerasTensor", side: int, to_ascend: bool) -> "keras.Model":
    """The graph up to an output for pictures of another size; the graph itself is left alone.

    Parameters
    ----------
    to_ascend : a rectifier at the end is left out, since the ascent would end where it is flat, and those before pass
        a gradient where it would be lost.
    """
    import keras

    cut = keras.Model(graph.input, output)
    last = output._keras_history.operation

    def copy_layer(layer: keras.Layer) -> keras.Layer:
        # Nothing is drawn at random: the process's random numbers belong to those who build untrained models.
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
    """A stand-in for the layer's ReLU with the same values; None where it has none.

    Its gradient is that of ReLU, unless none of a picture's gets through: then all of it does but what would push
    further down. So does the authors' code (tensorflow/lucid, misc/redirected_relu_grad.py).
    """
    import keras
    import tensorflow as tf

    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold:
        top = math.inf if layer.max_value is None else float(layer.max_value)
    else:
        tops = {keras.activations.relu: math.inf, keras.activations.relu6: 6.0}
        top = tops.get(getattr(layer, "activation", None))
    if top is None:
        return None

    @tf.custom_gradient
    def rectify(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            passed = tf.where((x > 0) & (x < top), upstream, 0.0)
            rising = tf.where((x <= 0) & (upstream > 0), 0.0, upstream)
            alive = tf.reduce_any(passed != 0, axis=range(1, len(x.shape)), keepdims=True)
            return tf.where(alive, passed, rising)

        return tf.clip_by_value(x, 0.0, top), gradient

    return rectify
