"""Vectors from elsewhere as a configuration of a dataset."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import cli
from core.collections import experiment_index, labelled_dataset
from core.errors import UserError, VectorsError
from core.experiments import store, vector_import
from core.metrics import METRICS
from core.progress import Silent
from core.search.engine import Engine
from core.settings import settings
from tests.collections import pixels
from tests.experiments.synthetic import draw_dataset

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return draw_dataset(tmp_path_factory.mktemp("images") / "shapes", 3, 4)


@pytest.fixture(scope="module")
def vectors(dataset):
    """Close to each other in a class."""
    centers = {label: RNG.normal(size=6) for label in sorted(set(dataset.labels))}
    return np.stack([centers[label] + 0.1 * RNG.normal(size=6) for label in dataset.labels]).astype(
        np.float32
    )


@pytest.fixture
def grid(tmp_path, dataset):
    store.write_dataset(tmp_path / "grid", dataset)
    return tmp_path / "grid"


def parquet(path, keys, rows, by="path", column="vector"):
    pq.write_table(pa.table({by: keys, column: [list(map(float, row)) for row in rows]}), path)
    return path


def run(*words) -> int:
    return cli.main(["vectors", *map(str, words)])


def only_run(grid):
    [(key, found)] = store.Grid(grid).load("shapes").runs.items()
    return key, found


@pytest.mark.slow
def test_an_array_becomes_experiments_under_all_metrics(tmp_path, grid, dataset, vectors, capsys):
    np.save(tmp_path / "mine.npy", vectors)
    assert run("import", tmp_path / "mine.npy", "--dataset", "shapes", "--grid", grid) == 0
    assert "12 images of 'shapes' have a vector" in capsys.readouterr().out
    (name, weights), stored = only_run(grid)
    assert name == "mine" and weights.startswith("vectors-") and len(weights) == 16
    assert {(one.layer, one.pooling, one.metric) for one in stored.summaries} == {
        ("vectors", "avg", m) for m in METRICS
    }
    # Distances as NumPy has them, of the first image.
    lists = stored.neighbors("vectors", "avg", "euclidean")
    distances = np.linalg.norm(vectors - vectors[0], axis=1)
    distances[0] = np.inf
    assert lists.ids[0, :3].tolist() == np.argsort(distances)[:3].tolist()
    np.testing.assert_allclose(lists.distances[0, 0], distances.min(), rtol=1e-5)
    assert all(one.score_10 > 30 for one in stored.summaries if one.metric == "cosine")
    assert len(stored.projections("avg", "pca", 2)) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("by", ["path", "id", "hash"])
def test_rows_are_matched_and_what_is_left_is_reported(tmp_path, grid, dataset, vectors, by, capsys):
    keys = {
        "path": [item.file for item in dataset.items],
        "id": [item.id for item in dataset.items],
        "hash": [hashlib.sha256(dataset.path(item.id).read_bytes()).hexdigest() for item in dataset.items],
    }[by]
    other = {"path": "none.png", "id": 99, "hash": "0" * 64}[by]
    order = [3, 1, 2, 0, 7, 5, 1]
    rows = [*(vectors[place] for place in order), vectors[0]]
    file = parquet(tmp_path / "some.parquet", [*(keys[place] for place in order), other], rows, by)
    assert run("import", file, "--dataset", "shapes", "--grid", grid, "--name", "some") == 0
    told = capsys.readouterr().err
    assert (
        "6 images have none" in told
        and "1 rows are of no image" in told
        and "1 rows are of an image that had" in told
    )
    _, stored = only_run(grid)
    ids, found = stored.vectors("vectors", "avg")
    assert ids.tolist() == [0, 1, 2, 3, 5, 7]
    np.testing.assert_allclose(found, vectors[ids], atol=1e-2)
    assert [item for item, _ in stored.about.skipped] == [4, 6, 8, 9, 10, 11]


def test_an_absolute_path_below_the_images_is_known(dataset, tmp_path, grid, vectors):
    keys = [str(dataset.path(item.id)) for item in dataset.items]
    file = parquet(tmp_path / "some.parquet", keys, vectors)
    assert run("import", file, "--dataset", "shapes", "--grid", grid) == 0


def test_vectors_of_the_labeled_images_of_a_collection(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    for name, seed in (("cat/a", 1), ("cat/b", 2), ("dog/c", 3), ("dog/d", 4), ("none", 5)):
        pixels.draw(tmp_path / "photos" / f"{name}.png", seed)
    with pixels.create("pets") as pets:
        pets.add([str(tmp_path / "photos")])
        paths = [str(item.file) for item in labelled_dataset.dataset(pets).dataset.items]
    grid = tmp_path / "grid"
    grid.mkdir()
    rows = RNG.normal(size=(4, 3))
    file = parquet(tmp_path / "mine.parquet", paths, rows)
    assert run("import", file, "--collection", "pets", "--grid", grid) == 0
    assert "4 images of 'collection-pets' have a vector" in capsys.readouterr().out
    [((name, _), stored)] = store.Grid(grid).load("collection-pets").runs.items()
    assert name == "mine"
    np.testing.assert_allclose(stored.vectors("vectors", "avg")[1], rows, atol=1e-2)
    both = ("--collection", "pets", "--dataset", "shapes")
    with pytest.raises(SystemExit, match="2"):
        run("import", file, *both, "--grid", grid)
    assert run("import", file, "--collection", "fish", "--grid", grid) == 2
    assert run("remove", "mine", "--collection", "pets", "--grid", grid, "--yes") == 0
    assert store.Grid(grid).load("collection-pets").runs == {}


@pytest.mark.slow
def test_tensorflow_is_not_imported(tmp_path, grid, vectors):
    np.save(tmp_path / "mine.npy", vectors)
    words = ["vectors", "import", str(tmp_path / "mine.npy"), "--dataset", "shapes", "--grid", str(grid)]
    script = f"import sys; from core.cli import main; sys.exit(main({words}) or 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(only_run(grid)[1].projections("avg", "umap", 2)) == 1


def test_a_second_import_replaces_the_first(tmp_path, grid, vectors):
    np.save(tmp_path / "mine.npy", vectors)
    assert run("import", tmp_path / "mine.npy", "--dataset", "shapes", "--grid", grid) == 0
    (_, first), _ = only_run(grid)
    np.save(tmp_path / "mine.npy", vectors[:, :4])
    assert run("import", tmp_path / "mine.npy", "--dataset", "shapes", "--grid", grid) == 0
    (_, second), stored = only_run(grid)
    assert first != second and stored.summaries[0].dimensions == 4


def test_there_is_no_live_search(tmp_path, grid, vectors, dataset):
    np.save(tmp_path / "mine.npy", vectors)
    assert run("import", tmp_path / "mine.npy", "--dataset", "shapes", "--grid", grid) == 0
    engine = Engine(store.Grid(grid))
    assert engine.searchable(dataset) == []
    [summary, *_] = store.Grid(grid).load("shapes").summaries
    with pytest.raises(UserError, match="this configuration has no model here"):
        engine.index(dataset, summary)


def test_vectors_are_listed_and_removed(tmp_path, grid, vectors, capsys):
    np.save(tmp_path / "mine.npy", vectors)
    run("import", tmp_path / "mine.npy", "--dataset", "shapes", "--grid", grid)
    capsys.readouterr()
    assert run("list", "--grid", grid, "--json") == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["dataset"], row["name"], row["images"], row["dimensions"]) == ("shapes", "mine", 12, 6)
    assert run("remove", "mine", "--dataset", "shapes", "--grid", grid) == 2
    told = capsys.readouterr().err
    assert "'mine' has 4 experiments" in told and "--yes" in told
    assert run("remove", "mine", "--dataset", "shapes", "--grid", grid, "--yes") == 0
    assert store.Grid(grid).load("shapes").runs == {}
    assert run("remove", "mine", "--dataset", "shapes", "--grid", grid, "--yes") == 2
    assert run("remove", "mine", "--dataset", "nothing", "--grid", grid, "--yes") == 2
    assert store.Grid(grid).dataset_names() == ["shapes"] and not (grid / "nothing").exists()


def test_kinds_of_index_are_measured_on_them(tmp_path, grid, dataset, vectors):
    np.save(tmp_path / "mine.npy", vectors)
    run("import", tmp_path / "mine.npy", "--dataset", "shapes", "--grid", grid)
    loaded = store.Grid(grid).load("shapes")
    one = next(summary for summary in loaded.summaries if summary.metric == "cosine")
    [flat] = experiment_index.measure(loaded, one.configuration, ["flat"], Silent())
    assert flat.recall == 1 and flat.label_precision > 0


def bad_files(folder, dataset, vectors):
    """Files that can't be used, each with a part of the reason."""
    folder.mkdir()

    def array(values):
        np.save(folder / "a.npy", values, allow_pickle=True)
        return folder / "a.npy"

    holes = vectors.copy()
    holes[2, 1] = np.nan
    empty = vectors.copy()
    empty[3] = 0
    paths = [item.file for item in dataset.items]
    yield array(holes), "1 of the 12 vectors of a.npy have values that are not finite"
    yield array(empty), "all zeros"
    yield array(vectors[:5]), "There are 5 vectors and 12 images"
    yield array(np.array([{"a": 1}])), "can't be read as an array"
    yield array(np.array(["a"] * 12)), "it must have numbers"
    yield array(vectors.ravel()), "a row for each image"
    (folder / "cut.npy").write_bytes((folder / "a.npy").read_bytes()[:100])
    yield folder / "cut.npy", "can't be read as an array"
    yield folder / "none.npy", "There is no file none.npy"
    (folder / "a.csv").write_text("1,2")
    yield folder / "a.csv", "neither .npy nor .parquet"
    yield (
        parquet(folder / "mixed.parquet", paths, [row[: 3 + place % 2] for place, row in enumerate(vectors)]),
        "have 3 to 4 numbers",
    )
    yield (
        parquet(folder / "other.parquet", ["x"] * 12, vectors),
        "0 of the 12 images of 'shapes' have a vector (by path)",
    )
    yield (
        parquet(folder / "column.parquet", paths, vectors, column="embedding"),
        "no column 'vector'; its columns are path, embedding",
    )
    (folder / "cut.parquet").write_bytes((folder / "other.parquet").read_bytes()[:-50])
    yield folder / "cut.parquet", "can't be read"
    pq.write_table(pa.table({"path": paths, "vector": paths}), folder / "texts.parquet")
    yield folder / "texts.parquet", "not lists of numbers"


def test_a_file_that_can_t_be_used_gives_a_sentence_and_changes_nothing(
    tmp_path, grid, dataset, vectors, capsys
):
    for path, reason in bad_files(tmp_path / "bad", dataset, vectors):
        assert run("import", path, "--dataset", "shapes", "--grid", grid, "--name", "mine") == 2, path
        printed = capsys.readouterr().err
        assert printed.startswith("error: ") and reason in printed, (path, printed)
        assert store.Grid(grid).load("shapes").runs == {}


@pytest.mark.parametrize("name", ["vgg16", "../up", "A", ""])
def test_a_name_that_can_t_be_is_refused(tmp_path, grid, dataset, vectors, name):
    table = vector_import.Table(None, vectors)
    with pytest.raises(VectorsError, match="name"):
        vector_import.import_vectors(grid, dataset, name, table, "order", "x", None)


def test_a_limit_on_size_holds(tmp_path, vectors, monkeypatch):
    np.save(tmp_path / "mine.npy", vectors)
    monkeypatch.setattr(settings, "MAX_EXPORT_BYTES", 100)
    with pytest.raises(VectorsError, match="PLAYGROUND_MAX_EXPORT_BYTES"):
        vector_import.read(tmp_path / "mine.npy")
