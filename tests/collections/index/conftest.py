"""The engines that the contract is tested on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.collections import Collection
from core.settings import settings
from tests.collections.pixels import create


@dataclass(frozen=True)
class Case:
    """An engine with its kinds of index, the recall@10 that each states, and the metrics it has."""

    engine: str
    recalls: dict[str, float]
    metrics: tuple[str, ...]

    def create(self, name: str = "pets", **options: str) -> Collection:
        return create(name, engine=self.engine, **options)


CASES = [
    Case(
        "faiss",
        {"flat": 1, "hnsw": 0.95, "ivf": 0.95, "ivfpq": 0.95},
        ("cosine", "euclidean", "manhattan", "chebyshev"),
    ),
    Case("pgvector", {"flat": 1, "hnsw": 0.95}, ("cosine", "euclidean", "manhattan")),
    Case("milvus", {"flat": 1, "hnsw": 0.95, "ivf_flat": 0.95}, ("cosine", "euclidean")),
]


def marked(case: Case, *values: str) -> Any:
    """Values of a parametrized test; one that starts a server is slow."""
    marks = () if case.engine == "faiss" else pytest.mark.slow
    return pytest.param(case, *values, marks=marks, id="-".join([case.engine, *values]))


@pytest.fixture(params=[marked(case) for case in CASES])
def case(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """An engine, ready to be used."""
    if request.param.engine == "pgvector":
        monkeypatch.setattr(settings, "CATALOG_URL", request.getfixturevalue("pgvector_url"))
    if request.param.engine == "milvus":
        monkeypatch.setattr(settings, "MILVUS_URI", request.getfixturevalue("milvus_uri"))
    # What is few there would be everything here.
    monkeypatch.setattr("core.collections.index.faiss_index._FEW", 20)
    monkeypatch.setattr("core.collections.index.server_search.FEW", 20)
    yield request.param
