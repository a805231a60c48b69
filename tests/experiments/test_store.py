import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data import datasets
from core.errors import DatasetError, GridError
from core.experiments import store
from core.experiments.column_file import ColumnBlocks
from core.experiments.runner import Features, compare
from tests.experiments.synthetic import draw_dataset, random_run

KINDS = ("neighbors", "pairs", "measures", "vectors", "projections")


@pytest.fixture
def dataset(tmp_path):
    return draw_dataset(tmp_path / "shapes")


@pytest.fixture
def run(tmp_path, dataset):
    return random_run(tmp_path / "grid", dataset)


def file_of(run, kind) -> Path:
    return run.folder / run.about.files[kind]


def reopened(run, dataset):
    return store.StoredRun(run.folder, dataset)


def test_what_was_written_is_read_back(run, dataset):
    before, after = run.read_all(), reopened(run, dataset).read_all()
    assert [e.facts for e in after.experiments] == [e.facts for e in before.experiments]
    for one, two in zip(before.experiments, after.experiments, strict=True):
        np.testing.assert_array_equal(one.neighbors.ids, two.neighbors.ids)
        np.testing.assert_array_equal(one.neighbors.distances, two.neighbors.distances)
        np.testing.assert_array_equal(one.pair_quantiles, two.pair_quantiles)
    assert len(after.projections) == 4
    assert after.vectors["early", "avg"][1].shape == (len(dataset), 6)


def test_measures_are_read_back_to_three_digits(run, dataset):
    before = run.read_all().experiments
    after = reopened(run, dataset).read_all().experiments
    assert run.measure_names == ["map", "mrr", "probe"]
    for one, two in zip(before, after, strict=True):
        for name, measure in one.measures.items():
            assert measure.values.shape == (len(dataset),)
            np.testing.assert_array_equal(two.measures[name].values, measure.values)
            np.testing.assert_array_equal(two.measures[name].influence, measure.influence)
            np.testing.assert_array_equal(two.measures[name].class_errors, measure.class_errors)


def test_measures_can_be_added_later_and_all_else_stays(run, dataset):
    contents = run.read_all()
    bare = replace(contents, experiments=[replace(e, measures={}) for e in contents.experiments])
    without = store.write_run(run.folder.parent, dataset, run.about, bare)
    assert without.measure_names == []
    assert without.measures("map") == {}
    first, second, *_ = contents.experiments

    def add(one, **found):
        return store.add_measures(
            reopened(run, dataset), dataset, {(one.layer, one.pooling, one.metric): found}
        )

    added = add(first, map=first.measures["map"])
    assert list(added.measures("map")) == [(first.layer, first.pooling, first.metric)]
    added = add(second, map=second.measures["map"], probe=second.measures["probe"])
    assert len(added.measures("map")) == 2
    assert len(added.measures("probe")) == 1
    for kind in ("neighbors", "pairs", "vectors", "projections"):
        assert added.about.files[kind] == run.about.files[kind]
    assert {p.name for p in run.folder.iterdir()} == {"model.json", *added.about.files.values()}


def changed_measure(run, dataset, **parts):
    contents = run.read_all()
    first = contents.experiments[0]
    wrong = replace(first.measures["map"], **parts)
    return store.add_measures(run, dataset, {(first.layer, first.pooling, first.metric): {"map": wrong}})


@pytest.mark.parametrize("value", [-0.1, 1.5, np.inf])
def test_impossible_measures_are_refused(run, dataset, value):
    wrong = changed_measure(run, dataset, values=np.full(len(dataset), value))
    with pytest.raises(GridError, match="map is damaged"):
        wrong.measures("map")
    assert len(wrong.measures("mrr")) == 4


def test_measures_without_an_influence_are_refused(run, dataset):
    wrong = changed_measure(run, dataset, influence=np.full(len(dataset), np.nan))
    with pytest.raises(GridError, match="map is damaged"):
        wrong.measures("map")


def with_beyond(run, dataset, beyond):
    """The same run, with other ties of its first experiment."""
    contents = run.read_all()
    first, *others = contents.experiments
    tied = replace(first.neighbors, beyond=beyond)
    changed = replace(contents, experiments=[replace(first, neighbors=tied), *others])
    return store.write_run(run.folder.parent, dataset, run.about, changed)


def test_ties_behind_the_end_of_a_list_are_read_back(run, dataset):
    beyond = np.zeros((len(dataset), 3), int)
    beyond[2], beyond[5] = (1, 0, 4), (-1, -1, -1)
    again = with_beyond(run, dataset, beyond)
    np.testing.assert_array_equal(again.neighbors("early", "avg", "cosine").beyond, beyond)
    assert not again.neighbors("late", "avg", "cosine").beyond.any()
    contents = reopened(run, dataset).read_all()
    np.testing.assert_array_equal(contents.experiments[0].neighbors.beyond, beyond)


def test_runs_of_the_format_before_ties_are_read_and_written_with_ties_unknown(run, dataset):
    manifest = run.folder / "model.json"
    older = json.loads(manifest.read_text()) | {"format": 1}
    manifest.write_text(json.dumps(older))
    old = reopened(run, dataset)
    contents = old.read_all()
    assert all(one.neighbors.beyond is None for one in contents.experiments)
    lists = contents.experiments[0].neighbors
    distances = lists.distances.copy()
    distances[3, -2] = distances[3, -1]
    tied = replace(lists, distances=distances)
    changed = replace(
        contents, experiments=[replace(contents.experiments[0], neighbors=tied), *contents.experiments[1:]]
    )
    new = store.write_run(run.folder.parent, dataset, old.about, changed)
    beyond = new.neighbors("early", "avg", "cosine").beyond
    assert np.flatnonzero(beyond.any(axis=1)).tolist() == [3]
    assert (beyond[3] == -1).all()
    assert json.loads(manifest.read_text())["format"] == store.FORMAT


@pytest.mark.parametrize("counts", [(99, 0, 0), (-2, 0, 0)])
def test_impossible_ties_are_refused(run, dataset, counts):
    beyond = np.zeros((len(dataset), 3), int)
    beyond[2] = counts
    with pytest.raises(GridError, match="impossible ties"):
        with_beyond(run, dataset, beyond).neighbors("early", "avg", "cosine")


def test_a_tie_at_the_end_of_a_list_is_counted_when_it_is_computed(dataset):
    # All vectors are one of two points: five of the others are at distance 0, the rest at 1.
    ids = np.arange(len(dataset))
    rows = np.zeros((len(ids), 1), np.float32)
    rows[::2] = 1.0
    blocks = ColumnBlocks(len(ids), 1)
    blocks.append(rows)
    features = Features(ids, {("layer", "avg"): blocks}, ())
    [found], _ = compare(features, "layer", "avg", ["euclidean"], 7, dataset.labels)
    codes = np.unique(dataset.labels, return_inverse=True)[1]
    for query in ids:
        far = np.flatnonzero(rows[:, 0] != rows[query, 0])
        expected = np.bincount(codes[far], minlength=3) - np.bincount(
            codes[found.neighbors.ids[query, 5:]], minlength=3
        )
        assert found.neighbors.beyond[query].tolist() == expected.tolist()
    # Of the five at distance 0 one is of the query's class, of the six others two are.
    weights = np.arange(7, 0, -1) / 28
    assert found.facts["score_10"] == pytest.approx(100 * weights @ np.repeat([1 / 5, 2 / 6], [5, 2]))


def test_a_result_list_never_holds_its_query_and_is_in_order(run, dataset):
    neighbors = run.neighbors("late", "avg", "cosine")
    assert not (neighbors.ids == neighbors.queries[:, None]).any()
    assert (np.diff(neighbors.distances, axis=1) >= 0).all()


def test_summaries_name_every_experiment_with_its_scores(run):
    found = [(s.layer, s.depth, s.pooling, s.metric) for s in run.summaries]
    assert found == [
        ("early", 1, "avg", "cosine"),
        ("early", 1, "avg", "euclidean"),
        ("late", 2, "avg", "cosine"),
        ("late", 2, "avg", "euclidean"),
    ]
    assert all(0 <= s.score_10 <= 100 for s in run.summaries)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign", "empty"])
def test_a_broken_file_gives_a_sentence_and_leaves_the_rest(run, dataset, kind, damage):
    path = file_of(run, kind)
    if damage == "missing":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(
            {"truncated": data[: len(data) // 2], "foreign": b"\x89PNG\r\n" * 99, "empty": b""}[damage]
        )
    again = reopened(run, dataset)
    readers = {
        "neighbors": lambda: again.neighbors("early", "avg", "cosine"),
        "pairs": lambda: again.pair_quantiles("early", "avg", "cosine"),
        "vectors": lambda: again.vectors("early"),
        "projections": lambda: again.projections("avg", "umap", 2),
    }
    for other, read in readers.items():
        if other == kind:
            with pytest.raises(GridError, match=r"(missing|damaged).*run the grid again"):
                read()
        else:
            read()


def test_a_flipped_byte_costs_only_the_experiment_it_is_in(run, dataset):
    path = file_of(run, "neighbors")
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    again = reopened(run, dataset)
    with pytest.raises(GridError, match="damaged"):
        again.neighbors("early", "avg", "cosine")
    again.neighbors("late", "avg", "euclidean")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 99}', "\xff\xfe"])
def test_a_broken_manifest_gives_a_sentence(run, dataset, text):
    (run.folder / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(GridError, match=r"model\.json"):
        reopened(run, dataset)


def test_a_broken_model_costs_a_notice_and_the_others_are_listed(tmp_path, dataset, run):
    random_run(tmp_path / "grid", dataset, model="squeezenet")
    (run.folder / "model.json").write_text("{")
    grid = store.Grid(tmp_path / "grid").load(dataset.name)
    assert {row.model for row in grid.summaries} == {"squeezenet"}
    assert len(grid.notices) == 1


def test_a_newer_format_is_refused_with_what_to_do(run, dataset):
    manifest = json.loads((run.folder / "model.json").read_text())
    (run.folder / "model.json").write_text(json.dumps({**manifest, "format": 4}))
    with pytest.raises(GridError, match="another format than 3; run the grid again"):
        reopened(run, dataset)


def test_a_manifest_cannot_name_a_file_elsewhere(run, dataset):
    manifest = json.loads((run.folder / "model.json").read_text())
    manifest["files"]["neighbors"] = "../../../etc/passwd"
    (run.folder / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(GridError, match="names no neighbors file"):
        reopened(run, dataset).neighbors("early", "avg", "cosine")


def test_a_grid_of_other_images_is_refused(run, dataset):
    with pytest.raises(GridError, match="other images"):
        reopened(run, replace(dataset, fingerprint="f" * 64))


def test_writing_again_leaves_no_old_files(tmp_path, run, dataset):
    again = random_run(tmp_path / "grid", dataset, seed=1)
    assert {p.name for p in again.folder.iterdir()} == {"model.json", *again.about.files.values()}
    assert again.about.files != run.about.files


def test_the_same_results_give_the_same_files(tmp_path, run, dataset):
    assert random_run(tmp_path / "other", dataset).about.files == run.about.files


def test_a_dataset_of_the_same_name_from_another_folder_is_refused(tmp_path, run):
    other = draw_dataset(tmp_path / "elsewhere" / "shapes")
    with pytest.raises(DatasetError, match="same name"):
        store.write_dataset(tmp_path / "grid", other)


WRITER = """
import sys
from pathlib import Path
from core.data import datasets
from tests.experiments.synthetic import random_run
grid, dataset = Path(sys.argv[1]), datasets.scan(Path(sys.argv[2]))
seed = 0
print("ready", flush=True)
while True:
    seed += 1
    random_run(grid, dataset, seed=seed)
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_grid_on_disk_is_whole(tmp_path, run, dataset):
    rng = np.random.default_rng(0)
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / "grid", tmp_path / "shapes"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(datasets.__file__).parents[2])},
        )
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.05, 0.3))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert len(reopened(run, dataset).read_all().experiments) == 4
