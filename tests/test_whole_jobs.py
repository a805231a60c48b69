"""How far long computations say they are, with real ones on little data."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.collections import Collection, collection_projection, curation, export, index_tuning
from core.collections.uploads import Upload
from core.errors import UserError
from core.experiments import robustness_run, runner
from core.features import top_activating, visualize
from core.models import networks, registry, weights
from core.progress import Progress
from core.settings import settings
from tests.collections.pixels import create, draw, picture
from tests.experiments.synthetic import draw_dataset
from tests.watched_jobs import WatchedJob


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "IMAGE_ROOT", None)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Images of two labels, and a file that can't be read."""
    for seed in range(30):
        draw(tmp_path / "photos" / ("cat" if seed % 2 else "dog") / f"{seed}.png", seed)
    (tmp_path / "photos" / "cat" / "broken.png").write_bytes(b"no image")
    return tmp_path / "photos"


@pytest.fixture
def pets(photos) -> Collection:
    made = create()
    made.add([str(photos)])
    return made


def run(work: Callable[[Progress], Any]) -> WatchedJob:
    """The job, once it is done."""
    job = WatchedJob("Working")
    job._run(work, lambda: None)
    assert (job.error, job.state, job.faults) == (None, "done", [])
    assert job.stages and job.fractions[0] == 0 and job.fraction == 1
    # What was done before the end was almost all.
    assert job.fractions[-1] > 0.5
    return job


def upload(count: int) -> Upload:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for seed in range(count):
            image = io.BytesIO()
            picture(100 + seed).save(image, "PNG")
            file.writestr(f"photos/cat/{seed}.png", image.getvalue())
    return Upload("photos.zip", out)


def test_adding_folders_and_updating(photos, tmp_path):
    draw(tmp_path / "more" / "1.png", 501)
    made = create()
    job = run(lambda job: made.add([str(photos), str(tmp_path / "more")], job))
    assert job.stages[:3] == ["counting the images", "photos", "more"] and job.result.added == 31
    # The bar is divided by how many images there are: 31 and 1.
    before = max(fraction for fraction in job.fractions if fraction < 0.9)
    assert before > 0.7

    draw(photos / "dog" / "new.png", 502)
    assert run(lambda job: made.update(job)).result.added == 1


def test_a_source_that_is_gone_takes_no_part(photos, tmp_path):
    draw(tmp_path / "more" / "1.png", 501)
    made = create()
    made.add([str(photos), str(tmp_path / "more")])
    (tmp_path / "more" / "1.png").unlink()
    (tmp_path / "more").rmdir()
    job = run(lambda job: made.update(job))
    assert len(job.result.problems) == 1 and "more" not in job.stages


def test_uploading():
    made = create()
    job = run(lambda job: made.add_uploads([upload(9)], job))
    assert job.stages[:2] == ["receiving", "computing vectors"] and job.result.added == 9


def test_restoring_from_files(pets):
    pets.remove(where=["label=cat"])
    pets.optimize()
    assert run(lambda job: pets.restore(progress=job)).result.restored == 15


def test_previewing_a_folder(photos):
    job = WatchedJob("Reading")
    job._run(lambda job: create().preview([str(photos)], job), lambda: None)
    # How many there are is not known before.
    assert (job.faults, job.stages, job.total) == ([], ["files"], 0)
    assert job.done_steps == job.result.pictures == 31


def test_verifying(pets):
    job = run(lambda job: pets.verify(progress=job))
    assert job.result == [] and job.stages == ["vectors", "index", "files of images"]
    assert job.done_steps == job.total == 30 and job.fractions[-1] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_building_an_index_and_exporting(pets, tmp_path, kind):
    assert run(lambda job: pets.optimize(kind, progress=job)).fractions[-1] == pytest.approx(1)
    assert run(lambda job: export.write(pets, tmp_path / "all.parquet", job)).fractions[-1] == pytest.approx(
        1
    )


def test_comparing_kinds_of_index(pets):
    job = run(lambda job: index_tuning.measure(pets, ["flat", "hnsw"], job))
    assert [stage for stage in job.stages if stage.startswith("building")] == [
        "building flat",
        "building hnsw",
    ]


def test_curation(pets):
    for work in (
        lambda job: curation.near_duplicates(pets, 0.1, job),
        lambda job: curation.outliers(pets, 5, job),
        lambda job: curation.label_errors(pets, 5, job),
    ):
        run(work)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["umap", "pca"])
def test_projecting(pets, method):
    job = run(lambda job: collection_projection.compute(pets, method, 2, job))
    assert ("placing the points" in job.stages) == (method == "umap")
    assert job.stages[-1] == "writing"


@pytest.mark.slow
def test_placing_the_points_is_counted_and_can_be_canceled(pets):
    class Impatient(WatchedJob):
        def _changed(self):
            super()._changed()
            if self.stage_name == "placing the points" and self.done_steps > 3:
                self.cancel()

    job = Impatient("Projecting")
    job._run(lambda job: collection_projection.compute(pets, "umap", 2, job), lambda: None)
    assert (job.state, job.stage_name) == ("cancelled", "placing the points")
    assert collection_projection.read(pets, "umap", 2) is None


@pytest.mark.slow
def test_computing_a_grid(tmp_path):
    chosen = [draw_dataset(tmp_path / name, 2, 4) for name in ("first", "second")]
    request = runner.Request(("squeezenet",), layers=("fire2_concat", "fire9_concat"), metrics=("cosine",))
    job = run(lambda job: runner.run(chosen, request, tmp_path / "grid", job))
    assert job.stages.count("features") == 2 and job.stages.count("loading the model") == 1
    # The first dataset is there: all of the bar is for the second.
    other = draw_dataset(tmp_path / "third", 2, 4)
    job = run(lambda job: runner.run([chosen[0], other], request, tmp_path / "grid", job))
    assert job.stages.count("features") == 1 and min(one for one in job.fractions if one) < 0.5
    run(
        lambda job: robustness_run.run(
            chosen, robustness_run.Request(("squeezenet",)), tmp_path / "grid", job
        )
    )


@pytest.mark.slow
def test_channels(tmp_path):
    model = registry.get_model("squeezenet")
    dataset = draw_dataset(tmp_path / "drawn", 2, 4)
    network = networks.load(model, "imagenet", WatchedJob("Loading"))
    run(lambda job: top_activating.find(dataset, model, network, ["fire2_concat"], job))
    graph, _ = weights.load(model, "imagenet", WatchedJob("Loading"))
    job = run(lambda job: visualize.visualize(graph, model, "fire2_concat", [0], job, 3))
    assert job.total == 3


def test_a_failed_job_keeps_its_sentence_and_how_far_it_was(pets, tmp_path):
    def work(job: Progress) -> None:
        first, second = job.divide(1, 1)
        pets.update(first)
        second.stage("other", 2)
        second.step()
        raise UserError("There is no room.")

    job = WatchedJob("Working")
    job._run(work, lambda: None)
    assert (job.state, job.error, job.faults) == ("failed", "There is no room.", [])
    assert job.fraction == pytest.approx(0.75)
