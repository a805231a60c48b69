"""The page of collections without a browser, with real storage and real pictures; vectors are their pixels."""

import io
import json
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.collections import Collection, embedder, names
from core.collections.index import milvus_index
from core.collections.index_tuning import MeasuredIndex
from core.collections.uploads import Upload
from core.evaluation.uncertainty import Difference
from core.search import default_configuration, shared_engine
from core.settings import settings
from dashboard.pages.your_images import index_comparison
from dashboard.widgets import collection_jobs
from tests.collections import pixels
from tests.collections.pixels import draw, picture
from tests.conftest import ROOT
from tests.dashboard.conftest import app, gallery_of


@pytest.fixture(autouse=True)
def _pixels(collections_dir, monkeypatch):
    monkeypatch.setattr(embedder, "load", pixels.load)
    # Jobs are the process's, and so are those of other tests.
    monkeypatch.setattr(collection_jobs, "jobs", jobs.Jobs())


@pytest.fixture
def pets(photos) -> Collection:
    made = pixels.create()
    made.add([str(photos)])
    return made


def opened(**address: str) -> AppTest:
    page = app("your_images")
    for key, value in address.items():
        page.query_params[key] = value
    return page.run()


def navigation(**address: str) -> AppTest:
    return looked(opened(**address))


def looked(page: AppTest) -> AppTest:
    """The page once what it computes without changing anything is there."""
    used = jobs._jobs if collection_jobs.jobs is jobs else collection_jobs.jobs
    looks = [job for key, job in used._jobs.items() if key[0] == "look"]
    assert all(job.wait(60) for job in looks)
    return page.run() if looks else page


def button(page: AppTest, label: str):
    return next(one for one in page.button if one.label.startswith(label))


def told(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.info, *page.error, *page.warning, *page.success]
    return "\n".join(part.value for part in parts)


def finish(page: AppTest, name: str = "pets") -> AppTest:
    """The page once what changes the collection has ended."""
    assert collection_jobs.jobs.get(collection_jobs._key(name)).wait(60)
    return page.run()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_png", ".png"), data)
    return out.getvalue()


def png(seed: int) -> bytes:
    out = io.BytesIO()
    picture(seed).save(out, "PNG")
    return out.getvalue()


@pytest.mark.slow
def test_without_collections_it_explains_and_offers_to_make_one():
    page = navigation()
    assert not page.exception
    assert "There is no collection yet" in page.info[0].value
    assert "the best on" in told(page) and "without a download" in told(page)
    page.text_input(key="images-name").input("My Pets").run()
    button(page, "Create").click().run()
    assert not page.exception and names() == ["my-pets"]
    assert page.query_params["collection"] == "my-pets" and page.query_params["part"] == "add"
    with Collection.open("my-pets") as made:
        best = default_configuration.choose(shared_engine.engine())
        assert (made.about.model, made.about.layer, made.about.pooling, made.state.metric) == (
            best.model,
            best.layer,
            best.pooling,
            best.metric,
        )


@pytest.mark.slow
def test_another_configuration_is_created_as_chosen_and_mistakes_are_shown():
    page = navigation()
    page.selectbox(key="images-model").select("squeezenet").run()
    page.selectbox(key="images-metric").select("euclidean")
    page.selectbox(key="images-dtype").select("float32").run()
    button(page, "Create").click().run()
    assert "Give it a name" in page.error[0].value
    page.text_input(key="images-name").input("../x").run()
    button(page, "Create").click().run()
    assert "can't be the name" in page.error[0].value and names() == []
    page.text_input(key="images-name").input("mine").run()
    button(page, "Create").click().run()
    with Collection.open("mine") as made:
        assert (made.about.model, made.about.dtype, made.state.metric) == (
            "squeezenet",
            "float32",
            "euclidean",
        )


def test_engines_without_a_server_are_not_offered_and_others_are_created(milvus_uri, monkeypatch):
    page = navigation()
    assert page.selectbox(key="images-engine").options == ["faiss"]
    why = [one.value.replace("\\", "") for one in page.caption if "The engine" in one.value]
    assert ["PLAYGROUND_MILVUS_URI" in why[0], "PLAYGROUND_CATALOG_URL" in why[1]] == [True, True]
    monkeypatch.setattr(settings, "MILVUS_URI", milvus_uri)
    page.selectbox(key="images-engine").set_value("faiss").run()
    page.selectbox(key="images-engine").select("milvus").run()
    page.selectbox(key="images-index-milvus").select("hnsw")
    page.text_input(key="images-name").input("mine").run()
    button(page, "Create").click().run()
    assert not page.exception and not page.error
    with Collection.open("mine") as made:
        assert (made.state.engine, made.state.kind) == ("milvus", "hnsw")
    page = opened(view="all")
    page.selectbox(key="images-metric").select("chebyshev").run()
    assert page.selectbox(key="images-engine").options == ["faiss"]
    assert any("chebyshev" in one.value for one in page.caption if "milvus" in one.value)


def test_an_engine_that_is_away_is_a_message_and_creates_nothing(monkeypatch):
    monkeypatch.setattr(settings, "MILVUS_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(milvus_index, "_SECONDS", 1)
    page = navigation()
    page.selectbox(key="images-engine").select("milvus").run()
    page.text_input(key="images-name").input("mine").run()
    button(page, "Create").click().run()
    assert "127.0.0.1" in page.error[0].value and names() == []


@pytest.mark.slow
def test_uploads_are_added_in_the_background_and_reported():
    pixels.create().close()
    page = navigation(collection="pets")
    assert page.query_params["part"] == "add"
    page.file_uploader[0].set_value(
        [
            (
                "a.zip",
                zipped(cats__1_png=png(1), cats__2_png=png(2), dogs__3_png=png(3), notes=b"x"),
                "application/zip",
            ),
            ("b.png", png(4), "image/png"),
        ]
    ).run()
    button(page, "Add 2 files").click().run()
    assert not page.exception
    page = finish(page)
    assert "4 added, 1 left out" in page.success[0].value.replace("\\", "")
    tiles = gallery_of(page, 0)["tiles"]
    assert [(tile["title"], tile["lines"]) for tile in tiles] == [
        ("1", ["cats"]),
        ("2", ["cats"]),
        ("3", ["dogs"]),
        ("b", []),
    ]
    assert all(tile["src"].startswith("./collections/pets/") for tile in tiles)
    button(page, "Dismiss").click().run()
    assert not page.success
    assert "Unreadable (1)" in str(page.get("button_group")[0].proto)
    page = navigation(collection="pets", part="failures")
    assert page.dataframe[0].value["file"].tolist() == ["a.zip/notes"]
    button(page, "Clear this list").click().run()
    assert "Every file" in page.success[0].value


def test_a_refused_archive_is_reported_and_the_collection_unchanged(pets):
    page = navigation(collection="pets", part="add")
    data = zipped(a_png=png(1)).replace(b"a.png", b"/.png")
    page.file_uploader[0].set_value(("evil.zip", data, "application/zip")).run()
    assert not page.exception and "evil.zip" in page.error[0].value and "leads out" in page.error[0].value
    assert not any(one.label.startswith("Add") for one in page.button)
    assert pets.info().images == 5 and pets.verify() == []


@pytest.mark.slow
def test_the_labels_of_a_zip_and_of_a_folder_are_shown_and_chosen_before_anything_is_stored(
    tmp_path, monkeypatch
):
    members = {"train__cat__1_png": png(1), "train__dog__2_png": png(2), "test__cat__3_png": png(3)}
    pets = pixels.create()
    page = navigation(collection="pets", part="add")
    page.file_uploader[0].set_value(("a.zip", zipped(**members), "application/zip")).run()
    assert "3 images, 2 labels" in told(page) and "level 2" in told(page)
    assert page.dataframe[0].value["Label"].tolist() == ["cat", "dog"]
    labels = next(one for one in page.selectbox if one.label == "Labels")
    assert labels.options[1:3] == ["the folders at level 1: train, test", "the folders at level 2: cat, dog"]
    labels.select(1).run()
    assert page.dataframe[0].value["Label"].tolist() == ["test", "train"] and pets.info().images == 0
    button(page, "Add 1 file").click().run()
    page = finish(page)
    assert pets.info().labels == {"test": 1, "train": 2}

    root = tmp_path / "root"
    for number, name in enumerate(("train/cat/4", "test/dog/5", "@eaDir/6")):
        draw(root / f"{name}.png", 10 + number)
    monkeypatch.setattr(settings, "IMAGE_ROOT", root)
    page = navigation(collection="pets", part="add", way="server")
    page = looked(button(page, "Preview this folder").click().run())
    assert "2 images, 2 labels, 1 left out" in told(page)
    page = looked(next(one for one in page.selectbox if one.label == "Labels").select(0).run())
    assert "2 images, 2 without a label" in told(page) and pets.info().images == 3
    button(page, "Add 2 images").click().run()
    page = finish(page)
    assert pets.info().labels == {"test": 1, "train": 2} and pets.info().images == 5


@pytest.mark.slow
def test_one_change_at_a_time_which_goes_on_when_the_page_is_left_and_can_be_cancelled(pets):
    go, seen = threading.Event(), threading.Event()

    def work(collection: Collection, job: jobs.Job) -> None:
        job.stage("slow", 10)
        job.step(4)
        seen.set()
        while not go.wait(0.01):
            job.step(0)

    assert collection_jobs.change("pets", "Something slow", work)
    assert seen.wait(30)
    for part in ("pictures", "add", "manage"):
        page = navigation(collection="pets", part=part)
        assert not page.exception and "Something slow" in told(page)
        assert "4 of 10 images" in page.get("progress")[0].proto.text
    assert button(page, "Update").disabled and button(page, "Delete this").disabled
    page = navigation(view="all")
    assert "Something slow: 40%" in told(page)
    # Somebody whose page is older asks for another change.
    script = "from dashboard import url\nfrom dashboard.widgets import collection_jobs\ncollection_jobs.change('pets', 'More', print)\nimport streamlit as st\nst.write(url.read(url.YOUR_IMAGES).notices)"
    other = AppTest.from_string(script, default_timeout=30).run()
    assert "One change at a time" in str(other.json[0].value)
    button(navigation(collection="pets"), "Cancel").click().run()
    page = finish(navigation(collection="pets"))
    assert "stopped" in told(page) and pets.info().images == 5


@pytest.mark.slow
def test_removed_images_are_listed_with_undo(pets, photos):
    page = navigation(collection="pets", part="removed")
    assert "No image was removed" in page.info[0].value
    pets.add_uploads([Upload("sent.png", io.BytesIO(png(30)))])
    gone = [row for row in pets.images() if row.label == "cat" or row.label is None]
    pets.remove([row.path for row in gone])
    page = navigation(collection="pets", part="removed")
    assert not page.exception and f"{len(gone)} removed images" in told(page)
    assert {tile["id"] for tile in gallery_of(page, 0)["tiles"]} == {row.id for row in gone}
    button(page, "Restore all").click().run()
    page = finish(page)
    assert f"{len(gone)} restored" in page.success[0].value
    pets.remove([row.path for row in gone])
    pets.purge([gone[0].path])
    page = navigation(collection="pets", part="removed")
    assert f"{len(gone) - 1} removed images" in told(page) and "add that again" in told(page)
    assert page.dataframe[0].value["file"].tolist() == [f"photos/{Path(gone[0].path).name}"]


@pytest.mark.slow
def test_adding_leaves_removed_images_out_unless_the_box_is_ticked(pets, photos):
    pets.add_uploads([Upload("sent.png", io.BytesIO(png(30)))])
    page = navigation(collection="pets", part="add")
    page.file_uploader[0].set_value([("again.png", png(30), "image/png")]).run()
    assert not page.checkbox
    pets.remove(where=["name=sent.png"])
    for ticked, outcome in ((False, "removed before (1)"), (True, "1 restored")):
        page = navigation(collection="pets", part="add")
        page.file_uploader[0].set_value([("again.png", png(30), "image/png")]).run()
        page.checkbox(key="images-restore-pets").set_value(ticked).run()
        button(page, "Add 1 file").click().run()
        page = finish(page)
        assert outcome in page.success[0].value.replace("\\", "")


@pytest.mark.slow
def test_a_folder_of_the_server_is_offered_only_below_the_root(tmp_path, photos, monkeypatch):
    pixels.create().close()
    page = navigation(collection="pets", part="add")
    page.button_group(key="images-way").set_value("server").run()
    assert (
        "PLAYGROUND_IMAGE_ROOT" in page.info[0].value and not page.selectbox(key="images-collection").disabled
    )
    assert not any(one.label == "Folder" for one in page.selectbox)

    monkeypatch.setattr(settings, "IMAGE_ROOT", photos)
    (photos / "out").symlink_to("/etc")
    page.run()
    assert "has 1 image and 3 folders directly in it" in told(page)
    next(one for one in page.selectbox if one.label == "Folder").select("cat").run()
    assert page.query_params["folder"] == "cat" and "has 2 images and 0 folders" in told(page)
    page = looked(button(page, "Preview this folder").click().run())
    assert "2 images" in told(page) and pixels.open_().info().images == 0
    button(page, "Add 2 images").click().run()
    page = finish(page)
    assert "2 added" in page.success[0].value
    for folder, sentence in (("out", "outside"), ("../..", "outside"), ("none", "no folder")):
        page = opened(collection="pets", part="add", folder=folder)
        assert not page.exception and sentence in page.error[0].value
        assert "/etc" not in told(page) and str(tmp_path) not in told(page)


def test_near_duplicates_follow_the_threshold_and_come_as_csv(pets, tmp_path):
    draw(tmp_path / "more" / "same.png", 1)
    near = picture(2)
    near.putpixel((0, 0), (0, 0, 0))
    near.save(tmp_path / "more" / "near.png")
    pets.add([str(tmp_path / "more")])
    page = navigation(collection="pets", part="duplicates", threshold="0")
    assert not page.exception and "1 group" in told(page)
    assert sorted(tile["title"] for tile in gallery_of(page, 0)["tiles"]) == ["a", "same"]
    page = navigation(collection="pets", part="duplicates", threshold="2")
    assert "2 groups" in told(page)
    assert sorted(tile["title"] for tile in gallery_of(page, 1)["tiles"]) == ["b", "near"]


def test_a_collection_without_near_duplicates_says_so(pets):
    page = navigation(collection="pets", part="duplicates", threshold="0")
    assert "No two images are within 0 of each other" in page.success[0].value


def test_outliers_and_label_errors_are_shown_the_clearest_first(collections_dir, tmp_path):
    # Reds and blues, one of each under the other's name, and one that is like nothing.
    from PIL import Image

    for i in range(12):
        for label, color in (("red", (220, i, 10)), ("blue", (10, i, 220))):
            path = tmp_path / "colors" / label / f"{label}{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), color).save(path)
    Image.new("RGB", (16, 16), (215, 5, 12)).save(tmp_path / "colors" / "blue" / "wrong.png")
    picture(7).save(tmp_path / "colors" / "odd.png")
    pixels.create().add([str(tmp_path / "colors")])
    page = navigation(collection="pets", part="labels")
    tiles = gallery_of(page, 0)["tiles"]
    assert [(tile["title"], tile["lines"][0]) for tile in tiles] == [("blue", "red?")]
    page = navigation(collection="pets", part="outliers")
    tiles = gallery_of(page, 0)["tiles"]
    assert tiles[0]["title"] == "odd" and tiles[0]["rank"] == 1 and len(tiles) == 26


def test_so_few_images_as_there_are_neighbors_are_not_called_ten(pets):
    assert "4 nearest neighbors" in told(navigation(collection="pets", part="outliers"))


def test_one_and_several_are_distinguished(pets, photos):
    (photos / "cat" / "same.png").write_bytes((photos / "cat" / "a.png").read_bytes())
    pets.remove([str(photos / "cat" / "b.png")])
    page = navigation(collection="pets", part="manage")
    assert "1 vector of removed images" in told(page)
    button(page, "Update").click().run()
    assert "1 has the same content" in told(finish(page))


def test_content_under_two_labels_and_classes_of_one_are_named(collections_dir, tmp_path):
    for name, seed in (
        ("a/0", 1),
        ("a/1", 2),
        ("a/2", 3),
        ("b/0", 4),
        ("b/1", 5),
        ("b/2", 1),
        ("lonely/0", 9),
    ):
        draw(tmp_path / "x" / f"{name}.png", seed)
    pixels.create().add([str(tmp_path / "x")])
    page = navigation(collection="pets", part="labels")
    tiles = gallery_of(page, 0)["tiles"]
    assert [(tile["title"], tile["lines"]) for tile in tiles[:2]] == [
        ("a", ["b?", "0, also labeled b"]),
        ("b", ["a?", "2, also labeled a"]),
    ]
    assert any("Too small to judge" in one.value and "lonely" in one.value for one in page.caption)


def test_without_labels_label_errors_say_what_is_needed(collections_dir, tmp_path):
    draw(tmp_path / "x" / "a.png", 1)
    pixels.create().add([str(tmp_path / "x")])
    assert "at least two labels" in navigation(collection="pets", part="labels").info[0].value
    page = navigation(collection="pets", part="outliers")
    assert "two images" in page.info[0].value
    # What is said of the neighbors holds only where there are some.
    assert "nearest" not in told(page)


@pytest.mark.slow
def test_managing_updates_checks_exports_and_makes_another_index(pets, photos):
    draw(photos / "cat" / "new.png", 70)
    page = navigation(collection="pets", part="manage")
    button(page, "Update").click().run()
    page = finish(page)
    assert "1 added, 5 already there" in page.success[0].value
    button(page, "Check it").click().run()
    assert any("complete and agree" in one.value for one in page.success)
    (photos / "cat" / "new.png").rename(photos.parent / "new.png")
    button(page, "Check it").click().run()
    # Named from the added folder on.
    assert "photos/cat/new.png" in page.error[0].value and str(photos) not in told(page)
    (photos.parent / "new.png").rename(photos / "cat" / "new.png")
    page.selectbox(key="images-kind-pets").select("hnsw").run()
    button(page, "Build the index again").click().run()
    page = finish(page)
    assert pets.state.kind == "hnsw"
    button(page, "Prepare the file").click().run()
    assert any(one.label.startswith("Download the file") for one in page.get("download_button"))
    table = pd.read_parquet(pets.folder / "export.parquet")
    # Not where they lie on the server.
    assert set(table["path"]) == {
        f"photos/{name}.png" for name in ("cat/a", "cat/b", "cat/new", "dog/c", "dog/d", "e")
    }


def test_kinds_of_index_are_compared_by_what_they_cost_the_labels(collections_dir):
    made = pixels.create()
    vectors = np.random.default_rng(0).normal(size=(60, made.about.dimensions))
    made.add_vectors([str(i) for i in range(60)], vectors, [str(i % 3) for i in range(60)])
    page = navigation(collection="pets", part="manage")
    button(page, "Measure them").click().run()
    page = looked(page)
    assert not page.exception
    [table] = [one.value for one in page.dataframe if "label_loss" in one.value]
    assert list(table["index"]) == ["flat", "hnsw", "ivf", "ivfpq"]
    flat = table.iloc[0]
    assert (flat["recall@10"], flat["label_loss"], flat["loss_low_95"], flat["loss_high_95"]) == (1, 0, 0, 0)
    assert "is the fastest" in told(page) and "loses no label precision beyond chance" in told(page)
    assert len(list(made.folder.glob("index-*"))) == 1 and made.verify() == []


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (None, "Without labels"),
        (Difference(0.021, 0.01, 0.032, 60, None), "It loses 2.1 points"),
        (Difference(0.021, -0.01, 0.052, 60, None), "no label precision beyond chance"),
        (Difference(-0.021, -0.03, -0.01, 60, None), "no label precision beyond chance: −2.1 points"),
    ],
)
def test_the_sentence_on_kinds_of_index_says_what_is_lost(loss, said):
    one = MeasuredIndex("faiss", "hnsw", "HNSW32", 16, 0.97, 0.1, 0.2, 0.97, 0.1, 0.6, loss, 1.0, 1000.0, 1.0)
    assert said in index_comparison.verdict([one])
    assert "No kind of index finds 95%" in index_comparison.verdict([replace(one, recall=0.9)])


@pytest.mark.slow
def test_deleting_asks_for_the_name(pets):
    page = navigation(collection="pets", part="manage")
    button(page, "Delete this collection").click().run()
    assert button(page, "Delete it").disabled
    page.text_input(key="images-typed").input("pets").run()
    button(page, "Delete it").click().run()
    assert not page.exception and names() == []


def test_a_broken_collection_is_listed_with_its_sentence_and_the_others_work(pets, collections_dir):
    for name, change in (("newer", {"format": 99}), ("torn", None)):
        pixels.create(name).close()
        path = collections_dir / name / "collection.json"
        path.write_text("{" if change is None else json.dumps(json.loads(path.read_text()) | change))
    page = navigation(view="all")
    assert not page.exception
    assert "format 99" in told(page) and "can't be read" in told(page)
    assert [one.label for one in page.button].count("Open") == 1
    page = navigation(collection="newer")
    assert not page.exception and "format 99" in page.error[0].value
    assert "5 images" in told(navigation(collection="pets"))


@pytest.mark.parametrize(
    "address",
    [
        {"collection": "../../etc"},
        {"collection": "pets", "part": "<script>", "at": "99999", "threshold": "-1"},
        {"collection": "pets", "part": "duplicates", "threshold": "x", "at": "0"},
        {"view": "nonsense"},
    ],
)
def test_any_address_shows_a_page(pets, address):
    page = navigation(**address)
    assert not page.exception
    assert page.title[0].value == "Your images"


@pytest.mark.slow
def test_it_imports_no_tensorflow(pets):
    code = (
        "import sys\n"
        "from tests.dashboard.test_your_images_page import navigation\n"
        "for part in ('pictures', 'add', 'outliers', 'failures', 'manage'):\n"
        "    page = navigation(collection='pets', part=part)\n"
        "    assert not page.exception and page.title[0].value == 'Your images'\n"
        "assert not {'tensorflow', 'umap', 'sklearn'} & set(sys.modules)"
    )
    environment = {"PLAYGROUND_COLLECTIONS_DIR": str(settings.COLLECTIONS_DIR)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr


def test_what_can_not_be_read_is_not_shown_as_nothing_there(pets, collections_dir, monkeypatch):
    about = collections_dir / "pets" / "collection.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "catalog": "postgresql"}))
    monkeypatch.setattr(settings, "CATALOG_URL", f"postgresql://tester@/postgres?host={collections_dir}")
    shared_engine.of_grid.cache_clear()
    page = navigation()
    assert not page.exception and "The catalog can't be used" in page.error[0].value
    assert "There is no collection yet" not in told(page) and "**pets**" in told(page)
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", about)
    page = navigation()
    assert not page.exception and "The folder of collections can't be read" in page.error[0].value
    assert "There is no collection yet" not in told(page)
    page = app("embeddings").run()
    assert not page.exception and "The folder of collections can't be read" in page.error[0].value


def test_a_server_that_is_busy_says_so_and_changes_nothing(pets, monkeypatch):
    go, few = threading.Event(), jobs.Jobs(running=1, waiting=0)
    monkeypatch.setattr(collection_jobs, "jobs", few)
    few.start("other", "Other", lambda job: go.wait(10))
    page = navigation(collection="pets", part="outliers")
    assert not page.exception and "server is busy" in page.error[0].value
    page = navigation(collection="pets", part="manage")
    button(page, "Update").click().run()
    assert "server is busy" in told(page)
    go.set()


def test_updating_names_images_that_lists_label_differently(collections_dir, tmp_path):
    draw(tmp_path / "photos" / "cat" / "a_b.png", 1)
    (tmp_path / "photos" / "list.csv").write_text("path,label\ncat/a_b.png,round\ncat/a_b.png,red\n")
    pixels.create().add([str(tmp_path / "photos"), str(tmp_path / "photos" / "list.csv")])
    page = navigation(collection="pets", part="manage")
    button(page, "Update").click().run()
    page = finish(page)
    [warning] = page.warning
    shown = warning.value.replace("\\", "")
    assert "1 image, which keeps the previous label" in shown
    assert "photos/cat/a_b.png: 'round' in photos/list.csv (row 2); 'red' in photos/list.csv (row 3)" in shown
    assert str(tmp_path) not in shown
