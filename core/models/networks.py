"""Networks with weights, ready to be compiled.

Where OpenVINO runs them, a network is converted at its first use and kept in a file. From then on no process needs
TensorFlow to run it.
"""

import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from core import lock
from core.errors import DiskError
from core.models import network_file, runtime, weights
from core.models.definition import Model, OwnNetwork
from core.models.network_file import DamagedNetworkError
from core.models.runtime import Network, OpenVINONetwork, TensorFlowNetwork
from core.progress import Progress, Silent
from core.settings import settings

_SUFFIX = ".network"
# Those that convert a network, and the one that reads it.
_PACKAGES = ("keras", "tensorflow", "openvino")
# Another process that converts takes seconds; one that takes longer hangs.
_PATIENCE = 120.0
_log = logging.getLogger(__name__)


def load(model: Model, weights_: str | os.PathLike[str], progress: Progress | None = None) -> Network:
    """The network of a model.

    Parameters
    ----------
    weights_, progress : as for :func:`core.models.weights.load`.

    Raises
    ------
    UnknownNameError, WeightsError : as :func:`core.models.weights.load`.
    """
    if isinstance(model.weights, OwnNetwork):
        weights.provenance(model, weights_)
        return model.weights.load(model, progress or Silent())
    if runtime.name() != "openvino":
        return TensorFlowNetwork(model, weights.load(model, weights_, progress)[0])
    origin = weights.provenance(model, weights_)
    if not origin.fingerprint:
        # Keras has yet to download them; nobody waits for that.
        _, origin = weights.load(model, weights_, progress)
    return _read(model, origin) or _export(model, weights_, origin, progress)


def is_exported(model: Model, weights_: str | os.PathLike[str]) -> bool:
    """Whether :func:`load` needs no TensorFlow, unless the file is damaged; raises as :func:`load`."""
    if isinstance(model.weights, OwnNetwork):
        return True
    return runtime.name() == "openvino" and _path(model, weights.provenance(model, weights_)).is_file()


def folder() -> Path:
    """Where the files are."""
    if settings.NETWORKS_DIR is not None:
        return settings.NETWORKS_DIR
    import platformdirs

    return platformdirs.user_cache_path("embedding-playground", appauthor=False) / "networks"


def _export(
    model: Model, weights_: str | os.PathLike[str], origin: weights.Provenance, progress: Progress | None
) -> Network:
    # Only saves work: what two processes write at the same time is the same.
    with lock.waiting(folder(), _PATIENCE):
        # Another process may have exported it meanwhile.
        if (found := _read(model, origin)) is not None:
            return found
        graph, _ = weights.load(model, weights_, progress)
        network = runtime.of_graph(model, graph)
        if isinstance(network, OpenVINONetwork):
            try:
                network_file.write(_path(model, origin), network.network, _key(model, origin))
                _limit(_path(model, origin))
            except (OSError, DiskError) as error:
                _log.warning("The network of %s can't be kept for the next time: %s", model.title, error)
        return network


def _read(model: Model, origin: weights.Provenance) -> Network | None:
    """The network from its file; None without a usable one."""
    path = _path(model, origin)
    try:
        network = network_file.read(path, _key(model, origin))
    except FileNotFoundError:
        return None
    except (ImportError, OSError, DamagedNetworkError) as error:
        _log.warning("The file %s is not used: %s. It is made again.", path.name, error)
        return None
    with suppress(OSError):
        # The least recently used ones are removed first.
        os.utime(path)
    return OpenVINONetwork(model, network)


def _limit(newest: Path) -> None:
    """Remove the least recently used files until all together are within the limit, and what killed processes left."""
    files = []
    for path in folder().iterdir():
        with suppress(OSError):
            status = path.stat()
            if path.suffix == ".part" and time.time() - status.st_mtime > _PATIENCE:
                path.unlink()
            elif path.suffix == _SUFFIX:
                files.append((path == newest, status.st_mtime_ns, status.st_size, path))
    total = sum(size for *_, size, _ in files)
    for *_, size, path in sorted(files):
        if total > settings.MAX_NETWORK_BYTES:
            path.unlink(missing_ok=True)
            total -= size


def _path(model: Model, origin: weights.Provenance) -> Path:
    return folder() / f"{model.name}-{_key(model, origin)[:32]}{_SUFFIX}"


def _key(model: Model, origin: weights.Provenance) -> str:
    """A digest of everything that a converted network depends on."""
    facts = {
        "weights": origin.fingerprint,
        "model": [model.name, model.input_size, repr(model.preprocessing), repr(model.layers)],
        "versions": [importlib.metadata.version(package) for package in _PACKAGES],
        "code": _code(getattr(model.build, "func", model.build).__module__),
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _code(family: str) -> str:
    """A digest of this package and of the module that builds a model."""
    digest = hashlib.sha256()
    for path in [*sorted(Path(__file__).parent.rglob("*.py")), Path(str(sys.modules[family].__file__))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
