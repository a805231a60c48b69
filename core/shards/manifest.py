"""What a folder of shards holds: the configuration of its vectors, what made them, and the sources of its images."""

import importlib.metadata
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from pydantic_core import from_json

from core.data.image_sources import KINDS, ImageSource
from core.errors import ShardError, WeightsError, first_problem
from core.models import extractor, registry, runtime, weights
from core.shards.shard_store import Store

FORMAT = 1
NAME = "manifest.json"
# A manifest of more than this is none.
_MOST_BYTES = 64_000_000
# What decides about pixels and vectors besides the configuration, of Pillow's and libheif's own parts.
_PACKAGES = ("numpy", "pi-heif", "pillow")
_NETWORK_PACKAGES = ("keras", "openvino", "tensorflow")
_PILLOW_PARTS = (
    "avif",
    "jpg",
    "jpg_2000",
    "libjpeg_turbo",
    "libtiff",
    "littlecms2",
    "webp",
    "zlib",
    "zlib_ng",
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Configuration(_Part):
    """How images become vectors; ``weights`` is as ``core.models.weights`` takes them."""

    model: str
    weights: str
    weights_fingerprint: str
    layer: str
    pooling: str
    dimensions: PositiveInt

    @classmethod
    def of(cls, model: str, weights_: str, layer: str, pooling: str) -> Self:
        """A configuration of a model that is here.

        Raises
        ------
        UnknownNameError, WeightsError : there is no such model, layer or pooling, or its weights are not available.
        """
        definition = registry.get_model(model)
        shape = definition.layer(layer).shape
        extractor.check_pooling(pooling)
        fingerprint = weights.provenance(definition, weights_).fingerprint
        if not fingerprint:
            raise WeightsError(weights.availability(definition)[1])
        return cls(
            model=model,
            weights=weights_,
            weights_fingerprint=fingerprint,
            layer=layer,
            pooling=pooling,
            dimensions=extractor.dimensions(shape, pooling),
        )

    def differences(self, other: "Configuration") -> list[str]:
        """What is different in another configuration, as ``layer 'a' and 'b'``; weights are compared by their fingerprints."""
        names = ("model", "layer", "pooling", "dimensions")
        found = [
            f"{name} {getattr(self, name)!r} and {getattr(other, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
        if self.weights_fingerprint != other.weights_fingerprint:
            found.append(f"weights {_short(self)} and {_short(other)}")
        return found


def _short(configuration: Configuration) -> str:
    return configuration.weights_fingerprint[:12] or configuration.weights


class Source(_Part):
    """A source as it was listed.

    kind, path, path_column, label_level : of :class:`core.data.image_sources.ImageSource`, as the user gave them;
    derived_level : the level of the labels that the structure of a folder gave where the user gave none; digest : of a list;
    problem : why nothing of a remembered source was listed.
    """

    kind: Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")]
    path: str
    path_column: str | None = None
    label_level: Annotated[int, Field(ge=0)] | None = None
    derived_level: Annotated[int, Field(ge=0)] | None = None
    digest: str | None = None
    problem: str | None = None

    @property
    def level(self) -> int | None:
        """The level that decides about labels."""
        return self.derived_level if self.label_level is None else self.label_level

    def image_source(self) -> ImageSource:
        """With the level that decides about labels."""
        return ImageSource(self.kind, self.path, self.path_column, self.level)


class Update(_Part):
    """The collection that a scan is an update of, by its name, and the last run of an add or update before the scan."""

    collection: str
    run: int


class Manifest(_Part):
    """The manifest of a folder of shards.

    versions : of everything that decides about pixels, by name; sources : in the order in which an image belongs to the first;
    plans : the digest of the plan of each shard (:func:`core.shards.plan.digest`), empty where no image falls into it;
    images : their number in all shards; left_out : hidden and system files; update : of which collection, None for an add.
    """

    configuration: Configuration
    versions: dict[str, str]
    sources: tuple[Source, ...]
    plans: Annotated[tuple[str, ...], Field(min_length=1)]
    images: Annotated[int, Field(ge=0)]
    left_out: Annotated[int, Field(ge=0)] = 0
    update: Update | None = None

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self.plans)


def versions() -> dict[str, str]:
    """The versions of all libraries here that decide about pixels and vectors, by name."""
    import pi_heif
    from PIL import features

    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    found |= {f"pillow.{part}": str(features.version(part)) for part in _PILLOW_PARTS if features.check(part)}
    found["pi-heif.libheif"] = pi_heif.libheif_version()
    for name in _NETWORK_PACKAGES:
        if name != "openvino" or runtime.name() == "openvino":
            found[name] = importlib.metadata.version(name)
    return found


def version_differences(ones: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """What is different between two :func:`versions`, as ``pillow 12.3.0 and 13.0.0``."""
    return [
        f"{name} {ones.get(name, 'none')} and {others.get(name, 'none')}"
        for name in sorted(ones.keys() | others.keys())
        if ones.get(name) != others.get(name)
    ]


def check_here(manifest: Manifest) -> None:
    """Check that this machine computes the vectors that the manifest describes.

    Raises
    ------
    ShardError : it has other weights, or other versions of what decides about pixels.
    UnknownNameError, WeightsError : it does not have the model or its weights.
    """
    wanted = manifest.configuration
    here = Configuration.of(wanted.model, wanted.weights, wanted.layer, wanted.pooling)
    found = wanted.differences(here) or version_differences(manifest.versions, versions())
    if found:
        raise ShardError(
            f"This machine would compute other vectors than the manifest describes ({'; '.join(found)}). Install the same versions "
            "and weights, or scan the sources again."
        )


def write(store: Store, manifest: Manifest) -> None:
    """Write the manifest, after everything that it describes; raises as :meth:`Store.write`."""
    store.write(NAME, json.dumps({"format": FORMAT, **manifest.model_dump()}, indent=1).encode())


def read(store: Store) -> Manifest:
    """The manifest of a folder of shards.

    Raises
    ------
    ShardError : there is none, it is damaged, or of another format.
    """
    if NAME not in store.names():
        raise ShardError(f"There are no shards in {store.place!r}: it has no {NAME}.")
    text = store.read(NAME)
    try:
        if len(text) > _MOST_BYTES:
            raise ValueError(f"it has {len(text):,} bytes")
        data: Any = from_json(text)
        if not isinstance(data, dict) or "format" not in data:
            raise ValueError("no manifest")
        found = data.pop("format")
        if found != FORMAT:
            raise ShardError(
                f"The shards in {store.place!r} have format {str(found)[:40]!r}, this version reads format {FORMAT}; update the project."
            )
        # Lists of JSON become tuples.
        return Manifest.model_validate_json(json.dumps(data))
    except ValidationError as error:
        reason = first_problem(error)
    except ValueError as error:
        reason = str(error)
    raise ShardError(
        f"The manifest of the shards in {store.place!r} is damaged ({reason}); scan the sources again."
    )
