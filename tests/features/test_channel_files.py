"""The files of visualizations and top-activating images: written whole, and damaged ones read as missing."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from starlette.applications import Starlette

from core.errors import ModelDataError
from core.experiments import parquet_tables
from core.features import channel_files
from core.features.channel_files import Visualization
from core.server import media
from core.settings import settings
from tests.conftest import ROOT
from tests.dashboard.conftest import http_get
from tests.experiments.synthetic import draw_dataset

MODEL = "squeezenet"
FACTS = {"weights_fingerprint": "0" * 64, "steps": 3}
MADE = [Visualization(7, b"seven", 1.5), Visualization(2, b"two", 0.25)]


@pytest.fixture(autouse=True)
def models_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "MODELS_DIR", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def dataset(tmp_path):
    return draw_dataset(tmp_path / "shapes", 3, 4)


def some_found(n_channels=5, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    values = (
        -np.sort(-rng.uniform(0.1, 1, (n_channels, channel_files.MOST)), axis=1).astype(np.float32) * scale
    )
    values[0] = 0  # no activation
    values[1, 3:] = 0
    return channel_files.TopImages(
        items=rng.integers(0, 12, values.shape),
        values=values,
        boxes=np.sort(rng.uniform(0, 1, (*values.shape, 4)), axis=2).astype(np.float32),
        spread=rng.uniform(0, 1, n_channels).astype(np.float32),
    )


def test_images_come_back_as_they_were_put():
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    channel_files.write_visualizations(MODEL, "imagenet", "fire2_concat", MADE[:1], FACTS)
    assert channel_files.visualizations(MODEL, "imagenet", "fire4_concat") == MADE
    assert channel_files.visualizations(MODEL, "imagenet", "fire2_concat") == MADE[:1]
    assert [
        key["layer"] for key, _ in channel_files.stored(MODEL, "imagenet", channel_files.VISUALIZATIONS)
    ] == [
        "fire2_concat",
        "fire4_concat",
    ]
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE[1:], FACTS)
    assert channel_files.visualizations(MODEL, "imagenet", "fire4_concat") == MADE[1:]
    assert MADE[0].version != MADE[1].version


def test_the_order_of_writing_does_not_show(models_dir):
    contents = []
    for order in (("fire2_concat", "fire4_concat"), ("fire4_concat", "fire2_concat")):
        for layer in order:
            channel_files.write_visualizations(MODEL, "imagenet", layer, MADE, FACTS)
        (file,) = (models_dir / MODEL).iterdir()
        contents.append(file.read_bytes())
        file.unlink()
    assert contents[0] == contents[1]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_top_images_are_read_up_to_rounding(dataset, scale):
    found = some_found(scale=scale)
    channel_files.write_top_images(MODEL, "imagenet", dataset, {"fire2_concat": found}, FACTS)
    assert channel_files.top_images(dataset, MODEL, "imagenet", "fire2_concat", 0) == []
    assert len(channel_files.top_images(dataset, MODEL, "imagenet", "fire2_concat", 1)) == 3
    for channel in range(2, 5):
        for mine, its in zip(
            channel_files.top_images(dataset, MODEL, "imagenet", "fire2_concat", channel, 4),
            found.of(channel),
            strict=False,
        ):
            assert mine.item == its.item
            assert mine.value == pytest.approx(its.value, rel=1e-3)
            assert mine.box == pytest.approx(its.box, abs=1 / 255)


def test_what_was_computed_on_other_images_is_not_taken_for_this_dataset(dataset, tmp_path):
    channel_files.write_top_images(MODEL, "imagenet", dataset, {"fire2_concat": some_found()}, FACTS)
    assert channel_files.top_images(dataset, MODEL, "imagenet", "fire2_concat", 2)
    other = draw_dataset(tmp_path / "elsewhere" / "shapes", 2, 2)
    assert other.name == dataset.name
    assert channel_files.top_images(other, MODEL, "imagenet", "fire2_concat", 2) is None
    for channel in (-1, 5):
        assert channel_files.top_images(dataset, MODEL, "imagenet", "fire2_concat", channel) is None


@pytest.mark.parametrize(
    ("model", "weights", "layer"),
    [("nope", "imagenet", "fire4_concat"), ("../squeezenet", "imagenet", "fire4_concat"), (MODEL, "../imagenet", "fire4_concat"), (MODEL, "imagenet", "../x"), (MODEL, "untrained", "fire4_concat"), ("", "", "")],
)  # fmt: skip
def test_what_is_not_there_is_empty(model, weights, layer, dataset):
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    assert channel_files.visualizations(model, weights, layer) == []
    assert channel_files.top_images(dataset, model, weights, layer, 0) is None


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", None])
def test_a_broken_file_reads_as_not_there_and_is_replaced(models_dir, content):
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    (file,) = (models_dir / MODEL).iterdir()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is None else content)
    assert channel_files.visualizations(MODEL, "imagenet", "fire4_concat") == []
    channel_files.write_visualizations(MODEL, "imagenet", "fire2_concat", MADE, FACTS)
    assert channel_files.visualizations(MODEL, "imagenet", "fire2_concat") == MADE


def test_a_damaged_table_costs_itself_alone(models_dir):
    for layer in ("fire2_concat", "fire4_concat"):
        channel_files.write_visualizations(MODEL, "imagenet", layer, MADE, FACTS)
    (file,) = (models_dir / MODEL).iterdir()
    data = bytearray(file.read_bytes())
    data[20:40] = bytes(20)  # pages of the first table
    file.write_bytes(data)
    assert channel_files.visualizations(MODEL, "imagenet", "fire2_concat") == []
    assert channel_files.visualizations(MODEL, "imagenet", "fire4_concat") == MADE
    channel_files.write_visualizations(MODEL, "imagenet", "fire5_concat", MADE, FACTS)
    assert [
        key["layer"] for key, _ in channel_files.stored(MODEL, "imagenet", channel_files.VISUALIZATIONS)
    ] == [
        "fire4_concat",
        "fire5_concat",
    ]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(models_dir, monkeypatch):
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    (file,) = (models_dir / MODEL).iterdir()
    before = file.read_bytes()

    def write_half(path, entries):
        path.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet_tables, "write", write_half)
    with pytest.raises(ModelDataError, match=r"can't be written \(No space left on device\)"):
        channel_files.write_visualizations(MODEL, "imagenet", "fire2_concat", MADE, FACTS)
    assert list((models_dir / MODEL).iterdir()) == [file] and file.read_bytes() == before


def test_killed_while_writing_the_old_file_is_there_or_the_new_one(models_dir):
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    script = (
        "from core.features import channel_files as store\n"
        "for n in range(10**6):\n"
        "    made = [store.Visualization(i, bytes([n % 256]) * 200_000, n) for i in range(5)]\n"
        f"    store.write_visualizations({MODEL!r}, 'imagenet', 'fire4_concat', made, {json.dumps(FACTS)})\n"
        "    print(n, flush=True)\n"
    )
    environment = {"PLAYGROUND_MODELS_DIR": str(models_dir), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as writer:
        for _ in range(3):
            writer.stdout.readline()
        time.sleep(0.013)
        writer.send_signal(signal.SIGKILL)
    found = channel_files.visualizations(MODEL, "imagenet", "fire4_concat")
    assert len(found) == 5
    assert {one.webp for one in found} == {bytes([int(found[0].activation) % 256]) * 200_000}
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    assert [path.name for path in (models_dir / MODEL).iterdir()] == ["channels.imagenet.parquet"]


def test_an_image_over_http_may_be_kept_as_long_as_it_is_the_same(models_dir):
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    app = Starlette(routes=media.routes("/base"))
    address = f"/base/channels/{MODEL}/imagenet/fire4_concat/7.webp"
    status, headers, body = http_get(app, f"{address}?v={MADE[0].version}")
    assert (status, headers["content-type"], body) == (200, "image/webp", b"seven")
    assert "immutable" in headers["cache-control"]
    assert http_get(app, address)[1]["cache-control"] == "no-cache"
    assert http_get(app, f"{address}?v={MADE[1].version}")[1]["cache-control"] == "no-cache"


@pytest.mark.parametrize("place", [f"{MODEL}/imagenet/fire4_concat/8", f"{MODEL}/imagenet/fire4_concat/07", f"{MODEL}/imagenet/nope/7", "nope/imagenet/fire4_concat/7", f"..%2f{MODEL}/imagenet/fire4_concat/7", f"{MODEL}/..%2fimagenet/fire4_concat/7", f"{MODEL}/imagenet/fire4_concat/{'9' * 5000}"])  # fmt: skip
def test_an_image_that_is_not_there_is_reported_in_a_sentence(place):
    channel_files.write_visualizations(MODEL, "imagenet", "fire4_concat", MADE, FACTS)
    status, headers, body = http_get(Starlette(routes=media.routes()), f"/channels/{place}.webp")
    assert status == 404 and b"RIFF" not in body
    assert headers["content-type"].startswith("text/plain")
