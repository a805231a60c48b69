"""Labels from folders in collections: derived, chosen, previewed and remembered."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from core import cli
from core.collections import Collection
from core.collections.uploads import Upload
from core.errors import CollectionError
from core.settings import settings
from tests.collections.pixels import create, draw, open_

SPLITS = ("train/cat/0", "train/dog/1", "test/cat/2", "test/dog/3", "sample")


def tree(root: Path, names: tuple[str, ...] = SPLITS) -> Path:
    for number, name in enumerate(names):
        draw(root / f"{name}.png", number)
    return root


def zipped(root: Path) -> list[Upload]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, path.relative_to(root))
    return [Upload("set.zip", out)]


def labels_of(collection: Collection) -> dict[str, str | None]:
    return {Path(image.metadata.get("name") or image.path).stem: image.label for image in collection.images()}


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (SPLITS, ["cat", "dog", "cat", "dog", None]),
        (("cat/0", "dog/deep/1", "2"), ["cat", "dog", None]),
        (("top/train/cat/0", "top/test/dog/1"), ["cat", "dog"]),
        (("top/0", "top/1"), [None, None]),
        (("caf\u00e9/0", "cafe\u0301/1", "dog/2"), ["caf\u00e9", "caf\u00e9", "dog"]),
    ],
)
def test_a_folder_and_a_zip_of_it_have_the_same_labels(anywhere, tmp_path, names, labels):
    root = tree(tmp_path / "set", names)
    expected = dict(zip((Path(name).name for name in names), labels, strict=True))
    folder, archive = create("folder"), create("zip")
    assert folder.preview([str(root)]).pictures == len(names)
    folder.add([str(root)])
    archive.add_uploads(zipped(root))
    assert labels_of(folder) == labels_of(archive) == expected
    again = folder.update()
    assert (again.changed, again.unchanged) == (0, len(names))


def test_a_preview_counts_labels_and_stores_nothing(folder, tmp_path):
    root = tree(tmp_path / "set")
    draw(root / "train/cat/.hidden.png", 9)
    pets = create()
    seen = pets.preview([str(root)])
    assert [(label.name, label.pictures) for label in seen.labels] == [("cat", 2), ("dog", 2)]
    assert seen.labels[0].example in ("set/test/cat/2.png", "set/train/cat/0.png")
    assert (seen.pictures, seen.unlabelled, seen.left_out, seen.level) == (5, 1, 1, 2)
    assert [set(names) for names in seen.levels] == [{"train", "test"}, {"cat", "dog"}]
    assert (pets.info().images, pets.source_paths, pets.embedder.embedded) == (0, (), 0)
    chosen = pets.preview([str(root)], label_level=1)
    assert {label.name for label in chosen.labels} == {"train", "test"}
    with pytest.raises(CollectionError, match="not a folder"):
        pets.preview([str(root / "sample.png")], label_level=1)


def test_a_chosen_level_is_remembered_for_updates_and_later_adds(anywhere, tmp_path):
    root = tree(tmp_path / "set")
    pets = create()
    pets.add([str(root)], label_level=1)
    assert labels_of(pets)["0"] == "train"
    draw(root / "train/cat/4.png", 4)
    assert pets.update().added == 1
    draw(root / "test/dog/5.png", 5)
    report = open_().add([str(root)])
    assert (report.added, report.changed) == (1, 0)
    assert labels_of(pets)["4"] == "train" and labels_of(pets)["5"] == "test"
    assert pets.add([str(root)], label_level=0).changed == 6
    assert set(labels_of(pets).values()) == {None}
    assert pets.add([str(root)], label_level=2).changed == 6
    assert labels_of(pets)["5"] == "dog"


def test_what_is_inside_a_remembered_folder_uses_its_level(folder, tmp_path):
    root = tree(tmp_path / "set")
    pets = create()
    pets.add([str(root)])
    before = labels_of(pets)
    cat = root / "train" / "cat"
    assert "'set'" in pets.preview([str(cat)]).rule()
    for inside in (cat, f"{root}/train/*/*.png", root / "sample.png"):
        assert pets.add([str(inside)]).changed == 0
    assert labels_of(pets) == before
    for _ in range(2):
        assert pets.update().changed == 0
    assert labels_of(pets) == before
    # The other way round: the part first, the whole later.
    parts = create("parts")
    parts.add([str(cat)])
    assert labels_of(parts) == {"0": None}
    parts.add([str(root)])
    assert labels_of(parts) == before
    assert parts.update().changed == 0 and labels_of(parts) == before


def test_images_that_come_later_do_not_change_the_level(folder, tmp_path):
    root = tree(tmp_path / "set", ("a/0", "b/1"))
    pets = create()
    pets.add([str(root)])
    for name in ("a", "b"):
        (root / name).rename(root / {"a": "train", "b": "test"}[name])
    draw(root / "train/cat/2.png", 2)
    pets.update()
    assert labels_of(pets) == {"0": "train", "1": "test", "2": "train"}
    # Where there were no folders at all, those that come are looked at.
    flat = create("flat")
    flat.add([str(tree(tmp_path / "flat", ("0",)))])
    tree(tmp_path / "flat", ("0", "cat/1", "dog/2"))
    flat.update()
    assert labels_of(flat) == {"0": None, "1": "cat", "2": "dog"}


def test_a_folder_remembered_by_an_earlier_version_keeps_its_labels(anywhere, tmp_path):
    root = tree(tmp_path / "set")
    pets = create()
    pets.add([str(root)], label_level=1)
    with pets.writing() as writer:
        records = writer.sources
        del records[0]["label_level"]
        writer.remember_sources(records)
    before = labels_of(pets)
    assert before["0"] == "train"
    assert pets.update().changed == 0
    assert pets.add([str(root / "train")]).changed == 0
    assert labels_of(pets) == before
    assert pets.add([str(root)], label_level=2).changed == 4


@pytest.mark.slow
def test_the_command_line_previews_without_a_model_and_takes_a_level(folder, tmp_path, capsys):
    root = tree(tmp_path / "set")
    draw(root / "@eaDir/x.png", 9)
    create().close()
    command = ["collection", "add", "pets", str(root), "--preview"]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "cat" in out and "dog" in out and "level 2" in out and "1 of them without a label" in out
    assert cli.main([*command, "--label-level", "none", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["labels"], seen["unlabelled"], seen["left_out"], seen["level"]) == ([], 5, 1, 0)
    with open_() as pets:
        assert (pets.info().images, pets.source_paths) == (0, ())
    with pytest.raises(SystemExit):
        cli.main([*command, "--label-level", "first"])
    assert "first" in capsys.readouterr().err
    program = (
        "import sys; from core import cli; code = cli.main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    environment = {"PLAYGROUND_COLLECTIONS_DIR": str(settings.COLLECTIONS_DIR)}
    ran = subprocess.run([sys.executable, "-c", program, *command], env=environment, capture_output=True)
    assert ran.returncode == 0, ran.stderr


def test_a_preview_of_a_list_counts_images_and_not_rows(anywhere, tmp_path):
    tree(tmp_path / "set", ("0", "1", "2"))
    path = tmp_path / "list.csv"
    rows = ["0,round", "0,round", "1,round", "1,red", "2,", "gone,red"]
    path.write_text("path,label\n" + "".join(f"set/{row.replace(',', '.png,')}\n" for row in rows))
    pets = create()
    seen = pets.preview([str(path)])
    assert [(label.name, label.pictures) for label in seen.labels] == [("round", 1)]
    assert (seen.pictures, seen.unlabelled, seen.conflicting, seen.failed) == (3, 2, 1, 1)
    assert "list" in seen.rule()
    assert [problem.path for problem in seen.problems] == [str(tmp_path / "set" / "gone.png")]
    pets.add([str(path)])
    assert labels_of(pets) == {"0": "round", "1": None, "2": None}


def test_a_level_that_no_image_reaches_is_refused_and_takes_no_label(anywhere, tmp_path):
    pets, root = create(), tree(tmp_path / "set")
    pets.add([str(root)])
    before = labels_of(pets)
    for ask in (pets.add, pets.preview):
        with pytest.raises(CollectionError, match="level 3"):
            ask([str(root)], label_level=3)
    assert labels_of(pets) == before
    pets.add([str(root)], label_level=2)
    assert labels_of(pets) == before
