"""Milvus: a collection in a cluster, or in Milvus Lite, which follows the catalog.

A transaction of the catalog that changes what Milvus has to know also writes the rows into the table ``outbox``. After the commit they are
written to Milvus and leave the table. Searches compare the rows in it one by one, so they are right whatever Milvus has received.
"""

import hashlib
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import sqlalchemy as sa

from core.collections import catalog, tombstones
from core.collections.catalog import Catalog
from core.collections.index import exact_search, milvus_filters
from core.collections.index.index_engine import Engine, ReplacedIndexError, Step
from core.collections.index.index_record import ServerIndex
from core.collections.index.server_search import REBUILD, ServerSnapshot, differences, tuned_effort
from core.collections.schema import images, outbox
from core.collections.snapshot import Snapshot, Where
from core.collections.state import About, State
from core.collections.vector_file import VectorFile
from core.errors import CollectionError
from core.metrics import Metric, get_metric
from core.settings import settings

_METRICS = {"cosine": "COSINE", "euclidean": "L2"}
# Parameters of a search that trade recall for time, by type of index.
_EFFORTS = {
    "HNSW": ("ef", (32, 64, 128, 256, 512)),
    "IVF_FLAT": ("nprobe", (8, 16, 32, 64, 128)),
    "IVF_PQ": ("nprobe", (8, 16, 32, 64, 128)),
    "DISKANN": ("search_list", (32, 64, 128, 256, 512)),
    "GPU_IVF_FLAT": ("nprobe", (8, 16, 32, 64, 128)),
    "GPU_IVF_PQ": ("nprobe", (8, 16, 32, 64, 128)),
    "GPU_CAGRA": ("itopk_size", (32, 64, 128, 256, 512)),
}
_GROUPS = 128
# What Milvus Lite has of them.
_LITE_KINDS = ("auto", "flat", "hnsw", "ivf_flat")
_MOST_DIMENSIONS = 32_768
# Milvus returns at most so many neighbors.
_MOST_NEIGHBORS = 16_384
_ROWS = 500
_SECONDS = 30
# How many times k candidates are asked for, until enough of them meet the conditions.
_DEPTHS = (2, 8, 32)
# The code of Milvus for a collection that does not exist.
_NO_COLLECTION = 100
_PACKAGE = "pymilvus; install it with `.venv/bin/python -m pip install -c constraints.txt -r requirements-milvus.txt`"
_log = logging.getLogger(__name__)


class MilvusEngine(Engine):
    """A collection of Milvus for each index, named after the identifier of the collection."""

    name = "milvus"
    description = "a collection in Milvus, for an index that needs several machines"
    kinds: ClassVar[dict[str, str]] = {
        "auto": "exact below 50,000 images, above a graph",
        "flat": "exact: every vector is compared",
        "hnsw": "a graph of near neighbors: fast, needs the most memory",
        "ivf_flat": "vectors in groups, the nearest groups are searched",
        "ivf_pq": "groups of compressed vectors: the least memory; needs a cluster",
        "diskann": "a graph on disk; needs a cluster",
        "gpu_ivf_flat": "as ivf_flat on a GPU; needs a cluster",
        "gpu_ivf_pq": "as ivf_pq on a GPU; needs a cluster",
        "gpu_cagra": "a graph on a GPU; needs a cluster",
    }

    metrics = tuple(_METRICS)
    candidates = ("flat", "hnsw", "ivf_flat")
    setting = ("MILVUS_URI", "http://host:19530")

    @classmethod
    def lacks(cls) -> str | None:
        if lacking := super().lacks():
            return f"{lacking}, or milvus.db for Milvus Lite"
        return None if find_spec("pymilvus") else _PACKAGE

    @classmethod
    def is_local(cls, about: About) -> bool:
        return False

    @classmethod
    def check(cls, about: About, kind: str, metric: Metric) -> None:
        if kind not in cls.kinds:
            raise CollectionError(f"Milvus has no index {kind!r}; choose {', '.join(cls.kinds)}.")
        if metric.name not in cls.metrics:
            raise CollectionError(
                f"Milvus has no metric {metric.name}; choose {', '.join(cls.metrics)}, or the engine faiss."
            )
        if about.dimensions > _MOST_DIMENSIONS:
            raise CollectionError(
                f"Milvus stores vectors of at most {_MOST_DIMENSIONS:,} numbers, these have {about.dimensions:,}; choose a pooling "
                "other than flatten, or the engine faiss."
            )
        with _reaching() as client:
            if kind not in _LITE_KINDS and client.get_server_version().startswith("milvus_lite"):
                raise CollectionError(
                    f"Milvus Lite has no index {kind!r}; choose {', '.join(_LITE_KINDS)}, or give the address of a cluster in "
                    "PLAYGROUND_MILVUS_URI."
                )

    def build(
        self,
        vectors: VectorFile,
        rows: int,
        metric: Metric,
        kind: str,
        step: Step = lambda n: None,
        old_rows: np.ndarray | None = None,
        described: Catalog | None = None,
    ) -> ServerIndex:
        name = f"{self._prefix}{secrets.token_hex(6)}"
        built = ServerIndex(name, _type_of(kind, rows), rows, 0)
        with _reaching() as client:
            self._create(client, built, metric)
            used = np.arange(rows)
            with (described or self.catalog).reading() as connection:
                if old_rows is None:
                    used = np.setdiff1d(used, tombstones.rows(connection))
                for first, block in vectors.chunks(0, rows):
                    inside = used[(used >= first) & (used < first + len(block))]
                    for start in range(0, len(inside), _ROWS):
                        part = inside[start : start + _ROWS]
                        known = part if old_rows is None else old_rows[part]
                        facts = milvus_filters.of_rows(connection, known.tolist())
                        client.insert(
                            name, _entities(part, block[part - first], [facts[row] for row in known.tolist()])
                        )
                    step(len(block))
            client.flush(name)
            client.load_collection(name)
            if built.factory in _EFFORTS and len(used) > 1:
                _, efforts = _EFFORTS[built.factory]

                def search(queries: np.ndarray, k: int, effort: int) -> list[np.ndarray]:
                    return _search(client, built, metric, queries, k, effort)

                built = replace(built, effort=tuned_effort(efforts, vectors.map(rows), used, metric, search))
        return built

    def grow(self, state: State, adding: bool, step: Step = lambda n: None) -> ServerIndex | None:
        known = self._own(state)
        if known is not None:
            outgrown = known.factory != _type_of(state.kind, state.rows)
            if adding or not outgrown:
                return None
        vectors = state.vectors(self.folder, self.about)
        return self.build(vectors, state.rows, get_metric(state.metric), state.kind, step)

    def put(self, connection: sa.Connection, state: State, rows: np.ndarray, vectors: np.ndarray) -> None:
        _post(connection, rows.tolist())

    def remove(self, connection: sa.Connection, state: State, rows: Sequence[int]) -> None:
        _post(connection, rows)

    def change(self, connection: sa.Connection, state: State, rows: Sequence[int]) -> None:
        _post(connection, rows)

    def commit(self, state: State) -> None:
        """Write the rows of the outbox to Milvus, as the catalog knows them; those that can't be written stay there."""
        known = self._own(state)
        if known is None:
            return
        stored = state.vectors(self.folder, self.about).map(state.rows)
        try:
            while True:
                with self.catalog.reading() as connection:
                    posted = list(
                        connection.scalars(sa.select(outbox.c.row).order_by(outbox.c.row).limit(_ROWS))
                    )
                    unused = tombstones.rows(connection)
                    used = np.setdiff1d(np.array(posted, np.int64), unused)
                    facts = milvus_filters.of_rows(connection, used.tolist())
                if not posted:
                    return
                with _reaching() as client:
                    if len(used):
                        client.upsert(
                            known.name, _entities(used, stored[used], [facts[row] for row in used.tolist()])
                        )
                    if gone := sorted(set(posted) - set(used.tolist())):
                        client.delete(known.name, ids=gone)
                with self.catalog.writing() as connection:
                    connection.execute(sa.delete(outbox).where(outbox.c.row.in_(posted)))
        except CollectionError as error:
            _log.warning("Milvus will receive the change of %r later. %s", self.about.name, error)

    def is_behind(self, connection: sa.Connection) -> bool:
        return connection.scalar(sa.select(outbox.c.row).limit(1)) is not None

    def open(
        self, state: State, vectors: VectorFile, tombstones: np.ndarray, old: Snapshot | None = None
    ) -> Snapshot:
        known = self._own(state)
        if known is None:
            return Snapshot(state, vectors, tombstones)
        return MilvusSnapshot(state, vectors, tombstones, known, self)

    def size(self, connection: sa.Connection, state: State) -> tuple[int, int]:
        # Milvus does not say how many bytes an index takes.
        known = self._own(state)
        return 0, state.rows - len(tombstones.rows(connection)) if known else 0

    def verify(self, connection: sa.Connection, state: State) -> Iterator[str]:
        known = self._own(state)
        if known is None:
            return
        waiting = np.array(connection.scalars(sa.select(outbox.c.row)).all(), np.int64)
        if len(waiting):
            yield f"Milvus has not received {len(waiting):,} changes yet; the next change of the collection sends them."
        used = np.setdiff1d(np.arange(state.rows), tombstones.rows(connection))
        used = np.setdiff1d(used, waiting)
        is_used = np.zeros(state.rows, bool)
        is_used[used] = True
        stored = state.vectors(self.folder, self.about).map(state.rows)
        seen, wrong = [np.empty(0, np.int64)], 0
        with _reaching() as client:
            if not client.has_collection(known.name):
                yield f"The index {known.name} is missing in Milvus. {REBUILD}"
                return
            pages = client.query_iterator(
                known.name,
                batch_size=_ROWS,
                output_fields=["id", "vector", "terms", "numbers"],
                consistency_level="Strong",
            )
            while page := pages.next():
                rows = np.array([entity["id"] for entity in page], np.int64)
                seen.append(rows)
                inside = [entity for entity in page if entity["id"] < state.rows and is_used[entity["id"]]]
                facts = milvus_filters.of_rows(connection, [entity["id"] for entity in inside])
                for entity in inside:
                    expected = _entities(
                        np.array([entity["id"]]), stored[[entity["id"]]], [facts[entity["id"]]]
                    )[0]
                    same = np.array_equal(
                        np.asarray(entity["vector"], np.float32), np.asarray(expected["vector"], np.float32)
                    )
                    same = same and set(entity["terms"]) == set(expected["terms"])
                    wrong += not (same and dict(entity["numbers"]) == expected["numbers"])
            pages.close()
        found = np.setdiff1d(np.concatenate(seen), waiting)
        yield from differences(found, used)
        if wrong:
            yield f"The index has {wrong:,} vectors or metadata other than the stored ones. {REBUILD}"

    def sweep(self, state: State) -> None:
        keep = state.index.name if isinstance(state.index, ServerIndex) else ""
        try:
            with _reaching() as client:
                for name in client.list_collections():
                    if name.startswith(self._prefix) and name != keep:
                        client.drop_collection(name)
        except CollectionError as error:
            _log.warning("Old indexes of %r stay in Milvus for now. %s", self.about.name, error)

    @property
    def _prefix(self) -> str:
        # With the place: a copy of the folder must not change the index of the original.
        place = Path(os.path.realpath(self.folder.parent), self.about.name)
        digest = hashlib.sha256(f"{self.about.uuid}\0{place}".encode()).hexdigest()
        return f"playground_{digest[:16]}_"

    def _own(self, state: State) -> ServerIndex | None:
        """The index of a state; None if there is none, or if it belongs to the collection that this one is a copy of."""
        known = state.index
        return known if isinstance(known, ServerIndex) and known.name.startswith(self._prefix) else None

    def _create(self, client: Any, built: ServerIndex, metric: Metric) -> None:
        from pymilvus import DataType

        fields = client.create_schema(auto_id=False, enable_dynamic_field=False)
        fields.add_field("id", DataType.INT64, is_primary=True)
        fields.add_field("vector", DataType.FLOAT_VECTOR, dim=self.about.dimensions)
        fields.add_field(
            "terms", DataType.ARRAY, element_type=DataType.INT64, max_capacity=milvus_filters.MOST_TERMS
        )
        fields.add_field("numbers", DataType.JSON)
        index = client.prepare_index_params()
        parameters: dict[str, Any] = {}
        if "IVF" in built.factory:
            parameters["nlist"] = max(1, min(round(built.rows**0.5), 16_384)) if built.rows else _GROUPS
        if "PQ" in built.factory:
            parts = range(1, min(64, max(1, self.about.dimensions // 4)) + 1)
            parameters["m"] = max(m for m in parts if self.about.dimensions % m == 0)
        if built.factory == "HNSW":
            parameters.update(M=32, efConstruction=80)
        index.add_index(
            "vector", index_type=built.factory, metric_type=_METRICS[metric.name], params=parameters
        )
        client.create_collection(built.name, schema=fields, index_params=index, consistency_level="Strong")


ENGINE = MilvusEngine


@dataclass(frozen=True, eq=False)
class MilvusSnapshot(ServerSnapshot):
    """A collection of Milvus, and the rows that it has not received."""

    engine: MilvusEngine

    def candidates(self, queries: np.ndarray, k: int, where: Where | None, effort: int) -> list[np.ndarray]:
        with self.connection(where) as connection:
            waiting = np.array(connection.scalars(sa.select(outbox.c.row)).all(), np.int64)
            expression = milvus_filters.expression(where.filter.conditions) if where else ""
            hidden = np.union1d(waiting, self.tombstones)
            own = self._meeting(
                connection, np.setdiff1d(waiting[waiting < self.state.rows], self.tombstones), where
            )
            found: list[np.ndarray] = []
            with _reaching() as client:
                for depth in _DEPTHS:
                    wanted = min(_MOST_NEIGHBORS, depth * k + len(waiting))
                    near = _search(client, self.index, self.metric, queries, wanted, effort, expression)
                    reached = all(len(rows) < wanted for rows in near) or wanted == _MOST_NEIGHBORS
                    near = [rows[(rows < self.state.rows) & ~np.isin(rows, hidden)] for rows in near]
                    found = [self._meeting(connection, rows, where) for rows in near]
                    if reached or all(len(rows) >= k for rows in found):
                        break
        return [np.concatenate([own, rows]) for rows in found]

    def _meeting(self, connection: sa.Connection, rows: np.ndarray, where: Where | None) -> np.ndarray:
        """Those of some rows that meet all conditions, in the same order."""
        if where is None or not where.expressions or not len(rows):
            return rows
        kept: set[int] = set()
        for part in catalog.chunks(rows.tolist()):
            query = sa.select(images.c.faiss_id).where(catalog.stored_at(part), *where.expressions)
            kept |= set(connection.scalars(query))
        return rows[np.isin(rows, sorted(kept))]


def _type_of(kind: str, rows: int) -> str:
    if kind == "auto":
        return "FLAT" if rows < exact_search.EXACT_BELOW else "HNSW"
    return kind.upper()


def _post(connection: sa.Connection, rows: Sequence[int]) -> None:
    """Put rows into the outbox."""
    for part in catalog.chunks(sorted(set(rows))):
        known = set(connection.scalars(sa.select(outbox.c.row).where(outbox.c.row.in_(part))))
        if new := [{"row": row} for row in part if row not in known]:
            connection.execute(sa.insert(outbox), new)


def _entities(
    rows: np.ndarray, vectors: np.ndarray, facts: Sequence[milvus_filters.Facts]
) -> list[dict[str, Any]]:
    return [
        {
            "id": int(row),
            "vector": np.asarray(vector, np.float32),
            "terms": fact.terms,
            "numbers": fact.numbers,
        }
        for row, vector, fact in zip(rows, vectors, facts, strict=True)
    ]


def _search(
    client: Any,
    known: ServerIndex,
    metric: Metric,
    queries: np.ndarray,
    k: int,
    effort: int,
    expression: str = "",
) -> list[np.ndarray]:
    parameters = {}
    if known.factory in _EFFORTS:
        name, _ = _EFFORTS[known.factory]
        parameters[name] = max(effort, k) if name != "nprobe" else effort
    found = client.search(
        known.name,
        data=[np.asarray(query, np.float32) for query in queries],
        anns_field="vector",
        filter=expression,
        limit=max(1, min(k, _MOST_NEIGHBORS)),
        search_params={"metric_type": _METRICS[metric.name], "params": parameters},
        consistency_level="Strong",
    )
    return [np.array([hit["id"] for hit in hits], np.int64) for hits in found]


@contextmanager
def _reaching() -> Iterator[Any]:
    """The client of Milvus; its errors become ours.

    Raises
    ------
    ReplacedIndexError : the index is not there.
    CollectionError : Milvus is not installed, not configured or not reached.
    """
    if lacking := MilvusEngine.lacks():
        raise CollectionError(f"The engine milvus needs {lacking}.")
    try:
        import grpc
        from pymilvus import MilvusException
    except ImportError:
        raise CollectionError(f"The engine milvus needs {_PACKAGE}.") from None
    try:
        yield _client(str(settings.MILVUS_URI), settings.MILVUS_TOKEN or "")
    except (MilvusException, grpc.RpcError, OSError, ImportError) as error:
        text = str(getattr(error, "message", "") or error).strip().splitlines()
        message = text[0][:200] if text else type(error).__name__
        if getattr(error, "code", None) == _NO_COLLECTION:
            raise ReplacedIndexError from None
        raise CollectionError(
            f"Milvus at {_address()} can't be used: {message}. What was stored is kept; start it, or move the collection with "
            "`playground collection migrate`."
        ) from None


def _address() -> str:
    """The address of Milvus without user and password."""
    return str(settings.MILVUS_URI).rpartition("@")[2]


@lru_cache(4)
def _client(uri: str, token: str) -> Any:
    from pymilvus import MilvusClient

    return MilvusClient(uri=uri, token=token, timeout=_SECONDS)
