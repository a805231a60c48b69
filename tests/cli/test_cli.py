"""The command line as a user types it, against the shipped datasets and a small grid."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import cli
from core.evaluation import scoring
from core.models import architecture
from tests.experiments.synthetic import draw_dataset, random_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dataset(tmp_path):
    return draw_dataset(tmp_path / "shapes")


@pytest.fixture
def run(tmp_path, dataset):
    return random_run(tmp_path / "grid", dataset)


def printed(capsys, *arguments):
    assert cli.main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    assert cli.main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err


def test_grid_list_gives_one_object_per_experiment(tmp_path, run, capsys):
    rows = json.loads(printed(capsys, "grid", "list", "--grid", tmp_path / "grid", "--json"))
    assert len(rows) == 4
    keys = "dataset model weights layer depth pooling metric dimensions score@10 score@15 precision@1"
    assert all(list(row) == keys.split() for row in rows)
    assert rows[0]["model"] == "mobilenetv2" and rows[-1]["depth"] == 2


def test_grid_list_of_an_empty_folder_is_an_empty_array(tmp_path, capsys):
    assert json.loads(printed(capsys, "grid", "list", "--grid", tmp_path, "--json")) == []
    assert "No experiments here yet" in printed(capsys, "grid", "list", "--grid", tmp_path)


def test_grid_list_warns_of_a_broken_model_and_lists_the_rest(tmp_path, dataset, run, capsys):
    random_run(tmp_path / "grid", dataset, model="squeezenet")
    (run.folder / "model.json").write_text("{")
    assert cli.main(["grid", "list", "--grid", str(tmp_path / "grid"), "--json"]) == 0
    output = capsys.readouterr()
    assert {row["model"] for row in json.loads(output.out)} == {"squeezenet"}
    assert "warning: " in output.err


def show(tmp_path, **changes):
    options = {
        "dataset": "shapes",
        "model": "mobilenetv2",
        "layer": "late",
        "grid": tmp_path / "grid",
        **changes,
    }
    return ["grid", "show", *(str(word) for k, v in options.items() for word in (f"--{k}", v)), "-k", "3"]


def test_grid_show_gives_the_scores_by_class(tmp_path, run, dataset, capsys):
    shown = json.loads(printed(capsys, *show(tmp_path), "--json"))
    neighbors = run.neighbors("late", "avg", "cosine")
    same = scoring.same_label(neighbors.queries, neighbors.ids, dataset.labels)
    assert shown["all"]["score@3"] == pytest.approx(scoring.score(same, 3).mean(), abs=1e-4)
    assert [row["class"] for row in shown["classes"]] == list(dataset.classes)
    assert np.mean([row["score@3"] for row in shown["classes"]]) == pytest.approx(
        shown["all"]["score@3"], abs=1e-3
    )
    of_lists = {"score@3", "precision@1", "precision@3", "recall@3", "nDCG@3", "3-NN"}
    assert set(shown["interval_95"]) == of_lists | {"mAP", "MRR", "linear probe"}
    assert shown["all"]["mAP"] == pytest.approx(
        run.measures("map")["late", "avg", "cosine"].values.mean(), abs=1e-3
    )
    for name, (low, high) in shown["interval_95"].items():
        assert low <= shown["all"][name] <= high
    assert "class-0" in printed(capsys, *show(tmp_path))


def test_grid_show_cuts_its_default_k_and_says_what_can_be_reached(tmp_path, run, dataset, capsys):
    # Five neighbors are held; classes of four pictures can't fill them.
    words = show(tmp_path)[:-2]
    shown = json.loads(printed(capsys, *words, "--json"))
    assert "score@5" in shown["all"]
    assert shown["attainable"] == {"score@5": pytest.approx(100 * (5 + 4 + 3) / 15)}
    assert "At most 80.0" in printed(capsys, *words)
    assert "attainable" not in json.loads(printed(capsys, *words, "-k", "3", "--json"))
    assert "At most" not in printed(capsys, *words, "-k", "3")
    assert "holds 1 to 5" in refused(capsys, *words, "-k", "6")


@pytest.mark.parametrize(
    ("option", "valid"),
    [
        ("dataset", "shapes"),
        ("model", "mobilenetv2"),
        ("layer", "early, late"),
        ("pooling", "avg"),
        ("metric", "cosine, euclidean"),
        ("weights", "imagenet"),
    ],
)
def test_grid_show_refuses_an_unknown_name_with_the_valid_ones(tmp_path, run, capsys, option, valid):
    message = refused(capsys, *show(tmp_path, **{option: "nonsense"}))
    assert f"Unknown {option} 'nonsense'" in message and valid in message


@pytest.mark.parametrize(
    ("option", "valid"),
    [
        ("dataset", "objects200"),
        ("model", "efficientnet-lite0"),
        ("layer", "top_activation"),
        ("pooling", "avg, max, gem, flatten"),
        ("metric", "cosine, euclidean, manhattan, chebyshev"),
        ("weights", "imagenet, untrained"),
    ],
)
def test_grid_run_refuses_an_unknown_name_with_the_valid_ones(tmp_path, monkeypatch, capsys, option, valid):
    monkeypatch.setattr(cli.output, "start_tensorflow", lambda: None)
    options = {
        "dataset": ROOT / "precomputed" / "objects200",
        "model": "efficientnet-lite0",
        option: "nonsense",
    }
    words = [str(word) for k, v in options.items() for word in (f"--{k}", v)]
    out = ROOT / "precomputed" if option == "dataset" else tmp_path
    message = refused(capsys, "grid", "run", *words, "--out", out)
    assert "nonsense" in message and valid in message


@pytest.mark.parametrize("top", ["0", "-3"])
def test_grid_run_refuses_a_top_below_one(tmp_path, capsys, top):
    assert "--top" in refused(
        capsys, "grid", "run", "--dataset", "objects200", "--top", top, "--out", tmp_path
    )


def test_a_missing_grid_folder_is_refused(tmp_path, capsys):
    assert "no folder" in refused(capsys, "grid", "list", "--grid", tmp_path / "gone")


def test_datasets_lists_the_shipped_ones(capsys):
    rows = json.loads(printed(capsys, "datasets", "--json"))
    assert {row["dataset"]: row["images"] for row in rows}.items() >= {
        "objects200": 200,
        "emoji200": 200,
        "fashion1000": 1000,
    }.items()


@pytest.mark.parametrize("words", [["models"], ["models", "list"]])
def test_models_lists_fourteen_with_their_layers(capsys, words):
    rows = json.loads(printed(capsys, *words, "--json"))
    assert len(rows) == 14
    assert all(row["license"] for row in rows)
    assert all([layer["depth"] for layer in row["layers"]] == list(range(1, 9)) for row in rows)
    assert {row["model"] for row in rows if row["imagenet"]} >= {"efficientnet-lite0", "efficientnet-lite1"}


@pytest.mark.slow
def test_models_describe_writes_what_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.output, "start_tensorflow", lambda: None)
    assert cli.main(["models", "describe", "squeezenet", "--out", str(tmp_path)]) == 0
    assert architecture.read("squeezenet", tmp_path) == architecture.read("squeezenet")
    assert [file.name for file in (tmp_path / "squeezenet").iterdir()] == [architecture.FILE]
    assert "squeezenet: 38 layers" in capsys.readouterr().err
    assert "vgg17" in refused(capsys, "models", "describe", "vgg17", "--out", tmp_path)


def test_channels_show_refuses_an_unknown_layer(capsys):
    message = refused(capsys, "channels", "show", "--model", "squeezenet", "--layer", "nonsense")
    assert "'nonsense'" in message and "fire9_concat" in message


def test_help_of_every_command_imports_only_the_standard_library():
    code = """
import argparse, json, sys
before = set(sys.modules)
from core import cli

def helps(parser):
    yield parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from helps(inner)

texts = list(helps(cli._parser()))
imported = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([len(texts), sorted(imported - sys.stdlib_module_names)]))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    count, imported = json.loads(run.stdout)
    assert count > 40
    assert imported == ["core"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["models"], ["datasets"], ["grid", "list"]])
def test_reading_imports_neither_tensorflow_nor_umap(command):
    code = (
        "import sys\nfrom core.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "assert not {'tensorflow', 'keras', 'umap'} & set(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_serving_on_a_port_in_use_is_refused_in_a_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for more in ([], ["--api-only"]):
            assert f"Port {port} is in use" in refused(capsys, "run", "--port", port, *more)
