"""The shards of a manifest: which of them are there, and extracting one."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from core.errors import ShardError
from core.models.image_embedder import Embedder
from core.progress import Progress
from core.shards import extraction, plan, shard_file
from core.shards.manifest import Configuration, Manifest
from core.shards.plan import Listed
from core.shards.shard_store import Store


def missing(store: Store, manifest: Manifest) -> list[int]:
    """The numbers of the shards that are not there, are damaged, or were extracted from another plan."""
    names = store.names()
    return [
        shard
        for shard, digest in enumerate(manifest.plans)
        if digest and not is_done(store, shard, manifest.shards, manifest.configuration, digest, names)
    ]


def is_done(
    store: Store,
    shard: int,
    shards: int,
    configuration: Configuration,
    digest: str,
    names: set[str] | None = None,
) -> bool:
    """Whether the shard of a plan with this digest is there; ``names`` are those in the store, where they are known."""
    if shard_file.name(shard, shards) not in (store.names() if names is None else names):
        return False
    try:
        return shard_file.digest(store, shard, shards, configuration) == digest
    except ShardError:
        return False


def extract(
    store: Store,
    shard: int,
    shards: int,
    listed: Sequence[Listed],
    configuration: Configuration,
    digest: str,
    embedder: Callable[[], Embedder],
    progress: Progress | None = None,
) -> Counter[str]:
    """Extract the images of a plan and write their shard, in place of an older one; returns how many are in each state.

    Parameters
    ----------
    digest : of the plan, :func:`core.shards.plan.digest`.
    embedder : called when the first image has to be embedded.

    Raises
    ------
    ShardError, DiskError : the shard can't be written.
    """
    rows = extraction.extract(listed, embedder, progress)
    shard_file.write(store, shard, shards, rows, configuration, digest)
    return Counter(row.state for row in rows)


def extract_planned(
    store: Store,
    manifest: Manifest,
    shards: Iterable[int],
    load: Callable[[Configuration], Embedder],
    progress: Progress,
) -> Iterator[Counter[str]]:
    """Extract some shards by their plans in the store; yields the counts of each. The model is loaded once, when it is needed.

    Raises
    ------
    ShardError, DiskError : a plan can't be read or is of another scan, or a shard can't be written; the shards before are complete.
    """
    configuration, count = manifest.configuration, manifest.shards
    embedder = cache(lambda: load(configuration))
    wanted = list(shards)
    for shard, part in zip(wanted, progress.divide(*[1] * len(wanted)), strict=True):
        listed = planned(store, manifest, shard)
        part.stage(f"shard {shard} of {count}", len(listed))
        yield extract(store, shard, count, listed, configuration, manifest.plans[shard], embedder, part)


def planned(store: Store, manifest: Manifest, shard: int) -> list[Listed]:
    """The plan of a shard; raises ShardError when it can't be read or is of another scan than the manifest."""
    listed = plan.read(store, shard, manifest.shards)
    if plan.digest(listed, manifest.configuration, manifest.versions) != manifest.plans[shard]:
        raise ShardError(
            f"{plan.name(shard, manifest.shards)!r} in {store.place!r} is of another scan than the manifest; scan the sources again."
        )
    return listed
