"""Staged copies: changed and checked beside the collection in use, and published in one commit or not at all."""

import ctypes
import errno
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from core import cli
from core.collections import Collection, catalog, lifecycle, schema, search_quality, staging
from core.collections.staging import Gate
from core.collections.uploads import Upload
from core.errors import CollectionError, RefusedError, UnknownNameError
from core.imaging import servable_files
from core.settings import settings
from tests.collections import pixels
from tests.collections.pixels import create, draw, open_, picture, png


def staged() -> Collection:
    return open_(folder=lifecycle.staged_folder())


def content(collection: Collection) -> dict[str, tuple]:
    """What a user keeps, by path: number, label and vector."""
    vectors = collection.snapshot().stored
    images = {image.path: (image.id, image.label, *vectors[image.faiss_id]) for image in collection.images()}
    return images | {image.path: ("removed",) for image in collection.images(schema.REMOVED)}


def everything(collection: Collection) -> tuple:
    """All of its state, and the files that go with it."""
    uploads = {file.name for file in collection.uploads.glob("*")}
    return collection.state, content(collection), collection.source_paths, uploads


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(12):
        draw(tmp_path / "photos" / "cat" / f"{seed}.png", seed)
    return tmp_path / "photos"


def filled(photos: Path) -> Collection:
    made = create()
    made.add([str(photos)])
    made.add_uploads([Upload("sent.png", png(50))])
    return made


@pytest.fixture
def pets(folder: Path, photos: Path) -> Collection:
    return filled(photos)


@pytest.fixture
def pets_anywhere(anywhere: Path, photos: Path) -> Collection:
    """With its catalog in each kind of database in turn."""
    return filled(photos)


def test_a_staged_copy_is_changed_and_published(pets_anywhere, photos):
    pets = pets_anywhere
    before = content(pets)
    staging.stage("pets")
    for seed in range(20, 24):
        draw(photos / "dog" / f"{seed}.png", seed)
    (photos / "cat" / "3.png").unlink()
    with staged() as copy:
        copy.update()
        copy.optimize()
        assert copy.verify() == [] and copy.info().images == 16
        new = content(copy)
    # The one in use does not know of it.
    assert content(pets) == before
    published = staging.publish("pets")
    assert (published.before.images, published.after.images) == (13, 16)
    assert content(pets) == new and pets.verify() == []
    assert pets.search([picture(21)], k=1)[0][0].path == str(photos / "dog" / "21.png")
    kept = before.keys() & new.keys()
    assert len(kept) == 12 and all(new[path][2:] == before[path][2:] for path in kept)
    assert lifecycle.names(lifecycle.staged_folder()) == []
    # It goes on as any other collection does.
    draw(photos / "dog" / "30.png", 30)
    assert pets.update().added == 1 and pets.verify() == []


CHANGES: dict[str, Callable[[Collection, Path], object]] = {
    "images of a source": lambda pets, photos: pets.add([draw(photos.with_name("more") / "1.png", 31)]),
    "an upload": lambda pets, photos: pets.add_uploads([Upload("new.png", png(32))]),
    "a source without a new image": lambda pets, photos: pets.add([str(photos / "cat" / "1.png")]),
    "a removal": lambda pets, photos: pets.remove([str(photos / "cat" / "1.png")]),
    "a forgotten source": lambda pets, photos: pets.remove([str(photos.with_name("empty"))]),
    "vectors": lambda pets, photos: pets.add_vectors(["x"], np.ones((1, pets.about.dimensions))),
    "another index": lambda pets, photos: pets.optimize(index="hnsw"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_collection_meanwhile_is_never_lost(pets_anywhere, photos, change):
    pets = pets_anywhere
    photos.with_name("empty").mkdir()
    pets.add([str(photos.with_name("empty"))])
    staging.stage("pets")
    draw(photos / "cat" / "40.png", 40)
    with staged() as copy:
        copy.update()
        prepared = everything(copy)
    CHANGES[change](pets, photos)
    changed = everything(pets)
    with pytest.raises(RefusedError, match="pets"):
        staging.publish("pets")
    assert everything(pets) == changed and pets.verify() == []
    with staged() as copy:
        assert everything(copy) == prepared and copy.verify() == []
    # The way out.
    staging.stage("pets", replace=True)
    with staged() as copy:
        copy.update()
    staging.publish("pets")
    assert str(photos / "cat" / "40.png") in content(pets) and pets.verify() == []


def test_what_one_writes_does_not_reach_the_other(pets, photos):
    """Their vectors are one file until one of them writes."""
    staging.stage("pets")
    file = pets.folder / pets.state.vector_file
    assert file.stat().st_nlink == 2
    with staged() as copy:
        for seed, collection in ((60, pets), (61, copy), (62, pets), (63, copy)):
            collection.add_uploads([Upload(f"{seed}.png", png(seed))])
            assert pets.verify() == [] and copy.verify() == []
        assert copy.search([picture(61)], k=1)[0][0].distance < 1e-3
        assert pets.search([picture(62)], k=1)[0][0].distance < 1e-3
        assert pets.search([picture(61)], k=1)[0][0].distance > 1e-3


def test_uploads_follow_their_images(pets):
    staging.stage("pets")
    with staged() as copy:
        [sent] = copy.uploads.iterdir()
        assert copy.file(f"uploads/{sent.name}").samefile(pets.uploads / sent.name)
        assert servable_files.uploaded(sent)
        copy.remove(where=["name=sent.png"])
        copy.purge()
        copy.add_uploads([Upload("other.png", png(51))])
        [other] = copy.uploads.iterdir()
    # It is still in use.
    assert (pets.uploads / sent.name).exists()
    staging.publish("pets")
    assert [file.name for file in pets.uploads.iterdir()] == [other.name]
    assert pets.file(f"uploads/{other.name}").read_bytes() == png(51).getvalue()


def test_whoever_reads_goes_on_and_finds_the_new_state(pets_anywhere, photos):
    """As a server does: a thread of its own, a collection that stays open."""
    staging.stage("pets")
    draw(photos / "dog" / "70.png", 70)
    with staged() as copy:
        copy.update()
        copy.optimize()
    reader, found, failures, done = open_(), [], [], threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                found.append((reader.info().images, len(reader.search([picture(70)], k=20)[0])))
        except Exception as error:
            failures.append(error)

    def wait(count: int) -> None:
        while len(found) < count and not failures:
            time.sleep(0.01)

    thread = threading.Thread(target=search)
    thread.start()
    wait(3)
    staging.publish("pets")
    wait(len(found) + 3)
    done.set()
    thread.join()
    assert failures == []
    # Either state is complete; a search and the count beside it may see different ones.
    assert {count for pair in found for count in pair} == {13, 14}
    assert found[0] == (13, 13) and found[-1] == (14, 14)


@pytest.fixture
def clustered(folder: Path) -> Collection:
    """400 vectors of two labels, each around a center of its own."""
    made = create(index="flat")
    random_ = np.random.default_rng(0)
    centers = random_.normal(size=(2, made.about.dimensions))
    which = np.arange(400) % 2
    vectors = centers[which] + 0.3 * random_.normal(size=(400, made.about.dimensions))
    made.add_vectors([f"v{i}" for i in range(400)], vectors, [f"label{i}" for i in which])
    return made


def relabel(collection: Collection, label: str | None) -> None:
    with collection.writing() as writer, writer._change() as connection:
        connection.execute(sa.update(schema.images).where(schema.images.c.id % 4 == 0).values(label=label))


def worse_index(collection: Collection) -> None:
    # Of 40 groups only the nearest one is searched.
    collection.optimize(index="IVF40,Flat")
    with collection.writing() as writer:
        state = writer.state
        writer._replace(index=type(state.index)(**{**vars(state.index), "effort": 1}))


WORSE: dict[str, tuple[Callable[[Collection], None], Gate]] = {
    "recall@10": (worse_index, Gate(recall=1.0)),
    "label precision@10": (lambda copy: relabel(copy, "label0"), Gate(label_precision=1.0)),
}


@pytest.mark.parametrize("figure", WORSE)
def test_a_worse_copy_is_not_published_unless_the_margins_allow_it(clustered, figure):
    worsen, generous = WORSE[figure]
    staging.stage("pets")
    with staged() as copy:
        worsen(copy)
        prepared = copy.state
    before = everything(clustered)
    with pytest.raises(RefusedError, match=figure):
        staging.publish("pets")
    assert everything(clustered) == before
    with staged() as copy:
        assert copy.state == prepared and copy.verify() == []
    staging.publish("pets", gate=generous)
    assert clustered.state.index == prepared.index and clustered.verify() == []


def test_labels_that_are_gone_are_a_loss(clustered):
    staging.stage("pets")
    with staged() as copy, copy.writing() as writer, writer._change() as connection:
        connection.execute(sa.update(schema.images).values(label=None))
    with pytest.raises(RefusedError, match="label precision"):
        staging.publish("pets")


def test_an_index_that_reaches_the_goal_of_tuning_is_no_loss():
    before, after = (search_quality.Quality(100, 100, recall, None) for recall in (1.0, 0.94))
    assert Gate(recall=0.02).problems(before, after) == []
    assert len(Gate(recall=0.005).problems(before, after)) == 1


def test_the_quality_is_that_of_comparing_every_pair(clustered):
    vectors = np.asarray(clustered.snapshot().stored, np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argsort(-similar, axis=1)[:, :10]
    # Rows are of the two labels in turns.
    precision = (nearest % 2 == np.arange(400)[:, None] % 2).mean()
    measured = search_quality.measure(clustered, np.arange(400))
    assert measured.recall == 1.0 and measured.label_precision == pytest.approx(precision, abs=1e-3)


def test_two_states_are_measured_on_the_images_they_share(pets, photos):
    staging.stage("pets")
    with staged() as copy:
        copy.remove([str(photos / "cat" / "1.png")])
        copy.optimize()
        with pets.frozen() as (one, _), copy.frozen() as (other, _):
            first, second = catalog.lowest_hashes(one, 6), catalog.lowest_hashes(other, 6)
        before, after = search_quality.compare(pets, copy, 6)
    assert len(first) == len(second) == 6 and first.keys() <= {image.hash for image in pets.images()}
    assert before.queries == after.queries == len(first.keys() & second.keys()) >= 5


def test_an_empty_collection_is_published_into(folder, photos):
    create().close()
    staging.stage("pets")
    with staged() as copy:
        copy.add([str(photos)])
    published = staging.publish("pets")
    assert (published.before.queries, published.after.images) == (0, 12)
    with open_() as pets:
        assert pets.verify() == [] and pets.info().images == 12


def test_a_second_copy_replaces_the_first_only_when_asked(pets):
    staging.stage("pets")
    with staged() as copy:
        copy.remove(where=["name=sent.png"])
        first = copy.about.uuid
    with pytest.raises(CollectionError, match="--replace"):
        staging.stage("pets")
    staging.stage("pets", replace=True)
    with staged() as copy:
        assert copy.about.uuid != first and copy.info().images == 13


def test_what_is_not_there_is_named(pets):
    with pytest.raises(UnknownNameError, match="staged collection 'pets'"):
        staging.publish("pets")
    with pytest.raises(UnknownNameError, match="'cats'"):
        staging.stage("cats")
    with pytest.raises(UnknownNameError, match="'cats'"):
        staging.publish("cats")


def test_a_collection_is_deleted_with_its_staged_copy(pets_anywhere, photos):
    staging.stage("pets")
    lifecycle.delete("pets")
    assert lifecycle.names(lifecycle.staged_folder()) == []
    # One of the same name is another collection.
    with create() as again:
        again.add([str(photos)])
    staging.stage("pets")


def test_a_copy_of_a_collection_that_was_created_again_is_refused(pets, photos):
    staging.stage("pets")
    lifecycle.staged_folder().rename(lifecycle.staged_folder().with_name("kept"))
    lifecycle.delete("pets")
    with create() as again:
        again.add([str(photos)])
        before = everything(again)
        lifecycle.staged_folder().with_name("kept").rename(lifecycle.staged_folder())
        with pytest.raises(RefusedError):
            staging.publish("pets")
        assert everything(again) == before


@pytest.mark.parametrize(
    "text", [None, b"", b"{}", b"[1]", b'{"format": 1, "uuid": 7, "facts": []}', b"\xff"]
)
def test_a_damaged_copy_is_not_published(pets, text):
    staging.stage("pets")
    file = lifecycle.staged_folder() / "pets" / "staged.json"
    file.unlink() if text is None else file.write_bytes(text)
    before = everything(pets)
    with pytest.raises(CollectionError, match="staged"):
        staging.publish("pets")
    assert everything(pets) == before


def test_missing_vectors_are_not_published(pets):
    staging.stage("pets")
    with staged() as copy:
        file = copy.folder / copy.state.vector_file
    file.unlink()
    before = everything(pets)
    with pytest.raises(CollectionError):
        staging.publish("pets", gate=Gate(1.0, 1.0))
    assert everything(pets) == before and pets.verify() == []


def test_a_publication_that_was_cut_off_after_its_commit_is_finished(pets, photos, monkeypatch):
    staging.stage("pets")
    draw(photos / "dog" / "80.png", 80)
    with staged() as copy:
        copy.update()
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "delete", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            staging.publish("pets")
    new = everything(pets)
    again = staging.publish("pets")
    assert (again.before, again.after) == (None, None)
    assert everything(pets) == new and lifecycle.names(lifecycle.staged_folder()) == []


def test_a_copy_that_was_published_and_changed_after_is_refused(pets, monkeypatch):
    staging.stage("pets")
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "delete", lambda *_: None)
        staging.publish("pets")
    with staged() as copy:
        copy.add_uploads([Upload("late.png", png(81))])
    with pytest.raises(RefusedError):
        staging.publish("pets")
    with staged() as copy:
        assert copy.info().images == 14


@pytest.mark.slow
def test_a_disk_without_hard_links_holds_copies(pets, photos, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    staging.stage("pets")
    with staged() as copy:
        copy.add_uploads([Upload("new.png", png(82))])
        assert copy.verify() == []
    staging.publish("pets")
    assert pets.verify() == [] and pets.info().images == 14


def test_from_staging_to_publishing_on_the_command_line(pets, photos, monkeypatch, capsys):
    monkeypatch.setattr("core.cli.collection._load", pixels.load)

    def run(*arguments: str) -> int:
        return cli.main(["collection", *arguments])

    assert run("stage", "pets") == 0
    assert run("remove", "pets", "--where", "name=sent.png") == 0
    assert run("publish", "pets") == 3
    assert "changed since it was staged" in capsys.readouterr().err
    assert run("delete", "pets", "--staged", "--yes") == 0
    assert run("stage", "pets") == 0 and run("stage", "pets") == 2 and run("stage", "pets", "--replace") == 0
    draw(photos / "dog" / "90.png", 90)
    assert run("update", "pets", "--staged") == 0
    assert run("optimize", "pets", "--staged") == 0 and run("verify", "pets", "--staged") == 0
    capsys.readouterr()
    for flags, images in ((["--staged"], 13), ([], 12)):
        assert run("info", "pets", "--json", *flags) == 0
        assert json.loads(capsys.readouterr().out)["images"] == images
    assert run("publish", "pets", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row[""], row["images"]) for row in rows] == [("before", 12), ("after", 13)]
    assert run("publish", "pets") == 2


KILLS = {"sqlite": 24, "postgresql": 8}


def publish(folder: Path, url: str | None, calls: ctypes.c_longlong, last: int) -> None:
    """Count the calls of publishing in ``calls``, and die at the ``last``: where that is depends on no clock."""

    def count(frame: object, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            calls.value += 1
            if calls.value == last:
                os.kill(os.getpid(), signal.SIGKILL)

    settings.COLLECTIONS_DIR, settings.CATALOG_URL = folder, url
    sys.setprofile(count)
    staging.publish("pets")
    sys.setprofile(None)


@pytest.mark.slow
@pytest.mark.parametrize("backend", KILLS)
def test_a_kill_while_publishing_leaves_the_old_state_or_the_new_one(
    backend, folder, photos, request, monkeypatch
):
    url = request.getfixturevalue("postgresql_url") if backend == "postgresql" else None
    monkeypatch.setattr(settings, "CATALOG_URL", url)
    with create() as pets:
        pets.add([str(photos)])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.collections.test_staging", "faiss", "scipy.spatial"])
    moments, calls, outcomes = random.Random(0), context.Value("q", 0, lock=False), {"old": 0, "new": 0}
    in_all = 0
    for kill in range(KILLS[backend]):
        with open_() as pets:
            old = everything(pets)
        staging.stage("pets", replace=True)
        with staged() as copy:
            # Images, a removal and an upload each time; tombstones and an old index too.
            copy.add([draw(photos / "new" / f"{kill}.png", 100 + kill)])
            copy.add_uploads([Upload("sent.png", png(500 + kill))])
            copy.remove(
                [str(photos / "new" / f"{kill - 1}.png")] if kill else [str(photos / "cat" / "0.png")]
            )
            if kill % 3 == 0:
                copy.optimize()
            _, *new, uploads = everything(copy)
        calls.value = 0
        # The first one lives, to count the calls. Every second one comes far: the commit is one of the last steps.
        last = moments.randint(in_all * 9 // 10 if kill % 2 else 1, in_all) if kill else 0
        process = context.Process(target=publish, args=(folder, url, calls, last))
        process.start()
        process.join()
        in_all = max(in_all, calls.value)
        with open_() as pets:
            assert pets.verify() == [], kill
            now = everything(pets)
            outcomes["old" if now[:3] == old[:3] else "new"] += kill > 0
            # Uploads of the copy may be there already, see below.
            assert (now[:3] == old[:3] and now[3] >= old[3]) or [*now[1:3]] == new, kill
        if staged_is_there():
            with staged() as copy:
                assert copy.verify() == [] and [content(copy), copy.source_paths] == new, kill
            staging.publish("pets")
        with open_() as pets:
            assert pets.verify() == [] and [*everything(pets)[1:]] == [*new, uploads], kill
            # What a kill left behind is gone with the next change.
            pets.forget_failures()
            kept = {pets.state.vector_file, pets.state.index.file}
            files = {file.name for file in pets.folder.iterdir() if file.suffix in (".bin", ".faiss")}
            assert files == kept, kill
    assert min(outcomes.values()) >= 1, outcomes


def staged_is_there() -> bool:
    return "pets" in lifecycle.names(lifecycle.staged_folder())
