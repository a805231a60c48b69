import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from core.cli import main
from core.collections import Collection
from core.collections.uploads import Upload
from core.models import networks, registry
from core.settings import settings
from tests.collections import pixels
from tests.conftest import ROOT, needs_openvino

CREATE = ["--model", "efficientnet-lite0", "--layer", "block1_output"]
IMAGES = ROOT / "precomputed" / "emoji200" / "images"
FOLDERS = [IMAGES, ROOT / "precomputed" / "objects200" / "images"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "MILVUS_URI", None)
    return settings.COLLECTIONS_DIR


def run(*arguments: str) -> int:
    return main(["collection", *arguments])


@pytest.mark.slow
def test_from_creating_to_deleting(tmp_path, capsys):
    photos = tmp_path / "photos"
    for file in sorted(IMAGES.iterdir())[:24]:
        label = photos / file.name.split("-")[0]
        label.mkdir(parents=True, exist_ok=True)
        (label / file.name).write_bytes(file.read_bytes())
    (photos / "notes.png").write_text("no picture")
    label, example = sorted((path.parent.name, str(path)) for path in photos.glob("*/*"))[0]

    assert run("create", "pets", *CREATE) == 0
    assert run("add", "pets", str(photos)) == 0
    out = capsys.readouterr().out
    assert "25 read, 24 added, 1 left out: " in out
    assert run("search", "pets", example, "-k", "3", "--where", f"label={label}", "--json") == 0
    hits = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["path"] == example and hits[0]["distance"] < 1e-3
    assert {hit["label"] for hit in hits} == {label}
    assert run("search", "pets", example) == 0
    assert example in capsys.readouterr().out
    assert run("info", "pets", "--failures") == 0
    assert "not an image in a known format" in capsys.readouterr().out
    assert run("info", "pets", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["images"], facts["failures"]) == (24, 1)
    assert run("list") == 0
    assert "efficientnet-lite0" in capsys.readouterr().out
    assert run("verify", "pets") == 0
    assert run("duplicates", "pets", "--threshold", "0.01", "--json") == 0
    capsys.readouterr()
    assert run("tune", "pets", "--index", "flat", "--index", "hnsw", "--apply", "--json") == 0
    tuned = json.loads(capsys.readouterr().out)
    assert {row["index"] for row in tuned} == {"flat", "hnsw"} and tuned[0]["recall@10"] == 1.0
    assert tuned[0]["filtered recall@10"] == 1.0 and tuned[0]["filtered median ms"] > 0
    assert 0 < tuned[0]["label precision@10"] <= 1 and tuned[0]["label loss"] == 0.0
    assert run("remove", "pets", example) == 0
    assert run("update", "pets") == 0
    assert run("optimize", "pets", "--metric", "euclidean") == 0
    assert run("export", "pets", str(tmp_path / "pets.parquet")) == 0
    assert "23 images" in capsys.readouterr().out
    assert run("delete", "pets", "--yes") == 0
    assert not any(settings.COLLECTIONS_DIR.iterdir())


@pytest.mark.slow
def test_removing_undoing_and_purging(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)
    photos = tmp_path / "photos"
    for seed in range(4):
        pixels.draw(photos / "cat" / f"{seed}.png", seed)
    with pixels.create() as pets:
        pets.add_uploads([Upload("dog/9.png", pixels.png(9))])
        uploads = pets.uploads
    assert run("add", "pets", str(photos)) == 0
    assert run("remove", "pets", str(photos / "cat" / "[012].png")) == 0
    assert run("remove", "pets", "--where", "name=dog/9.png") == 0
    capsys.readouterr()

    def added(*flags: str) -> dict:
        assert run("add", "pets", str(photos), "--json", *flags) == 0
        return json.loads(capsys.readouterr().out)

    assert run("add", "pets", str(photos)) == 0
    out = capsys.readouterr().out
    assert "removed before (3)" in out and "--restore-removed" in out
    assert (added()["kept_out"], added()["unchanged"]) == (3, 1)
    assert run("remove", "pets", str(photos / "cat" / "0.png"), "--undo") == 0
    assert "1 restored" in capsys.readouterr().out
    assert run("purge", "pets", str(photos / "cat" / "1.png"), "--yes") == 0
    capsys.readouterr()
    assert run("info", "pets", "--removed", "--json") == 0
    rows = {row["name"] or Path(row["path"]).name: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == {"1.png", "2.png", "dog/9.png"}
    assert "--restore-removed" in rows["1.png"]["undo"] and rows["2.png"]["undo"] == "at once"
    assert added("--restore-removed")["restored"] == 2
    assert len(list(uploads.iterdir())) == 1
    assert run("purge", "pets", "--where", "name=dog/9.png", "--yes") == 0
    assert list(uploads.iterdir()) == []
    assert run("info", "pets", "--removed") == 0
    assert "No image was removed" in capsys.readouterr().out
    assert run("verify", "pets") == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "Pets", *CREATE], "can't be the name"),
        (["create", "new", "--model", "resnet9000", "--layer", "x"], "Unknown model"),
        (["create", "new", "--model", "squeezenet", "--layer", "x"], "Unknown layer"),
        (["create", "new", *CREATE, "--index", "PQ8"], "filters"),
        (["create", "new", *CREATE, "--engine", "annoy"], "faiss, milvus, pgvector"),
        (["create", "new", *CREATE, "--engine", "pgvector"], "PLAYGROUND_CATALOG_URL"),
        (["create", "new", *CREATE, "--engine", "milvus"], "PLAYGROUND_MILVUS_URI"),
        (["migrate", "pets", "--engine", "annoy"], "faiss, milvus, pgvector"),
        (["migrate", "pets", "--engine", "faiss"], "already"),
        (["migrate", "pets", "--engine", "pgvector"], "PLAYGROUND_CATALOG_URL"),
        (["migrate", "none", "--engine", "milvus"], "Unknown collection"),
        (["tune", "pets", "--engine", "annoy"], "Unknown index engine"),
        (["create", "new", *CREATE, "--weights", "nowhere.keras"], "nowhere.keras"),
        (["create", "pets", *CREATE], "already"),
        (["add", "none", "."], "Unknown collection"),
        (["add", "pets", "nowhere"], "There is no"),
        (["search", "pets", "nowhere.jpg"], "not a file that exists"),
        (["remove", "pets"], "--where"),
        (["remove", "pets", "nothing", "--undo"], "No removed image"),
        (["purge", "pets", "nothing", "--yes"], "No removed image"),
        (["purge", "pets"], "--yes"),
        (["remove", "pets", "nothing"], "No image"),
        (["remove", "pets", "--where", "nonsense"], "nonsense"),
        (["duplicates", "pets", "--threshold", "-1"], "0 or more"),
        (["tune", "pets"], "nothing to tune"),
        (["optimize", "pets", "--index", "nonsense"], "nonsense"),
        (["optimize", "pets", "--metric", "hamming"], "Unknown metric"),
        (["export", "pets", "/nowhere/x.parquet"], "can't be written"),
        (["delete", "pets"], "--yes"),
        (["delete", "none", "--yes"], "Unknown collection"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(arguments, sentence, capsys):
    Collection.create("pets", model="efficientnet-lite0", layer="block1_output").close()
    assert run(*arguments) == 2
    # Behind what was drawn of a bar.
    error = capsys.readouterr().err.rpartition("\r")[2]
    assert error.startswith("error: ") and error.count("\n") == 1
    assert sentence in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "setting", "server"),
    [("pgvector", "CATALOG_URL", "pgvector_url"), ("milvus", "MILVUS_URI", "milvus_uri")],
)
def test_a_collection_lives_in_an_engine_with_a_server_and_leaves_it(
    engine, setting, server, tmp_path, capsys, monkeypatch, request
):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)
    monkeypatch.setattr(settings, setting, request.getfixturevalue(server))
    files = [pixels.draw(tmp_path / "photos" / f"{seed}.png", seed) for seed in range(20)]

    def nearest() -> list[str]:
        assert run("search", "pets", str(files[3]), "-k", "5", "--json") == 0
        return [hit["path"] for hit in json.loads(capsys.readouterr().out)]

    # As long as the vectors of `pixels`.
    configuration = ["--model", "efficientnet-lite0", "--layer", "block6_output"]
    assert run("create", "pets", *configuration, "--engine", engine, "--index", "hnsw") == 0
    assert run("add", "pets", str(tmp_path / "photos")) == 0
    capsys.readouterr()
    found = nearest()
    assert found[0] == str(files[3])
    assert run("tune", "pets", "--engine", engine, "--engine", "faiss", "--index", "hnsw", "--json") == 0
    assert {row["engine"] for row in json.loads(capsys.readouterr().out)} == {engine, "faiss"}
    assert run("migrate", "pets", "--engine", "faiss") == 0
    assert "20 vectors, index Flat of" in capsys.readouterr().out and nearest() == found
    assert run("migrate", "pets", "--engine", engine, "--index", "ivfpq") == 2
    assert "ivfpq" in capsys.readouterr().err and nearest() == found
    assert run("migrate", "pets", "--engine", engine, "--index", "flat") == 0
    assert f"in {engine}\n" in capsys.readouterr().out and nearest() == found
    assert run("verify", "pets") == 0


def test_an_engine_that_is_away_is_a_sentence_and_the_collection_stays(capsys, monkeypatch):
    pixels.create().close()
    monkeypatch.setattr(settings, "MILVUS_URI", "http://127.0.0.1:1")
    monkeypatch.setattr("core.collections.index.milvus_index._SECONDS", 1)
    for arguments in (
        ["migrate", "pets", "--engine", "milvus"],
        ["create", "new", *CREATE, "--engine", "milvus"],
    ):
        assert run(*arguments) == 2
        error = capsys.readouterr().err.rpartition("\r")[2]
        assert error.startswith("error: Milvus at http://127.0.0.1:1") and error.count("\n") == 1
    with Collection.open("pets") as pets:
        assert pets.state.engine == "faiss" and pets.verify() == []


def test_what_a_condition_cannot_compare_is_said_beside_the_result(folder, capsys):
    pets = pixels.create()
    facts = [{"year": 2018}, {"year": 2019}, {"year": "unknown"}, {}]
    pets.add_vectors(list("abcd"), np.eye(4, pets.about.dimensions), metadata=facts)
    pets.close()
    assert run("remove", "pets", "--where", "Year=2019") == 2
    assert "Did you mean 'year'?" in capsys.readouterr().err
    assert run("remove", "pets", "--where", "year!=2019") == 0
    printed = capsys.readouterr()
    assert printed.out == "2 removed\n"
    assert "1 of 4 images hold no number" in printed.err and "1 of 4 images have no 'year'" in printed.err


@pytest.mark.slow
def test_ctrl_c_leaves_a_valid_collection_that_goes_on(folder):
    Collection.create("pets", model="efficientnet-lite0", layer="block1_output").close()
    environment = {**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(folder)}
    # What a shell puts into the background is deaf to Ctrl-C, and so are the children of tests run there.
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from core.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "collection", "add", "pets", *map(str, FOLDERS)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with Collection.open("pets") as pets:
        while not pets.info().images and process.poll() is None:
            time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error and "Stopped" in error
    with Collection.open("pets") as pets:
        stored = pets.info().images
        assert 0 < stored < 400
        assert pets.verify() == []
        report = pets.add([str(folder) for folder in FOLDERS])
        assert (report.added, report.unchanged) == (400 - stored, stored)
        assert pets.verify() == []


@pytest.mark.slow
def test_the_command_that_reads_does_not_start_tensorflow(folder):
    Collection.create("pets", model="efficientnet-lite0", layer="block1_output").close()
    script = (
        "import sys; from core.cli import main; "
        "[main(['collection', *words]) for words in (['list'], ['info', 'pets'], ['verify', 'pets'], ['optimize', 'pets'])]; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True, capture_output=True)


@pytest.mark.slow
@needs_openvino
def test_an_exported_network_adds_and_searches_without_tensorflow(folder):
    networks.load(registry.get_model("efficientnet-lite0"), "imagenet")
    Collection.create("pets", model="efficientnet-lite0", layer="block1_output").close()
    image = str(next((ROOT / "precomputed" / "objects200" / "images").iterdir()))
    script = (
        "import sys; from core.cli import main; image = sys.argv[1]; "
        "codes = [main(['collection', *words]) for words in (['add', 'pets', image], ['search', 'pets', image])]; "
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)) or max(codes))"
    )
    environment = {**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script, image],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert image in done.stdout


@pytest.mark.slow
def test_labels_that_the_console_can_not_show_are_printed_escaped(folder, tmp_path):
    pets = pixels.create()
    decomposed = unicodedata.normalize("NFD", "café")
    pixels.draw(tmp_path / "photos" / decomposed / "0.png", 0)
    pixels.draw(tmp_path / "photos" / "猫" / "1.png", 1)
    pets.add([str(tmp_path / "photos")])
    pets.close()

    script = (
        "from core.cli import main; main(['collection', 'info', 'pets', '--json']); "
        "print('END'); main(['collection', 'info', 'pets'])"
    )
    for encoding, shown in (
        ("ascii", "caf\\xe9 (1), \\u732b (1)"),
        ("latin-1", "caf\u00e9 (1), \\u732b (1)"),
        ("utf-8", "caf\u00e9 (1), \u732b (1)"),
    ):
        environment = {**os.environ, "PLAYGROUND_COLLECTIONS_DIR": str(folder), "PYTHONIOENCODING": encoding}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        facts, words = done.stdout.decode(encoding).split("END")
        assert json.loads(facts)["labels"] == {"caf\u00e9": 1, "\u732b": 1} and shown in words


def test_adding_a_list_ends_with_one_line_and_names_conflicts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)
    pixels.create().close()
    for place in range(3):
        pixels.draw(tmp_path / "i" / f"{place}.png", place)
    path = tmp_path / "list.csv"
    path.write_text("thumb,path,label\n-,i/0.png,round\n-,i/0.png,red\n-,i/1.png,a\n-,i/gone.png,a\n-,,a\n")
    assert run("add", "pets", str(path)) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == (
        "4 read, 2 added, 2 left out: file not found (1); row without a path (1)."
    )
    assert f"'round' in {path} (row 2); 'red' in {path} (row 3)" in said.err
    assert run("update", "pets", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["changed"], report["conflicting"]) == (0, 1)
    assert report["conflicts"][0]["labels"]["red"] == [{"list": str(path), "row": 3}]

    other = tmp_path / "other.tsv"
    other.write_text("thumb\tlabel\ni/0.png\tred\n")
    assert run("add", "pets", str(other), "--path-column", "thumb", "--labels-from", str(other)) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 read, 1 changed."
    assert said.err.count("row") == 0
    assert run("update", "pets", "--labels-from", str(tmp_path / "none.csv")) == 2
    assert "none.csv" in capsys.readouterr().err


def test_a_list_of_which_no_row_can_be_used_is_refused_with_the_reason(tmp_path, capsys):
    pixels.create().close()
    (tmp_path / "list.csv").write_text("id,image_path\n1,pictures/1.png\n")
    assert run("add", "pets", str(tmp_path / "list.csv")) == 2
    error = capsys.readouterr().err
    for words in ("'image_path'", "row 2", "'pictures/1.png'", str(tmp_path / "pictures" / "1.png")):
        assert words in error


@pytest.mark.slow
def test_paths_may_stand_behind_options(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)
    pixels.create().close()
    paths = [pixels.draw(tmp_path / "i" / f"{place}.png", place) for place in range(3)]
    assert run("add", "--json", "pets", paths[0], "--restore-removed", *paths[1:]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 3
    assert run("remove", "pets", "--where", "size>0") == 0
    assert run("remove", "pets", "--undo", paths[0]) == 0
    assert run("remove", "--undo", "pets", paths[1]) == 0
    assert run("purge", "pets", "--yes", paths[2]) == 0
    capsys.readouterr()
    assert run("info", "pets", "--removed", "--json") == 0
    assert [row["path"] for row in json.loads(capsys.readouterr().out)] == [paths[2]]


def test_removing_a_source_says_that_it_is_forgotten(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)
    pixels.create().close()
    pixels.draw(tmp_path / "i" / "0.png", 0)
    assert run("add", "pets", str(tmp_path / "i")) == 0
    capsys.readouterr()
    assert run("remove", "pets", str(tmp_path / "i" / "0.png")) == 0
    assert "Forgot" not in capsys.readouterr().out
    assert run("remove", "pets", str(tmp_path / "i")) == 0
    assert f"Forgot the source {tmp_path / 'i'}" in capsys.readouterr().out


def test_a_missing_label_is_shown_as_nothing_beside_one_that_reads_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)
    pixels.create().close()
    for place in range(3):
        pixels.draw(tmp_path / "i" / f"{place}.png", place)
    (tmp_path / "list.csv").write_text("path,label\ni/0.png,None\ni/1.png,NaN\ni/2.png,\n")
    assert run("add", "pets", str(tmp_path / "list.csv")) == 0
    capsys.readouterr()
    assert run("search", "pets", str(tmp_path / "i" / "0.png")) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    shown = {Path(line.split()[-1]).stem: line.split()[2:-1] for line in lines}
    assert shown == {"0": ["None"], "1": ["NaN"], "2": []}


def test_a_folder_whose_name_no_collection_can_have_is_named_and_not_passed_over(folder, capsys):
    pixels.create().close()
    (folder / "pets").rename(folder / "pets copy")
    (folder / "Notes").mkdir()
    assert run("list") == 0
    said = capsys.readouterr().err
    assert "'pets copy'" in said and "Notes" not in said
    (folder / "pets copy").rename(folder / "pets-2")
    assert run("list") == 0
    assert capsys.readouterr().err == "" and run("verify", "pets-2") == 0
