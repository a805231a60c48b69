"""Scanning sources: their images spread over shards, each with a plan, and the manifest that describes them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from core.data import image_lists
from core.data.image_sources import ImageSource, SourceError, is_file
from core.errors import ShardError
from core.progress import Progress, Silent
from core.shards import list_file, listing, manifest, plan, shard_file
from core.shards.manifest import Configuration, Manifest, Source, Update
from core.shards.plan import Listed
from core.shards.shard_store import Store

SHARD_SIZE = 5_000


class Stored(Protocol):
    """What a collection has stored."""

    update: Update

    def present(self, listed: Sequence[Listed]) -> set[str]:
        """The paths of the images that are stored and unchanged."""

    def holds(self, source: Source) -> bool:
        """Whether it has images from a source."""


def scan(
    store: Store,
    sources: Sequence[ImageSource],
    configuration: Configuration,
    *,
    shards: int | None = None,
    shard_size: int = SHARD_SIZE,
    stored: Stored | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write the plans of all shards and then the manifest; shards whose plan is the same as before stay valid.

    Parameters
    ----------
    shards : how many; default: so many that they have about ``shard_size`` images each.
    stored : for an update of a collection: its unchanged images are listed and not extracted, and sources that can't be read or
        hold no images now are noted in the manifest.

    Raises
    ------
    SourceError : a source can't be read, or a list names no existing file.
    ShardError : the folder holds shards of another configuration, or can't be written.
    """
    progress = progress or Silent()
    check_before(store, configuration)
    described, found, left_out = [], [], 0
    all_described = listing.describe(sources, lenient=stored is not None)
    listing_part, planning = progress.divide(1, 1)
    listing_part.stage("listing", len(all_described))
    for place in range(len(all_described)):
        source, images, hidden = listed_in(store, all_described, place, stored)
        described.append(source)
        found += images
        left_out += hidden
        listing_part.step()
    shards = shards or shards_for(len(found), shard_size)
    versions, plans, total = manifest.versions(), [], 0
    by_shard: list[list[Listed]] = [[] for _ in range(shards)]
    for one in found:
        by_shard[plan.shard_of(one.path, shards)].append(one)
    planning.stage("planning", shards)
    for shard, listed in enumerate(by_shard):
        merged = plan.merged(listed, listing.lists(described))
        if stored is not None:
            present = stored.present(merged)
            merged = [replace(one, present=one.path in present) for one in merged]
        if merged:
            plan.write(store, shard, shards, merged)
        plans.append(plan.digest(merged, configuration, versions))
        total += len(merged)
        planning.step()
    written = Manifest(
        configuration=configuration,
        versions=versions,
        sources=tuple(described),
        plans=tuple(plans),
        images=total,
        left_out=left_out,
        update=None if stored is None else stored.update,
    )
    finish(store, written)
    return written


def shards_for(images: int, size: int) -> int:
    """How many shards so many images take, with about ``size`` in each."""
    return max(1, -(-images // size))


def check_before(store: Store, configuration: Configuration) -> None:
    """Raises ShardError when the folder holds shards of another configuration."""
    if manifest.NAME not in store.names():
        return
    if differences := manifest.read(store).configuration.differences(configuration):
        raise ShardError(
            f"{store.place!r} holds shards of another configuration ({'; '.join(differences)}); choose another folder."
        )


def listed_in(
    store: Store, described: Sequence[Source], place: int, stored: Stored | None = None
) -> tuple[Source, list[Listed], int]:
    """The source at a place with its images and the number of hidden files; the rows of a list are written. Raises as :func:`scan`."""
    source = described[place]
    try:
        if source.problem is not None:
            raise SourceError(source.problem)
        if stored is not None and source.kind in ("file", listing.LIST) and not is_file(source.path):
            raise SourceError(f"The file {source.path!r} does not exist.")
        if source.kind == listing.LIST:
            rows = list(image_lists.read(Path(source.path), source.path_column))
            list_file.write(store, place, rows)
            return source, list(listing.of_rows(rows, source.path, place)), 0
        entries = list(listing.entries(described, place))
    except SourceError as error:
        if stored is None:
            raise
        return source.model_copy(update={"problem": str(error)}), [], 0
    images = [entry for entry in entries if isinstance(entry, Listed)]
    if stored is not None and all(image.problem for image in images) and stored.holds(source):
        problem = (
            f"{source.path!r} holds no images now. If its disk is connected and they are really gone, use "
            "`playground collection remove` with the same path."
        )
        return source.model_copy(update={"problem": problem}), [], 0
    return source, images, len(entries) - len(images)


def finish(store: Store, written: Manifest) -> None:
    """Write the manifest of a scan, and remove the files of an earlier one that it has no use for."""
    manifest.write(store, written)
    shards = range(written.shards)
    kept = {name(shard, written.shards) for name in (plan.name, shard_file.name) for shard in shards}
    kept |= {list_file.name(place) for place in listing.lists(written.sources)}
    # With a dot, parts of files whose writer was killed.
    kinds = tuple(f"{dot}{kind}-" for dot in ("", ".") for kind in ("plan", "shard", "list"))
    store.remove({name for name in store.names() - kept if name.startswith(kinds)})
