"""What layers cost on this machine, measured apart from experiments and kept beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, with_config

from core import access, disk, lock
from core.errors import GridError, UserError, first_problem
from core.experiments import layer_cost
from core.models import networks, registry, runtime, weights
from core.progress import Progress

if TYPE_CHECKING:
    import keras

FILE = "costs-here.json"
FORMAT = 1
RUNTIMES = ("tensorflow", "openvino")


@with_config(ConfigDict(strict=True, allow_inf_nan=False))
@dataclass(frozen=True)
class Measured:
    """Milliseconds per image to each layer, by model, with one runtime; and the conditions they were measured under."""

    ms_per_image: dict[str, dict[str, float]]
    conditions: dict[str, Any]


class _Version(BaseModel):
    format: int


class _File(_Version):
    runtimes: dict[str, Measured]


def measure(
    models: Sequence[str], runtimes: Sequence[str], folder: Path, progress: Progress
) -> dict[str, Measured]:
    """Time a forward pass to the eight layers of some models with some runtimes, and keep it in ``folder``.

    What was measured before of other models and runtimes on this processor is kept. Each model is written when it is measured.

    Raises
    ------
    AccessError : this process is a read-only server.
    UserError : OpenVINO is asked for and can't run here, weights are missing, or another process measures.
    """
    access.require_full("measure this machine")
    disk.require(folder)
    with lock.writing(folder):
        try:
            found = dict(read(folder))
        except GridError:
            found = {}
        for name, part in zip(models, progress.divide(*[1] * len(models)), strict=True):
            model = registry.get_model(name)
            part.stage(f"loading {name}", 0)
            # A model without code to build it is an ONNX file, which OpenVINO alone runs.
            built = None if model.build is None else weights.load(model, weights.IMAGENET, part)[0]
            kinds = runtimes if built is not None else [one for one in runtimes if one == "openvino"]
            for kind, timing in zip(kinds, part.divide(*[1] * len(kinds)), strict=True):
                network = (
                    networks.load(model, weights.trained(model), timing)
                    if built is None
                    else _network(kind, model, built)
                )
                timing.stage(f"{name} with {kind}", len(model.layers))
                layers = [layer.name for layer in model.layers]
                cost = layer_cost.measure(model, network, layers, timing.step)
                before = found.get(kind)
                same = before is not None and before.conditions["processor"] == cost.conditions["processor"]
                kept = before.ms_per_image if before is not None and same else {}
                found[kind] = Measured({**kept, name: cost.ms_per_image}, cost.conditions)
                _write(folder, found)
    return found


def _network(kind: str, model: registry.Model, graph: "keras.Model") -> runtime.Network:
    if kind == "tensorflow":
        return runtime.TensorFlowNetwork(model, graph)
    try:
        return runtime.OpenVINONetwork(model, runtime.convert(model, graph))
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"OpenVINO can't run {model.name} here ({type(error).__name__}); measure it with --runtime tensorflow."
        ) from None


def read(folder: Path) -> Mapping[str, Measured]:
    """What was measured, by runtime; empty where nothing was.

    Raises
    ------
    GridError : the file is damaged or of another format.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
        if _Version.model_validate_json(data).format != FORMAT:
            raise GridError(
                f"{FILE} is of another format than {FORMAT}; `playground bench-here` writes it again."
            )
        found = _File.model_validate_json(data).runtimes
        if not all("processor" in one.conditions for one in found.values()):
            raise GridError(f"{FILE} does not name the processor; `playground bench-here` writes it again.")
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else type(error).__name__
        raise GridError(f"{FILE} is damaged ({reason}); `playground bench-here` writes it again.") from None


def _write(folder: Path, found: Mapping[str, Measured]) -> None:
    content = {"format": FORMAT, "runtimes": {kind: asdict(one) for kind, one in found.items()}}
    disk.replace_file(folder / FILE, json.dumps(content, indent=1, ensure_ascii=False).encode())
