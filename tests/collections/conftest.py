import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import settings
from tests.collections import postgres


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    binaries = postgres.programs()
    if binaries is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(postgres.HOW)
    with postgres.server(binaries) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where collections lie, with catalogs in SQLite."""
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    monkeypatch.setattr(settings, "MILVUS_URI", None)
    return settings.COLLECTIONS_DIR


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def anywhere(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where collections lie, with catalogs in each kind of database in turn."""
    if request.param == "postgresql":
        monkeypatch.setattr(settings, "CATALOG_URL", request.getfixturevalue("postgresql_url"))
    return folder
