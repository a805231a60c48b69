"""A read-only server changes nothing: every action that changes something is refused, and all others go on."""

import ast
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core import access, cli, collections, download
from core.collections import (
    Collection,
    backup,
    collection_projection,
    export,
    labelled_dataset,
    schema,
    staging,
)
from core.collections.uploads import Upload
from core.data import added_datasets
from core.errors import AccessError, UserError
from core.experiments import (
    combination_adding,
    machine_costs,
    measure_run,
    robustness_run,
    runner,
    vector_import,
)
from core.features import compute
from core.models import keras_weights, onnx_adding, package_install, registry
from core.progress import Silent
from core.published import convert, repository
from core.server import api
from core.settings import load, settings
from tests.collections import pixels
from tests.conftest import ROOT
from tests.experiments.synthetic import draw_dataset

# What a collection can be asked to do; a new public name belongs to one of these.
CHANGES: dict[str, Callable[[Collection, Path], object]] = {
    "create": lambda pets, photos: pixels.create("more"),
    "create_empty": lambda pets, photos: Collection.create_empty(
        pets.about.model_copy(update={"name": "more"})
    ),
    "add": lambda pets, photos: pets.add([str(photos)]),
    "add_uploads": lambda pets, photos: pets.add_uploads(
        [Upload("a.png", io.BytesIO((photos / "cat" / "a.png").read_bytes()))]
    ),
    "add_vectors": lambda pets, photos: pets.add_vectors(["x"], np.ones((1, pets.about.dimensions))),
    "update": lambda pets, photos: pets.update(),
    "import_shards": lambda pets, photos: pets.import_shards(str(photos.with_name("shards"))),
    "remove": lambda pets, photos: pets.remove(where=["label=cat"]),
    "restore": lambda pets, photos: pets.restore(),
    "purge": lambda pets, photos: pets.purge(),
    "forget_failures": lambda pets, photos: pets.forget_failures(),
    "optimize": lambda pets, photos: pets.optimize(index="flat"),
    "migrate": lambda pets, photos: pets.migrate("pgvector"),
    "writing": lambda pets, photos: pets.writing().__enter__(),
}
READS: dict[str, Callable[[Collection, Path], object]] = {
    "open": lambda pets, photos: pixels.open_(),
    "uploads": lambda pets, photos: pets.uploads,
    "file": lambda pets, photos: pets.file(next(pets.images()).path),
    "full_path": lambda pets, photos: pets.full_path(next(pets.images()).path),
    "has_file": lambda pets, photos: pets.has_file(next(pets.images()).path),
    "frozen": lambda pets, photos: pets.frozen().__enter__(),
    "state": lambda pets, photos: pets.state,
    "engine": lambda pets, photos: pets.engine(pets.state),
    "source_paths": lambda pets, photos: pets.source_paths,
    "search": lambda pets, photos: pets.search([pixels.picture(1)]),
    "search_vectors": lambda pets, photos: pets.search_vectors(np.ones(pets.about.dimensions)),
    "snapshot": lambda pets, photos: pets.snapshot(),
    "info": lambda pets, photos: pets.info(),
    "images": lambda pets, photos: list(pets.images()),
    "removed": lambda pets, photos: list(pets.removed()),
    "removed_paths": lambda pets, photos: pets.removed_paths(),
    "image": lambda pets, photos: pets.image(1),
    "of_rows": lambda pets, photos: pets.of_rows([0]),
    "first_of_rows": lambda pets, photos: pets.first_of_rows([0]),
    "shared_rows": lambda pets, photos: pets.shared_rows(),
    "labels_by_row": lambda pets, photos: pets.labels_by_row(),
    "nearest_to": lambda pets, photos: pets.nearest_to(next(pets.images()).id, 2),
    "nearest_to_mean": lambda pets, photos: pets.nearest_to_mean([next(pets.images()).id], 2),
    "sample": lambda pets, photos: pets.sample(3),
    "pages": lambda pets, photos: pets.pages(2).__enter__(),
    "preview": lambda pets, photos: pets.preview([str(photos)]),
    "scan": lambda pets, photos: pets.scan(str(photos.with_name("shards"))),
    "notes": lambda pets, photos: pets.notes(["label=cat"]),
    "verify": lambda pets, photos: pets.verify(),
    "embedder": lambda pets, photos: pets.embedder,
    "close": lambda pets, photos: pets.close(),
}
# What else changes something, given a folder that does not exist.
OTHERS: dict[str, Callable[[Path], object]] = {
    "delete a collection": lambda folder: collections.delete("pets"),
    "delete a collection with its experiments": lambda folder: labelled_dataset.delete("pets"),
    "restore a collection": lambda folder: backup.restore(folder, "more"),
    "add a dataset": lambda folder: added_datasets.add_fashion_mnist(folder, folder, Silent()),
    "remove a dataset": lambda folder: added_datasets.remove(folder, "none"),
    "add a model": lambda folder: onnx_adding.add(None, []),
    "remove a model": lambda folder: onnx_adding.remove("none"),
    "add a combination": lambda folder: combination_adding.add("both", (), None),
    "remove a combination": lambda folder: combination_adding.remove("none"),
    "install a package": lambda folder: package_install.install(None, None, Silent()),
    "import vectors": lambda folder: vector_import.import_vectors(
        folder, None, "a", None, "id", "", Silent()
    ),
    "remove vectors": lambda folder: vector_import.remove(folder, "a", "b"),
    "stage a collection": lambda folder: staging.stage("pets"),
    "publish a collection": lambda folder: staging.publish("pets"),
    "run a grid": lambda folder: runner.run(
        [draw_dataset(folder.with_name("drawn"))], runner.Request(("squeezenet",)), folder, Silent()
    ),
    "measure this machine": lambda folder: machine_costs.measure(
        ("squeezenet",), ("tensorflow",), folder, Silent()
    ),
    "measure experiments": lambda folder: measure_run.run(
        [draw_dataset(folder.with_name("drawn"))], (), folder, Silent()
    ),
    "measure robustness": lambda folder: robustness_run.run(
        [draw_dataset(folder.with_name("drawn"))], robustness_run.Request(("squeezenet",)), folder, Silent()
    ),
    "import published results": lambda folder: convert.import_copy(ROOT / "tests", folder, Silent()),
    "fetch published results": lambda folder: repository.fetch(folder, Silent()),
    "fetch weights": lambda folder: keras_weights.fetch("VGG16", Silent()),
    "download": lambda folder: download.download("http://127.0.0.1:9/x", folder / "x", None, Silent()),
    "keep what is computed of channels": lambda folder: compute.compute(
        registry.get_model("squeezenet"), "imagenet", [], Silent()
    ),
}
RIGHT_TO_WRITE = re.compile(r"\b(lock\.writing|building)\(")
# Who takes the right to write to a folder; a new one begins with access.require_full or is named here with the reason.
WITHOUT_CHECK = {
    "collections.lifecycle.building": "called by create and restore, which check",
    "collections.collection_reader.Reader._maintaining": "called by writing, which checks, and to repair an index",
    "collections.lifecycle._sweep": "removes what a deletion or creation has left",
    "data.added_datasets._staging": "called by add_fashion_mnist and remove, which check",
    "models.added_folder.staging": "called by those who add and remove, who check",
    "published.convert._import": "called by import_copy, which checks",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, seed in (("cat/a", 1), ("cat/b", 2), ("dog/c", 3), ("dog/d", 4)):
        pixels.draw(tmp_path / "photos" / f"{name}.png", seed)
    return tmp_path / "photos"


@pytest.fixture
def pets(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    for name, value in (("COLLECTIONS_DIR", tmp_path / "collections"), ("GRID_DIR", tmp_path / "grid")):
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)
    made = pixels.create()
    made.add([str(photos)])
    return made


def content(pets: Collection) -> tuple:
    """All that a user keeps in a collection."""
    files = {path.name for path in pets.folder.parent.rglob("*") if "catalog.sqlite" not in path.name}
    return pets.state, list(pets.images()), list(pets.images(schema.REMOVED)), pets.source_paths, files


def test_every_public_name_of_a_collection_is_known_to_change_it_or_not():
    public = {name for name in dir(Collection) if not name.startswith("_")}
    assert public == set(CHANGES) | set(READS)


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_a_collection_is_refused_and_changes_nothing(pets, photos, read_only, name):
    pixels.draw(photos / "cat" / "new.png", 9)
    before = content(pets)
    with pytest.raises(AccessError, match="PLAYGROUND_ACCESS=full"):
        CHANGES[name](pets, photos)
    assert content(pets) == before


@pytest.mark.parametrize("name", READS)
def test_what_reads_a_collection_goes_on(pets, photos, read_only, name):
    READS[name](pets, photos)


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_that_changes_something_is_refused(pets, tmp_path, read_only, name):
    before = content(pets)
    with pytest.raises(AccessError):
        OTHERS[name](tmp_path / "none")
    assert content(pets) == before and not (tmp_path / "none").exists()


def test_projections_exports_backups_and_the_repair_of_an_index_go_on(pets, tmp_path, read_only):
    collection_projection.compute(pets, "pca", 2, Silent())
    assert collection_projection.read(pets, "pca", 2) is not None
    assert export.write(pets, tmp_path / "pets.parquet", Silent()) == 4
    assert backup.write(pets, tmp_path / "pets.backup").images == 4
    [index] = pets.folder.glob("index-*.faiss")
    index.write_bytes(b"damaged")
    with pixels.open_() as opened:
        assert len(opened.search([pixels.picture(1)], 3)[0]) == 3 and opened.verify() == []


def test_who_takes_the_right_to_write_asks_for_full_access_first():
    unchecked = set()
    for path in (ROOT / "core").rglob("*.py"):
        module = path.relative_to(ROOT / "core").with_suffix("").as_posix().replace("/", ".")
        for name, function in functions(ast.parse(path.read_text("utf-8"))):
            if RIGHT_TO_WRITE.search(ast.unparse(function)) and not begins_with_check(function):
                unchecked.add(f"{module}.{name}")
    assert unchecked == set(WITHOUT_CHECK)


def functions(tree: ast.AST, prefix: str = "") -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            found.append((prefix + node.name, node))
        elif isinstance(node, ast.ClassDef):
            found += functions(node, f"{prefix}{node.name}.")
    return found


def begins_with_check(function: ast.FunctionDef) -> bool:
    body = [node for node in function.body if not isinstance(getattr(node, "value", None), ast.Constant)]
    return ast.unparse(body[0]).startswith("access.require_full(")


def test_the_api_has_no_route_that_changes_something():
    routes = [route for route in api.create().routes if set(route.methods) - {"GET", "HEAD"}]
    assert [route.path for route in routes] == ["/v1/search"]


def test_commands_of_the_machines_user_are_never_restricted(pets, monkeypatch, capsys):
    monkeypatch.setattr(settings, "ACCESS", "read")
    assert cli.main(["collection", "remove", "pets", "--where", "label=cat"]) == 0
    assert pets.info().images == 2


@pytest.mark.parametrize(
    ("setting", "address", "expected"),
    [
        (None, "127.0.0.1", False),
        (None, "localhost", False),
        (None, "::1", False),
        (None, "0.0.0.0", True),
        (None, "::", True),
        (None, "10.0.0.7", True),
        (None, None, True),
        ("full", None, False),
        ("full", "0.0.0.0", False),
        ("read", "127.0.0.1", True),
    ],
)
def test_a_server_is_read_only_beyond_loopback_unless_the_setting_says_otherwise(
    monkeypatch, setting, address, expected
):
    monkeypatch.setattr(settings, "ACCESS", setting)
    monkeypatch.setattr(access, "_read_only", False)
    access.serve(address)
    assert access.is_read_only() is access.read_only_at(address) is expected


def test_the_setting_takes_two_words(monkeypatch):
    for text, value in (("", None), ("full", "full"), (" read ", "read")):
        monkeypatch.setenv("PLAYGROUND_ACCESS", text)
        assert value == load().ACCESS
    monkeypatch.setenv("PLAYGROUND_ACCESS", "everything")
    with pytest.raises(UserError, match="full or read"):
        load()
