import io
import json
import threading

import pytest
from PIL import Image
from starlette.applications import Starlette

from core.experiments.store import Grid
from core.server import media, routes
from dashboard.frontend.gallery import gallery
from tests.dashboard.conftest import DATASET, http_get


@pytest.fixture
def app() -> Starlette:
    return Starlette(routes=media.routes())


def test_an_image_is_a_small_webp_that_may_be_kept_for_good(grid_dir, app):
    url = gallery.address(Grid().load(DATASET).dataset.address(3))
    status, headers, body = http_get(app, url)
    assert status == 200
    assert headers["content-type"] == "image/webp"
    assert "immutable" in headers["cache-control"]
    with Image.open(io.BytesIO(body)) as image:
        assert (image.format, max(image.size)) == ("WEBP", 50)


@pytest.mark.parametrize("query", ["", "?v=", "?v=0", "?v=00000000"])
def test_an_image_of_another_version_is_asked_for_again(grid_dir, app, query):
    status, headers, _ = http_get(app, f"/pictures/{DATASET}/3{query}")
    assert status == 200
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["nope/0", "../0", f"{DATASET}/24", f"{DATASET}/-1", f"{DATASET}/x", f"{DATASET}/{'9' * 5000}", f"{DATASET}/٣"]
)  # fmt: skip
def test_what_does_not_exist_gets_a_notice(grid_dir, app, path):
    status, headers, body = http_get(app, f"/pictures/{path}")
    assert status == 404
    assert headers["content-type"].startswith("text/plain")
    assert body.decode().endswith(".")


def test_a_large_image_is_made_small(own_grid_dir, app):
    path = own_grid_dir / DATASET / "images" / "class-0" / "0.png"
    Image.new("RGB", (1600, 900), "red").save(path)
    _, _, body = http_get(app, f"/pictures/{DATASET}/0")
    with Image.open(io.BytesIO(body)) as image:
        assert image.size == (320, 180)


def test_a_small_webp_is_sent_as_it_is(own_grid_dir, app):
    path = own_grid_dir / DATASET / "images" / "class-0" / "0.png"
    Image.new("RGB", (40, 40), "red").save(path, "WEBP")
    assert http_get(app, f"/pictures/{DATASET}/0")[2] == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_a_file_that_is_broken_or_gone_is_reported(own_grid_dir, app, content):
    path = own_grid_dir / DATASET / "images" / "class-0" / "0.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    status, headers, body = http_get(app, f"/pictures/{DATASET}/0")
    assert status == 404
    assert headers["cache-control"] == "no-store"
    assert str(own_grid_dir) not in body.decode()
    assert http_get(app, f"/pictures/{DATASET}/1")[0] == 200


def test_a_file_outside_the_dataset_is_refused(own_grid_dir, app):
    description = own_grid_dir / DATASET / "dataset.json"
    content = json.loads(description.read_text())
    content["items"][0]["file"] = "../../../secret.png"
    description.write_text(json.dumps(content))
    Image.new("RGB", (4, 4)).save(own_grid_dir.parent / "secret.png")
    status, _, body = http_get(app, f"/pictures/{DATASET}/0")
    assert status == 404
    assert "outside its folder" in body.decode()


def test_decoding_does_not_hold_up_the_server(grid_dir, app, monkeypatch):
    threads = []
    monkeypatch.setattr(media, "_webp", lambda *_: threads.append(threading.current_thread()) or b"picture")
    assert http_get(app, f"/pictures/{DATASET}/0")[0] == 200
    assert threads[0] is not threading.main_thread()


def test_images_lie_below_the_base_path_of_the_server(grid_dir):
    app = Starlette(routes=routes.page_routes("/some/where/"))
    assert http_get(app, f"/some/where/pictures/{DATASET}/0")[0] == 200
    assert http_get(app, f"/pictures/{DATASET}/0")[0] == 404
