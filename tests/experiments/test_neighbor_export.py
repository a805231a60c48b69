import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from core import cli
from core.data import datasets
from core.errors import UnknownNameError, UserError
from core.evaluation import scoring
from core.experiments import neighbor_export, query_scores
from core.experiments.store import Grid
from core.server import api
from tests.experiments.synthetic import draw_dataset, random_run

K = 4
FORMULA = "=cmd|' '!A0"


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two models on drawings, one of whose classes is a formula."""
    folder = tmp_path_factory.mktemp("grid")
    drawn = draw_dataset(folder / "shapes")
    (folder / "shapes" / "class-1").rename(folder / "shapes" / FORMULA)
    drawn = datasets.scan(folder / "shapes")
    random_run(folder / "out", drawn)
    random_run(folder / "out", drawn, "squeezenet", seed=1)
    return Grid(folder / "out").load(drawn.name)


def test_every_row_is_a_neighbor_of_the_stored_lists(grid):
    one = grid.summaries[3]
    frame = neighbor_export.table(grid, one, K).to_pandas()
    found = query_scores.evaluate(grid, one, K)
    assert len(frame) == len(grid.dataset) * K
    assert set(map(tuple, frame[["model", "layer", "pooling", "metric"]].astype(str).to_numpy())) == {
        (one.model, one.layer, one.pooling, one.metric)
    }
    wide = frame.pivot(index="query", columns="rank")
    np.testing.assert_array_equal(wide["neighbor"], found.ids[:, :K])
    np.testing.assert_allclose(wide["distance"], found.distances[:, :K])
    labels = np.array(grid.dataset.labels)
    assert (frame["query_label"] == labels[frame["query"]]).all()
    assert (frame["neighbor_label"] == labels[frame["neighbor"]]).all()
    assert (frame["same_label"] == (frame["query_label"] == frame["neighbor_label"])).all()
    assert (frame["query_name"] == [grid.dataset.items[i].file for i in frame["query"]]).all()
    # The score follows from the rows alone.
    scores = scoring.score(wide["same_label"].to_numpy(bool), K)
    np.testing.assert_allclose(wide["score"][1], scores)


@pytest.mark.parametrize("kind", neighbor_export.FORMATS)
def test_files_hold_all_configurations(grid, tmp_path, kind):
    path = tmp_path / f"neighbors.{kind}"
    rows = neighbor_export.write(path, grid, grid.summaries, K)
    read = pd.read_parquet(path) if kind == "parquet" else pd.read_csv(path)
    assert len(read) == rows == neighbor_export.count_rows(grid, grid.summaries, K)
    assert read.groupby(["model", "layer", "metric"], observed=True).ngroups == len(grid.summaries)
    assert neighbor_export.content(grid, grid.summaries, K, kind) == path.read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    if kind == "parquet":
        assert pq.ParquetFile(path).num_row_groups == len(grid.summaries)


def test_no_cell_of_a_csv_file_is_a_formula(grid):
    text = neighbor_export.content(grid, grid.summaries[:1], K, "csv").decode()
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert f"'{FORMULA}" in cells
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)
    # Programs that read Parquet get the label as it is.
    table = pq.read_table(io.BytesIO(neighbor_export.content(grid, grid.summaries[:1], K, "parquet")))
    assert FORMULA in table["query_label"].to_pylist()


def test_images_of_a_collection_have_no_paths(grid):
    dataset = datasets.Dataset(
        **{
            name: getattr(grid.dataset, name) for name in ("name", "title", "description", "classes", "items")
        },
        fingerprint=grid.dataset.fingerprint,
        images=grid.dataset.images,
        collection="pets",
    )
    names, _ = neighbor_export._texts(dataset)
    assert names.to_pylist() == [item.title for item in dataset.items]


def test_parts_choose_configurations_and_unknown_ones_are_named(grid):
    wanted = {"model": ["squeezenet"], "metric": ["cosine"]}
    found = neighbor_export.matching(grid, wanted)
    assert {(one.model, one.metric) for one in found} == {("squeezenet", "cosine")} and len(found) == 2
    with pytest.raises(UnknownNameError, match="valid: mobilenetv2, squeezenet"):
        neighbor_export.matching(grid, {"model": ["resnet"]})


def test_what_can_not_be_written_is_refused(grid, tmp_path, monkeypatch):
    for path, some in (
        (tmp_path / "x.xlsx", grid.summaries),
        (tmp_path / "x.csv", []),
        (tmp_path / "none" / "x.csv", grid.summaries),
    ):
        with pytest.raises(UserError, match=r"must end in|no experiments|can't be written"):
            neighbor_export.write(path, grid, some, K)
    monkeypatch.setattr(neighbor_export, "MOST_ROWS", 10)
    with pytest.raises(UserError, match="grid export"):
        neighbor_export.content(grid, grid.summaries, K, "csv")


def test_the_command_writes_what_the_options_choose(grid, tmp_path, capsys):
    path, out = tmp_path / "x.parquet", str(grid.runs["squeezenet", "imagenet"].folder.parent.parent)
    options = ["grid", "export", str(path), "--dataset", grid.dataset.name, "--grid", out, "-k", "3"]
    assert cli.main([*options, "--model", "squeezenet", "--layer", "late"]) == 0
    assert "of 2 experiments" in capsys.readouterr().out
    read = pd.read_parquet(path)
    assert set(read["layer"]) == {"late"} and set(read["rank"]) == {1, 2, 3}
    assert cli.main([*options, "--layer", "nope"]) == 2
    assert "valid: early, late" in capsys.readouterr().err


def test_the_api_sends_the_same_files():
    client = TestClient(api.create())
    parts = {"model": "squeezenet", "layer": "fire9_concat", "pooling": "avg", "metric": "cosine"}
    asked = {"dataset": "objects200", "k": 5, **parts}
    grid = Grid().load("objects200")
    some = neighbor_export.matching(grid, {part: [value] for part, value in parts.items()})
    for kind, media_type in (("csv", "text/csv"), ("parquet", "application/vnd.apache.parquet")):
        response = client.get("/v1/neighbors", params={**asked, "format": kind})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(media_type)
        assert response.headers["content-disposition"] == f'attachment; filename="neighbors.{kind}"'
        assert response.content == neighbor_export.content(grid, some, 5, kind)
    for wrong in ({"format": "xlsx"}, {"k": 0}, {"layer": "nope"}):
        response = client.get("/v1/neighbors", params={**asked, **wrong})
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
    whole = client.get("/v1/neighbors", params={"dataset": "objects200", "k": 20})
    assert whole.status_code == 422 and "grid export" in json.loads(whole.content)["detail"]
