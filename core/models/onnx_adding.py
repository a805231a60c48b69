"""Add ONNX files as models, and remove them."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core import access, disk
from core.errors import OnnxError, UnknownNameError
from core.models import added_folder, added_models, architecture, file_hash, onnx_check
from core.models.added_folder import folder
from core.models.added_models import DESCRIPTION, NAME, Stored, StoredLayer, StoredTap, names
from core.models.architecture import Architecture, NetworkLayer
from core.models.definition import Model
from core.models.onnx_check import FoundTensor, Inspection
from core.models.onnx_description import MOST_LAYERS, Description, LayerChoice
from core.models.onnx_weights import Tap
from core.settings import settings


@dataclass(frozen=True)
class InspectedFile:
    """An ONNX file that was inspected, before its layers are chosen."""

    path: Path
    name: str
    description: Description
    inspection: Inspection

    @property
    def choices(self) -> tuple[LayerChoice, ...]:
        """The layers that are proposed: those of the description, or the most telling tensors and the class token of the last."""
        if self.description.layers is not None:
            return self.description.layers
        names = self.inspection.proposed
        found = [LayerChoice(tensor=name) for name in names]
        tensors = {tensor.name: tensor for tensor in self.inspection.tensors}
        if names and tensors[names[-1]].prefix:
            # The first is the one that says least.
            found = found[1:] if len(found) == MOST_LAYERS else found
            found.append(LayerChoice(tensor=names[-1], tokens="cls"))
        return tuple(found)


def check_name(name: str, taken: Sequence[str]) -> None:
    """Raises OnnxError where a model can't have this name: it has other characters, or another model or imported vectors have it.

    Parameters
    ----------
    taken : names of models that were not added, of combinations, and of imported vectors.
    """
    if not NAME.fullmatch(name):
        raise OnnxError(
            f"A model can't be named {name[:80]!r}: lower case letters, digits, - and _, at most 63, the first a letter or digit (--name)."
        )
    if name in taken or name in names():
        raise OnnxError(
            f"There is a model, or imported vectors, named {name!r} already; choose another name (--name), or remove those first."
        )


def inspect(path: Path, name: str, description: Description) -> InspectedFile:
    """Look into an ONNX file, in a process of its own; raises OnnxError where it can't be used."""
    reading = onnx_check.Reading(
        path.resolve(), description.layout, description.input_size, most_layers=MOST_LAYERS
    )
    return InspectedFile(path.resolve(), name, description, onnx_check.inspect(reading))


def add(candidate: InspectedFile, choices: Sequence[LayerChoice]) -> Model:
    """Check the chosen layers by running them, and add the model.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : the graph has no such tensor.
    OnnxError : the file can't be run, a tensor has no class token, or the choice is of no or too many layers.
    DiskError : the disk is nearly full.
    UserError : another process adds or removes models.
    """
    access.require_full("add a model")
    found, about = candidate.inspection, candidate.description
    if not 0 < len(choices) <= MOST_LAYERS or len({one.layer for one in choices}) < len(choices):
        raise OnnxError(
            f"A model has 1 to {MOST_LAYERS} layers of different names; {len(choices)} were chosen."
        )
    order = {tensor.name: place for place, tensor in enumerate(found.tensors)}
    for one in choices:
        if one.tensor not in order:
            raise UnknownNameError(
                "tensor",
                one.tensor,
                [*found.proposed, "or another one that `playground models add --show` lists"],
            )
    choices = sorted(choices, key=lambda one: (order[one.tensor], one.tokens == "cls"))
    tensors = {tensor.name: tensor for tensor in found.tensors}
    taps = [_tap(one, tensors[one.tensor]) for one in choices]
    # Any other tensor can be looked at too.
    others = [
        _tap(LayerChoice(tensor=tensor.name), tensor)
        for tensor in found.tensors
        if tensor.name not in {tap.layer for tap in taps}
    ]
    files = [candidate.path, *(candidate.path.parent / name for name in found.external)]
    disk.require(settings.ADDED_MODELS_DIR, sum(file.stat().st_size for file in files))
    with added_folder.staging(candidate.name) as staged:
        for file in files:
            shutil.copyfile(file, staged / file.name)
        network = staged / candidate.path.name
        batched = onnx_check.verify(network, found.layout, found.size, about.preprocessing, taps)
        stored = Stored(
            format=1,
            name=candidate.name,
            description=about.model_copy(update={"layers": tuple(choices)}),
            files={file.name: file_hash.sha256(staged / file.name) for file in files},
            producer=found.producer,
            layout=found.layout,
            size=found.size,
            batched=batched,
            parameters=max(tensor.parameters for tensor in found.tensors),
            layers=tuple(
                StoredLayer(name=tap.layer, shape=tap.shape, parameters=tensors[tap.tensor].parameters)
                for tap in taps
            ),
            taps=tuple(StoredTap(**vars(tap)) for tap in (*taps, *others)),
        )
        disk.replace_file(staged / architecture.FILE, _architecture(candidate.name, found, taps))
        disk.replace_file(staged / DESCRIPTION, stored.model_dump_json(indent=1).encode())
        for file in files:
            _sync(staged / file.name)
        disk.sync_folder(staged)
        staged.rename(folder(candidate.name))
    return added_models.get(candidate.name)


def remove(name: str) -> None:
    """Delete an added model; what was computed with it elsewhere stays.

    Raises
    ------
    AccessError : this process is a read-only server.
    UnknownNameError : there is none of that name.
    UserError : another process adds or removes models.
    """
    access.require_full("remove a model")
    if name not in names():
        raise UnknownNameError("added model", name, names())
    added_folder.delete(name)


def _tap(choice: LayerChoice, tensor: FoundTensor) -> Tap:
    if choice.tokens == "patches":
        return Tap(choice.layer, tensor.name, tensor.layout, tensor.shape, tensor.prefix)
    if tensor.layout != "NLC" or not tensor.prefix:
        raise OnnxError(
            f"The tensor {tensor.name!r} has no class token before its patches; choose it without."
        )
    return Tap(choice.layer, tensor.name, "NLC", (1, 1, tensor.shape[2]), tensor.prefix, 0)


def _architecture(name: str, found: Inspection, taps: Sequence[Tap]) -> bytes:
    """The description of all tensors, those that are layers with their depth."""
    depths = {tap.layer: depth for depth, tap in enumerate(taps, 1)}
    fields = [field for field in NetworkLayer.__dataclass_fields__ if field != "depth"]
    rows = []
    for tensor in found.tensors:
        row = NetworkLayer(
            **{field: getattr(tensor, field) for field in fields}, depth=depths.get(tensor.name)
        )
        rows.append(row)
        # A layer of another name than its tensor, or one token of it.
        rows += [_row(tap, row, depths[tap.layer]) for tap in taps if tap.tensor == row.name != tap.layer]
    return architecture.text(Architecture(name, tuple(rows))).encode()


def _row(tap: Tap, tensor: NetworkLayer, depth: int) -> NetworkLayer:
    """The row of a layer that is taken from a tensor."""
    row = replace(
        tensor,
        name=tap.layer,
        shape=tap.shape,
        kernel=None,
        stride=None,
        own_parameters=0,
        own_multiply_adds=0,
        path=tensor.path + 1,
        depth=depth,
        inputs=(tensor.name,),
    )
    if tap.token is None:
        return replace(row, type="Patches")
    return replace(row, type="ClassToken", receptive_field=None, spacing=None, sees_all=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
