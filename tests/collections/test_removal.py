"""Removing, restoring and purging images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from core.collections import Collection, curation, schema
from core.collections.quota import QuotaError
from core.errors import CollectionError
from core.settings import settings
from tests.collections import version1
from tests.collections.pixels import create, draw, open_, picture
from tests.collections.test_uploads import add as upload
from tests.collections.test_uploads import archive, files, png, sent

CAT = (0, 2, 4)


def photos(folder: Path, count: int = 6) -> Path:
    for seed in range(count):
        draw(folder / "photos" / ("cat" if seed % 2 == 0 else "dog") / f"{seed:02}.png", seed)
    return folder / "photos"


def stored(collection: Collection) -> list[tuple]:
    """All that the catalog says of the stored images."""
    return sorted(
        (row.path, row.hash, row.size, row.mtime_ns, row.label, str(row.metadata), row.source)
        for row in collection.images()
    )


def removed(collection: Collection) -> list[str]:
    return [row.path for row in collection.removed()]


def removed_by_an_older_version(collection: Collection, paths: list[str]) -> None:
    """What versions that kept nothing of a removed image left of it."""
    collection.remove(paths)
    with collection._catalog.writing() as connection:
        nothing = dict.fromkeys(("hash", "size", "mtime_ns", "label", "faiss_id", "source", "seen"))
        change = sa.update(schema.images).where(schema.images.c.path.in_(paths))
        connection.execute(change.values(metadata={}, **nothing))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos(tmp_path)


@pytest.fixture
def pets(anywhere: Path, root: Path) -> Collection:
    made = create()
    made.add([str(root)])
    return made


def test_adding_and_updating_leave_removed_images_out_and_count_them(pets, root):
    assert pets.remove([str(root / "cat")]) == 3
    draw(root / "cat" / "06.png", 6)
    report = pets.add([str(root)])
    assert (report.added, report.unchanged, report.kept_out) == (1, 3, 3)
    report = pets.update()
    assert (report.added, report.unchanged, report.kept_out, report.changed) == (0, 4, 3, 0)
    # Other bytes at the same place, and a file that is gone, change nothing about the decision.
    draw(root / "cat" / "00.png", 60)
    (root / "cat" / "02.png").unlink()
    report = pets.update()
    assert (report.kept_out, report.removed) == (2, 0)
    assert removed(pets) == [str(root / "cat" / f"0{seed}.png") for seed in CAT]
    assert pets.verify() == []


def test_undo_brings_images_back_as_they_were_without_file_and_model(pets, root):
    before = stored(pets)
    embedded, rows = pets.embedder.embedded, pets.state.rows
    pets.remove(where=["label=cat"])
    kept = root.rename(root.with_name("elsewhere"))
    assert pets.restore([str(root / "cat" / "00.png")]).restored == 1
    assert (len(removed(pets)), pets.info().images) == (2, 4)
    assert pets.restore().restored == 2
    assert stored(pets) == before
    assert (pets.embedder.embedded, pets.state.rows, pets.info().tombstones) == (embedded, rows, 0)
    [hit] = pets.search([picture(0)], k=1)[0]
    assert (Path(hit.path).name, round(hit.distance, 3)) == ("00.png", 0)
    kept.rename(root)
    assert pets.verify() == []
    assert pets.update().unchanged == 6


def test_after_a_compaction_undo_reads_the_files_and_what_is_gone_stays_removed(pets, root):
    before = stored(pets)
    pets.remove([str(root / "cat")])
    pets.optimize()
    assert (pets.info().tombstones, pets.info().contents, pets.verify()) == (0, 3, [])
    gone = root / "cat" / "00.png"
    content = gone.read_bytes()
    gone.unlink()
    embedded = pets.embedder.embedded
    report = pets.restore()
    assert (report.restored, report.failed, pets.embedder.embedded - embedded) == (2, 1, 2)
    [left] = pets.removed()
    assert (left.path, left.label) == (str(gone), "cat") and "No such file" in left.reason
    assert pets.info().failures == 0
    gone.write_bytes(content)
    assert pets.restore([str(gone)]).restored == 1
    assert [row[:2] + row[4:] for row in stored(pets)] == [row[:2] + row[4:] for row in before]
    assert pets.verify() == []


def test_undo_reads_nothing_outside_the_folder_that_the_settings_allow(folder, root, tmp_path, monkeypatch):
    pets = create()
    pets.add([str(root)])
    pets.add_uploads([sent("9.png", png(9))])
    pets.remove(where=["label=cat"])
    pets.remove(where=["name=9.png"])
    pets.optimize()
    monkeypatch.setattr(settings, "IMAGE_ROOT", tmp_path / "elsewhere")
    report = pets.restore()
    assert (report.restored, report.failed) == (1, 3)
    assert all("outside" in row.reason for row in pets.removed())


def test_undo_keeps_the_label_of_a_list_although_the_folder_has_another(folder, root, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,label,price\nphotos/cat/00.png,tiger,7\n")
    pets = create()
    pets.add([str(root), str(table)])
    path = str(root / "cat" / "00.png")
    before = next(row for row in pets.images() if row.path == path)
    assert (before.label, before.metadata, before.folder_label) == ("tiger", {"price": 7}, "cat")
    pets.remove([path])
    assert pets.update().kept_out == 1
    pets.optimize()
    assert pets.restore().restored == 1
    after = next(row for row in pets.images() if row.path == path)
    said = [(row.label, row.metadata, row.folder_label, row.source) for row in (before, after)]
    assert said[0] == said[1]
    report = pets.update()
    assert (report.changed, report.unchanged, pets.verify()) == (0, 6, [])


def test_adding_with_restore_removed_restores_them(pets, root):
    pets.remove([str(root / "cat")])
    embedded = pets.embedder.embedded
    draw(root / "cat" / "00.png", 60)
    report = pets.add([str(root)], restore_removed=True)
    assert (report.restored, report.kept_out, report.unchanged) == (3, 0, 3)
    # Only what has another content needs the model.
    assert pets.embedder.embedded - embedded == 1
    assert (pets.info().images, removed(pets), pets.verify()) == (6, [], [])
    [hit] = pets.search([picture(60)], k=1)[0]
    assert hit.distance < 1e-3 and hit.label == "cat"


def test_removed_images_are_not_shown_anywhere(pets, root):
    gone = {str(root / "cat" / f"0{seed}.png") for seed in CAT}
    ids = {row.path: row.id for row in pets.images()}
    pets.remove([str(root / "cat")])
    hits = pets.search([picture(0)], k=10)[0]
    assert len(hits) == 3 and not gone & {hit.path for hit in hits}
    assert pets.search([picture(0)], k=10, where=["label=cat"])[0] == []
    assert not gone & {row.path for row in pets.images()}
    assert pets.info().labels == {"dog": 3}
    assert all(set(labels) == {"dog"} for labels in pets.labels_by_row().values())
    assert pets.of_rows(range(6)).keys() == set(pets.labels_by_row())
    assert pets.shared_rows() == []
    _, total, images, _ = pets.sample(10)
    assert (total, len(images)) == (3, 3)
    groups = curation.near_duplicates(pets, 10.0)
    assert not gone & {finding.path for group in groups for finding in group}
    with pytest.raises(CollectionError, match="removed"):
        pets.nearest_to(ids[min(gone)], 1)


def test_images_of_the_same_content_are_removed_and_restored_each_for_itself(pets, root):
    one, other = root / "cat" / "00.png", root / "cat" / "copy.png"
    shutil.copy(one, other)
    pets.add([str(root)])
    pets.remove([str(one)])
    assert (pets.info().tombstones, pets.verify()) == (0, [])
    [hit] = pets.search([picture(0)], k=1)[0]
    assert (hit.path, hit.also) == (str(other), ())
    assert pets.first_of_rows([hit.row])[hit.row].path == str(other)
    pets.remove([str(other)])
    assert (pets.info().tombstones, pets.verify()) == (1, [])
    # A third one uses the vector that is there.
    third = root / "dog" / "third.png"
    shutil.copy(one, third)
    embedded, rows = pets.embedder.embedded, pets.state.rows
    assert pets.add([str(root)]).added == 1
    assert (pets.embedder.embedded, pets.state.rows) == (embedded, rows)
    pets.remove([str(root / "dog" / "01.png")])
    pets.optimize()
    assert pets.restore([str(one), str(other)]).restored == 2
    [hit] = pets.search([picture(0)], k=1)[0]
    assert {hit.path, *hit.also} == {str(one), str(other), str(third)}
    assert pets.verify() == []


def test_a_restored_image_belongs_to_no_source_that_came_later(pets, root, tmp_path):
    pets.remove([str(root)])
    assert pets.source_paths == ()
    others = tmp_path / "others"
    draw(others / "a.png", 40)
    pets.add([str(others)])
    assert pets.restore().restored == 6
    assert pets.update().removed == 0
    assert pets.info().images == 7


def test_removed_vectors_computed_elsewhere_come_back_while_they_are_stored(folder):
    made = create()
    vectors = np.random.default_rng(0).random((4, made.about.dimensions))
    made.add_vectors(list("abcd"), vectors, ["x"] * 4)
    made.remove(["a", "b"])
    assert made.restore(["a"]).restored == 1
    assert made.search_vectors(vectors[0], 1)[0][0].path == "a"
    made.optimize()
    assert (removed(made), made.removed_paths(), made.verify()) == ([], ["b"], [])


def test_removed_uploads_keep_their_files_and_count_until_they_are_purged(anywhere, monkeypatch):
    pets = create()
    upload(pets, archive({f"cat/{seed}.png": png(seed) for seed in range(4)}))
    before = files(pets)
    gone = [row.path for row in pets.images()][:2]
    pets.remove(gone)
    monkeypatch.setattr(settings, "MAX_UPLOAD_PICTURES", 5)
    # What nobody needs is swept at every upload.
    pets.add_uploads([sent("9.png", png(9))])
    with pytest.raises(QuotaError, match="MAX_UPLOAD_PICTURES"):
        pets.add_uploads([sent("10.png", png(10))])
    pets.optimize()
    assert before < files(pets)
    assert pets.restore(gone[:1]).restored == 1
    assert pets.purge() == 1
    assert len(files(pets)) == 4 == pets.info().images
    assert pets.add_uploads([sent("10.png", png(10))]).added == 1
    assert (removed(pets), pets.removed_paths(), pets.verify()) == ([], [], [])


def test_an_upload_that_was_removed_is_left_out_until_restoring_is_requested(folder):
    pets = create()
    upload(pets, archive({"cat/1.png": png(1), "dog/2.png": png(2)}))
    pets.remove(where=["label=cat"])
    report = pets.add_uploads([sent("again.png", png(1))])
    assert (report.added, report.kept_out, pets.info().images) == (0, 1, 1)
    report = pets.add_uploads([sent("again.png", png(1))], restore_removed=True)
    assert (report.restored, pets.info().images) == (1, 2)
    assert ("cat/1.png", "cat") in {(row.metadata["name"], row.label) for row in pets.images()}


def test_purging_forgets_all_but_that_a_image_of_a_folder_was_removed(pets, root):
    pets.remove([str(root / "cat")])
    assert pets.purge([str(root / "cat" / "00.png")]) == 1
    assert pets.purge(where=["label=cat"]) == 2
    assert (removed(pets), len(pets.removed_paths())) == ([], 3)
    assert (root / "cat" / "00.png").exists()
    assert pets.update().kept_out == 3
    assert pets.purge() == 0 == pets.restore().restored
    for nothing in (pets.purge, pets.restore):
        with pytest.raises(CollectionError, match="No removed image"):
            nothing([str(root / "dog")])
    pets.optimize()
    assert pets.verify() == []
    assert pets.add([str(root)], restore_removed=True).restored == 3


def test_what_an_older_version_removed_is_only_read_again_from_its_source(pets, root):
    paths = [str(root / "cat" / f"0{seed}.png") for seed in CAT]
    removed_by_an_older_version(pets, paths)
    again = open_()
    assert (removed(again), again.removed_paths()) == ([], paths)
    assert (again.info().removed, again.info().removed_paths) == (3, 3)
    assert again.restore().restored == 0
    assert again.add([str(root)]).kept_out == 3
    report = again.add([str(root)], restore_removed=True)
    assert (report.restored, again.info().labels) == (3, {"cat": 3, "dog": 3})
    assert again.verify() == []


def test_what_the_first_version_removed_stays_removed_and_is_known_by_its_path(anywhere, tmp_path):
    version1.unpack(tmp_path, settings.CATALOG_URL)
    pets = open_()
    assert (removed(pets), len(pets.removed_paths())) == ([], 1)
    assert pets.restore().restored == 0 == pets.purge()


def test_verify_reports_invalid_rows_of_removed_images(pets, root):
    pets.remove([str(root / "cat")])
    with pets._catalog.writing() as connection:
        gone = schema.images.c.state == schema.REMOVED
        connection.execute(sa.update(schema.images).where(gone).values(faiss_id=99))
    assert any("removed" in problem for problem in pets.verify())


def test_what_could_not_be_read_stays_removed_too(pets, root):
    broken = root / "cat" / "broken.png"
    broken.write_text("no picture")
    assert pets.add([str(root)]).failed == 1
    pets.remove([str(broken)])
    report = pets.add([str(root)])
    assert (report.failed, report.kept_out, pets.info().failures) == (0, 1, 0)
    assert pets.removed_paths() == [str(broken)]


def test_an_empty_path_removes_nothing_and_means_no_folder(pets, root):
    for change in (pets.remove, pets.restore, pets.purge, pets.add, pets.preview):
        with pytest.raises(CollectionError, match="empty"):
            change([""])
    assert pets.info().images == 6 and removed(pets) == []
    with pytest.raises(CollectionError, match="empty"):
        pets.update(labels_from="")


def test_a_removal_that_fails_forgets_no_source(pets, root):
    with pytest.raises(CollectionError, match="No image of the collection is 'nothing'"):
        pets.remove([str(root), "nothing"])
    with pytest.raises(CollectionError, match="meets 'label=bird'"):
        pets.remove([str(root)], where=["label=bird"])
    assert pets.source_paths == (str(root),) and pets.info().images == 6
