"""Published results brought into a grid: what was published and nothing else, whatever a copy holds."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from core import cli
from core.data import datasets
from core.errors import DatasetError, GridError, UserError
from core.evaluation import scoring
from core.experiments import store
from core.experiments.store import Grid
from core.models import registry
from core.progress import Silent
from core.published import convert, names
from core.search.engine import Engine
from tests.published import copies
from tests.reference import PUBLISHED, needs_published


@pytest.fixture
def copy(tmp_path) -> Path:
    return copies.make(tmp_path / "copy", inside="app/frontend/build/assets/semsearch")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "grid"


def bring(copy: Path, out: Path) -> convert.Report:
    return convert.import_copy(copy, out, Silent())


def run_of(out: Path, model: str = "densenet121", name: str = "shapes18") -> store.StoredRun:
    grid = Grid(out)
    return grid.run(grid.dataset(name), model, "published")


def everything(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


# What comes out


def test_lists_are_the_published_ones_without_the_query(copy, out, tmp_path):
    report = bring(tmp_path / "copy", out)
    assert report.experiments == {"shapes18": 10} and report.sentences == []
    found = run_of(out, "resnet50").neighbors("conv5_block3_3_conv", "flatten", "euclidean")
    published = json.loads((copy / "similarity/shapes18/resnet50/euclidean/res5c_branch2c.json").read_text())
    for row, query in enumerate(found.queries):
        assert [str(i) for i in found.ids[row]] == published[str(query)][1:]


def test_what_was_not_published_is_absent(copy, out):
    bring(copy, out)
    run = run_of(out)
    found = run.neighbors("conv5_block16_concat", "flatten", "cosine")
    assert found.distances is None and not run.about.has_distances
    with pytest.raises(GridError, match="no distances: they were not published"):
        run.pair_quantiles("conv5_block16_concat", "flatten", "cosine")
    with pytest.raises(GridError):
        run.vectors("conv5_block16_concat", "flatten")
    assert {layer.ms_per_image for layer in run.about.layers} == {None}
    assert {one.trustworthiness for one in run.projections("flatten", "umap", 2)} == {None}
    assert run.projections("flatten", "pca", 2) == run.projections("flatten", "umap", 3) == []
    assert "Apache-2.0" in run.about.weights_source
    assert json.loads((run.folder / "model.json").read_text())["format"] == 2


def test_everything_that_is_there_can_be_read_at_once_and_written_again(copy, out):
    bring(copy, out)
    run = run_of(out)
    before = everything(out)
    store.write_run(out / "shapes18", Grid(out).dataset("shapes18"), run.about, run.read_all())
    assert everything(out) == before


def test_the_same_copy_gives_the_same_files(copy, out):
    bring(copy, out)
    before = everything(out)
    bring(copy, out)
    assert everything(out) == before


def test_images_and_classes_are_the_published_ones(copy, out):
    bring(copy, out)
    dataset = Grid(out).dataset("shapes18")
    assert dataset.labels == copies.LABELS
    for number in range(copies.N):
        assert dataset.path(number).read_bytes() == (copy / f"datasets/shapes18/{number}.jpg").read_bytes()
    paths = [dataset.path(number) for number in range(copies.N)]
    assert dataset.fingerprint == datasets.fingerprint(dataset.labels, paths)
    assert {item.license for item in dataset.items} == {"Apache-2.0"}


def test_layers_are_named_and_ordered_as_ours_and_others_follow(copy, out):
    bring(copy, out)
    layers = run_of(out).about.layers
    assert [(layer.name, layer.depth) for layer in layers] == [
        ("conv2_block1_1_conv", 1),
        ("conv5_block16_concat", 8),
        ("pool1", 9),
    ]
    assert layers[2].shape == (56, 56, 64)
    assert [layer.depth for layer in run_of(out, "resnet50").about.layers] == [1, 8]


def test_projections_keep_every_distance_up_to_one_scale(copy, out):
    bring(copy, out)
    stored = run_of(out).projections("flatten", "umap", 2)
    assert [one.layer for one in stored] == ["conv2_block1_1_conv", "conv5_block16_concat"]
    scales = []
    for one in stored:
        points = json.loads((copy / f"umap/shapes18/densenet121/{one.layer}.json").read_text())
        ratio = pdist(one.coordinates) / pdist([(p["x"], p["y"]) for p in points])
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
        scales.append(ratio[0])
    assert scales[0] == pytest.approx(scales[1], rel=1e-3)
    assert np.abs(np.concatenate([one.coordinates for one in stored])).max() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["gztar", "zip", "tar"])
def test_an_archive_gives_the_same_as_its_folder(copy, out, tmp_path, kind):
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "copy")
    bring(tmp_path / "copy", out)
    expected = everything(out)
    bring(Path(archive), tmp_path / "other")
    assert everything(tmp_path / "other") == expected


def test_datasets_are_found_wherever_they_lie(tmp_path, out):
    copies.make(tmp_path / "many", "one", "a/b")
    copies.make(tmp_path / "many", "two", "c/d/e")
    assert bring(tmp_path / "many", out).experiments == {"one": 10, "two": 10}


def test_a_newer_version_of_a_copy_replaces_the_older(copy, out):
    bring(copy, out)
    shutil.copy(copy / "datasets/shapes18/0.jpg", copy / "datasets/shapes18/5.jpg")
    bring(copy, out)
    assert len(list((out / "shapes18").glob("images-*"))) == 1
    assert run_of(out).summaries


def test_another_dataset_of_the_name_is_left_alone(copy, out, tmp_path):
    folder = out / "shapes18"
    other = datasets.scan(copies.make(tmp_path / "o", "x", "p"))
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(datasets.describe(other, str(other.images)))
    before = everything(out)
    with pytest.raises(DatasetError, match="another dataset of the same name; choose another folder"):
        bring(copy, out)
    assert everything(out).items() >= before.items()


def test_a_new_image_cannot_be_compared_with_them(copy, out):
    bring(copy, out)
    engine = Engine(Grid(out))
    dataset = engine.grid.dataset("shapes18")
    assert engine.searchable(dataset) == []
    wanted = store.Configuration("resnet50", "published", "conv5_block3_3_conv", "flatten", "cosine")
    with pytest.raises(UserError, match="published without vectors"):
        engine.index(dataset, wanted)


# The real thing


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("real")
    report = convert.import_copy(PUBLISHED, out, Silent())
    assert report.sentences == [] and report.experiments == {"iconic200": 150}
    return out


@needs_published
@pytest.mark.parametrize("model", registry.APPLICATIONS)
def test_scores_follow_exactly_from_the_neighbors(real, model):
    run, labels = run_of(real, model, "iconic200"), Grid(real).dataset("iconic200").labels
    ours = {layer.name for layer in registry.get_model(model).layers}
    assert [layer.name for layer in run.about.layers[:8]] == [
        x.name for x in registry.get_model(model).layers
    ]
    for metric in ("cosine", "euclidean"):
        published = json.loads((PUBLISHED / "scores" / "iconic200" / model / f"{metric}.json").read_text())
        assert {names.ours(model, name) for name in published} == ours
        for name, scores in published.items():
            found = run.neighbors(names.ours(model, name), "flatten", metric)
            same = scoring.same_label(found.queries, found.ids, labels)
            np.testing.assert_allclose(scoring.score(same, 15), scores, rtol=0, atol=1e-9)


@needs_published
def test_what_was_published_beside_the_eight_is_kept(real):
    beyond = {
        (model, layer.name, layer.depth)
        for model in registry.APPLICATIONS
        for layer in run_of(real, model, "iconic200").about.layers
        if layer.depth > 8
    }
    assert beyond == {
        ("densenet121", "pool1", 9),
        ("densenet121", "conv5_block16_2_conv", 10),
        ("xception", "block14_sepconv2", 9),
    }


# Broken and hostile copies

EXPERIMENT = "similarity/shapes18/resnet50/cosine/res2a_branch2a.json"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "can't be read"),
        ("{", "can't be read"),
        ("[" * 100_000, "can't be read"),
        ("1" * 10_000, "can't be read"),
        ("[]", "no result lists"),
        ("null", "no result lists"),
        ('{"0": 3}', "no image"),
        ('{"99": ["0"]}', "no image"),
        ('{"0": ["0", "18"]}', "does not have"),
        ('{"0": ["0", "-1"]}', "does not have"),
        ('{"0": ["0", ["1"]]}', "does not have"),
        ('{"0": ["0", 1e400]}', "does not have"),
        ('{"0": ["0", "../../etc/passwd"]}', "does not have"),
        ('{"0": ["0", "1", "1"]}', "twice"),
        ('{"0": ["0", "1"], "1": ["1"]}', "different lengths"),
        ('{"0": ["0"]}', "empty"),
        ("\xff", "can't be read"),
    ],
)
def test_a_broken_experiment_costs_itself_a_sentence(copy, out, content, reason):
    (copy / EXPERIMENT).write_text(content, "latin-1")
    report = bring(copy, out)
    assert report.experiments == {"shapes18": 9}
    [sentence] = report.sentences
    assert "resnet50" in sentence and "res2a_branch2a.json" in sentence and reason in sentence
    assert len(run_of(out, "resnet50").summaries) == 3


def test_a_file_too_large_is_not_read(copy, out, monkeypatch):
    monkeypatch.setattr("core.settings.settings.MAX_JSON_BYTES", 1500)
    (copy / EXPERIMENT).write_text(" " * 1600)
    assert "res2a_branch2a.json has more than the" in bring(copy, out).sentences[0]


@pytest.mark.parametrize("content", ["[]", "[1]", '[{"x": 1}]', "{}", "null"])
def test_a_broken_projection_costs_itself_a_sentence(copy, out, content):
    (copy / "umap/shapes18/resnet50/res2a_branch2a.json").write_text(content)
    report = bring(copy, out)
    assert report.experiments == {"shapes18": 10} and len(report.sentences) == 1
    assert len(run_of(out, "resnet50").projections("flatten", "umap", 2)) == 1


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"1"', "true", "null", "[]"])
def test_a_point_that_is_no_place_is_refused(copy, out, value):
    path = copy / "umap/shapes18/resnet50/res2a_branch2a.json"
    points = json.loads(path.read_text())
    text = json.dumps([{**points[0], "x": "HERE"}, *points[1:]]).replace('"HERE"', value)
    path.write_text(text)
    assert "res2a_branch2a.json has a point" in bring(copy, out).sentences[0]


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '[{"0": "a"}]', '[{"0": "a"}, {"2": "b"}]', '[{"0": "a"}, {"1": 5}]', "[[], []]"],
)
def test_broken_classes_cost_the_dataset_a_sentence(copy, tmp_path, out, content):
    copies.make(tmp_path / "copy", "good", "elsewhere")
    (copy / "datasets/shapes18/classes.json").write_text(content)
    report = bring(tmp_path / "copy", out)
    assert report.experiments == {"good": 10}
    assert "shapes18: the dataset is left out" in report.sentences[0]


def test_a_broken_image_is_named_and_its_results_are_kept(copy, out):
    (copy / "datasets/shapes18/3.jpg").write_bytes(b"no image")
    (copy / "datasets/shapes18/4.jpg").unlink()
    report = bring(copy, out)
    assert [s.split(",")[0] for s in report.sentences] == ["shapes18: an image is left out"] * 2
    assert report.experiments == {"shapes18": 10}
    assert not Grid(out).dataset("shapes18").path(3).exists()


def test_unknown_models_metrics_and_layers_are_named(copy, out):
    here = copy / "similarity/shapes18"
    shutil.copytree(here / "resnet50", here / "resnet51")
    shutil.copytree(here / "resnet50/cosine", here / "resnet50/canberra")
    shutil.copy(copy / EXPERIMENT, here / "resnet50/cosine/conv2d_9999.json")
    report = bring(copy, out)
    assert report.experiments == {"shapes18": 10}
    assert len(report.sentences) == 3
    for word in ("canberra", "conv2d_9999", "resnet51"):
        assert any(word in sentence for sentence in report.sentences)


def test_two_files_of_one_layer_are_not_mixed(copy, out):
    shutil.copy(copy / EXPERIMENT, copy / EXPERIMENT.replace("res2a_branch2a", "conv2_block1_1_conv"))
    report = bring(copy, out)
    assert "second file of the layer conv2_block1_1_conv" in report.sentences[0]


def test_links_are_not_followed(copy, out, tmp_path):
    secret = tmp_path / "secret.json"
    shutil.copy(copy / EXPERIMENT, secret)
    (copy / EXPERIMENT).unlink()
    (copy / EXPERIMENT).symlink_to(secret)
    picture = copy / "datasets/shapes18/7.jpg"
    shutil.copy(picture, tmp_path / "private.jpg")
    picture.unlink()
    picture.symlink_to(tmp_path / "private.jpg")
    (copy / "loop").symlink_to(copy)
    report = bring(tmp_path / "copy", out)
    assert report.experiments == {"shapes18": 9}
    assert "missing or a link" in report.sentences[1] and "7.jpg" in report.sentences[0]


@pytest.mark.parametrize("name", ["a b", "-x", "ä", "x" * 80])
def test_a_dataset_with_a_strange_name_is_left_out(tmp_path, out, name):
    copies.make(tmp_path / "copy", name)
    report = bring(tmp_path / "copy", out)
    assert report.experiments == {} and "left out" in report.sentences[0]
    assert not out.exists()


def test_what_is_no_copy_is_refused(tmp_path, out):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no archive")
    for path, reason in (("empty", "holds no published data"), ("text.zip", "broken"), ("gone", "no folder")):
        with pytest.raises(UserError, match=reason):
            bring(tmp_path / path, out)


# Hostile archives


def zipped(tmp_path, *names, content=b"{}") -> Path:
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../out.json", "/etc/out.json", "a/../../out.json", "a\\..\\out.json"])
def test_a_path_that_leads_out_of_an_archive_refuses_it(tmp_path, out, name):
    with pytest.raises(DatasetError, match="leads out of it"):
        bring(zipped(tmp_path, name), out)
    tar = tmp_path / "hostile.tar.gz"
    with tarfile.open(tar, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(DatasetError, match="leads out of it"):
        bring(tar, out)
    assert not list(tmp_path.parent.glob("out.json"))


def test_an_archive_with_too_much_in_it_is_refused(tmp_path, out, monkeypatch):
    with pytest.raises(DatasetError, match="more comes out"):
        bring(zipped(tmp_path, "a.json", content=b"0" * 3_000_000), out)
    monkeypatch.setattr("core.settings.settings.MAX_ZIP_FILES", 3)
    with pytest.raises(DatasetError, match="more than the 3 files"):
        bring(zipped(tmp_path, *(f"{n}.json" for n in range(5))), out)


def test_links_in_an_archive_are_passed_over(copy, tmp_path, out):
    tar = tmp_path / "links.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(tmp_path / "copy", arcname="copy")
        member = tarfile.TarInfo("copy/x.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    assert bring(tar, out).experiments == {"shapes18": 10}


def test_a_truncated_archive_is_refused(copy, tmp_path, out):
    whole = Path(shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path / "copy"))
    whole.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(DatasetError, match="broken"):
        bring(whole, out)


# The command


def test_import_warns_and_goes_on(copy, out, tmp_path, capsys):
    (copy / EXPERIMENT).write_text("{")
    assert cli.main(["published", "import", str(tmp_path / "copy"), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "shapes18: 9 published experiments" in told.out
    assert told.err.count("warning: ") == 1
    assert cli.main(["grid", "list", "--grid", str(out), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 9 and {row["weights"] for row in rows} == {"published"}
