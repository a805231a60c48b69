"""Take pictures of every page and state, at four widths of the window, light and dark: ``make shots``.

``sheet-STATE.webp`` shows a state in all of them side by side; the pictures themselves have their own files. Nothing is compared: they are for people to look at.
"""

import argparse
import csv
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

from core.collections import Collection, labelled_dataset
from core.experiments import runner
from core.experiments.runner import Request
from core.progress import Silent
from scripts.ensure_chromium import HOW, find_chromium
from tests.browser.conftest import ARGUMENTS, HEIGHT, wait_until_idle
from tests.conftest import ROOT, serving

IMAGES = ROOT / "precomputed" / "objects200" / "images"
WIDTHS = (1400, 1000, 700, 400)
SCHEMES = ("light", "dark")
# Longer pages are cut, so that one sheet can be read.
LONGEST = 3000

_PAIR = "model=efficientnet-lite0&model2=mobilenet"
STATES = {
    "home": "/",
    "home-nothing": "/?most-ms=5&least-score=90",
    "search": "/search",
    "search-query": "/search?query=37&class=birds",
    "search-side": "/search?query=37&side=1",
    "search-unknown": "/search?model=nothing&k=900&color=red",
    "unknown-page": "/nowhere",
    "picture": "/live",
    "picture-results": "/live?input=dataset/objects200/37",
    "picture-region": "/live?input=dataset/objects200/37&crop=0.1,0.1,0.7,0.6&about=place",
    "picture-api": "/live?input=dataset/objects200/37&about=api",
    "picture-gone": "/live?input=dataset/objects200/9999",
    "picture-collection": "/live?collection=shop&input=dataset/objects200/37",
    "compare": "/compare",
    **{
        f"compare-{section}": f"/compare?section={section}&{_PAIR}"
        for section in (
            *("leaderboard", "cost", "factors", "pair", "pictures", "classes", "robustness", "carry"),
            *("use", "combine", "export"),
        )
    },
    "embeddings": "/embeddings",
    "embeddings-3d": "/embeddings?dimensions=3",
    "embeddings-image": "/embeddings?query=37",
    "embeddings-selection": "/embeddings?selected=20-60&panel=selection",
    "embeddings-missing": "/embeddings?collection=shop",
    "models": "/models",
    "models-channels": "/models?part=channels",
    "models-channel": "/models?part=channels&channel=5",
    "models-picture": "/models?part=picture",
    "models-picture-full": "/models?part=picture&input=dataset/objects200/37",
    "images": "/images",
    **{
        f"images-{part}": f"/images?collection=shop&part={part}"
        for part in (
            *("pictures", "add", "duplicates", "outliers", "labels", "failures", "removed", "grid", "manage"),
        )
    },
    "images-new": "/images?collection=new",
    "many-search": "/search?dataset=collection-many&query=30",
    "many-classes": "/compare?dataset=collection-many&section=classes",
    "many-embeddings": "/embeddings?dataset=collection-many&query=30",
    "many-selection": "/embeddings?dataset=collection-many&selected=0-120&panel=selection",
    "many-place": "/live?dataset=collection-many&input=dataset/objects200/37&about=place",
    "many-why": "/live?collection=many&input=collection/many/1",
    "many-images": "/images?collection=many",
    "images-unknown": "/images?collection=nothing",
    "images-damaged": "/images?collection=damaged",
    "images-empty-outliers": "/images?collection=new&part=outliers",
    "picture-empty": "/live?collection=new",
    "picture-damaged": "/live?collection=damaged",
    "embeddings-empty": "/embeddings?collection=new",
    "embeddings-unknown": "/embeddings?dataset=nothing",
    "embeddings-running": "/embeddings?collection=shop&method=umap&dimensions=3",
    "models-running": "/models?part=channels&channel=7&model=squeezenet",
    "images-index-measured": "/images?collection=shop&part=manage",
    "picture-refused": "/live",
    "images-refused": "/images?collection=shop&part=add",
    "images-preview": "/images?collection=shop&part=add",
}


def _press(name: str) -> Callable[[Page], None]:
    def press(page: Page) -> None:
        button = page.get_by_role("button", name=name)
        # A computation of the server may go on, or have ended, since the pictures of the other scheme.
        if button.count():
            button.click()
            page.wait_for_timeout(1500)

    return press


def _send(*files: tuple[str, bytes]) -> Callable[[Page], None]:
    sent = [
        FilePayload(name=name, mimeType="application/octet-stream", buffer=content) for name, content in files
    ]
    return lambda page: page.locator("input[type=file]").set_input_files(sent)


# What is done in a state before its pictures are taken.
STEPS: dict[str, Callable[[Page], None]] = {
    "embeddings-running": _press("Compute UMAP"),
    "models-running": _press("Visualize"),
    "images-index-measured": _press("Measure them"),
    "picture-refused": _send(("broken.png", b"no image")),
    "images-refused": _send(("broken.zip", b"no archive")),
    "images-preview": _send(*((path.name, path.read_bytes()) for path in sorted(IMAGES.glob("*.webp"))[:20])),
}


def take(
    browser: Browser, server: str, name: str, folder: Path, widths: Sequence[int], schemes: Sequence[str]
) -> None:
    """Take the pictures of a state and put them on its sheet."""
    shots = []
    for scheme in schemes:
        context = browser.new_context(
            base_url=server, color_scheme=scheme, viewport={"width": widths[0], "height": HEIGHT}
        )
        page = context.new_page()
        page.goto(STATES[name])
        if name in STEPS:
            wait_until_idle(page)
            STEPS[name](page)
        for width in widths:
            shot = _whole(page, width)
            shot.save(folder / f"{name}-{scheme}-{width}.webp", quality=85)
            shots.append(shot)
        context.close()
    _sheet(shots).save(folder / f"sheet-{name}.webp", quality=85)


def _whole(page: Page, width: int) -> Image.Image:
    """The page in a window that is as high as it is."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    wait_until_idle(page)
    page.wait_for_timeout(500)
    content = page.locator('[data-testid="stMainBlockContainer"]')
    height = content.evaluate("element => element.scrollHeight") if content.count() else HEIGHT
    page.set_viewport_size({"width": width, "height": max(HEIGHT, min(LONGEST, height))})
    page.wait_for_timeout(2000 if page.locator(".playground-scatter").count() else 500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _sheet(shots: Sequence[Image.Image]) -> Image.Image:
    gap = 24
    sheet = Image.new(
        "RGB", (sum(one.width + gap for one in shots), max(one.height for one in shots)), "#808080"
    )
    left = 0
    for one in shots:
        sheet.paste(one, (left, 0))
        left += one.width + gap
    return sheet


def _collection(folder: Path) -> None:
    """A collection with images of every kind: labeled, copied, mislabeled, unreadable, removed; an empty one, and a damaged one."""
    listed = folder / "shop.csv"
    rows = [f"{path},{path.stem[:-3]}" for path in sorted(IMAGES.glob("*.webp"))[::3]]
    wrong = IMAGES / "birds-02.webp"
    broken = folder / "broken.png"
    broken.write_bytes(b"no image")
    listed.write_text("\n".join(["path,label", *rows, f"{wrong},flowers", f"{broken},birds"]))
    with Collection.create("shop", model="squeezenet", layer="fire9_concat", folder=folder) as made:
        made.add([str(listed)])
        made.remove([str(IMAGES / "birds-01.webp")])
    for name in ("new", "damaged"):
        Collection.create(name, model="squeezenet", layer="fire9_concat", folder=folder).close()
    (folder / "damaged" / "catalog.sqlite").write_bytes(b"no database")


def _many_classes(folder: Path, grids: Path) -> None:
    """A collection with a class for every four images, and experiments on it: names that are long, that begin alike, and of all scripts."""
    for shipped in (ROOT / "precomputed").iterdir():
        if (shipped / "dataset.json").is_file():
            (grids / shipped.name).symlink_to(shipped)
    images = sorted((ROOT / "precomputed").glob("*200/images/*.webp"))
    names = [f"a class with a rather long name, which is number {place}" for place in range(len(images) // 4)]
    names[:8] = [
        "Apple",
        "apple",
        "كلب بحر صغير",
        "🐶",
        "12",
        "<b>$x^2$</b> **bold**",
        "m" * 200,
        "many words " * 18,
    ]
    listed = folder / "many.csv"
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "label"), *((path, names[place // 4].strip()) for place, path in enumerate(images))]
        )
    with Collection.create("many", model="squeezenet", layer="fire9_concat", folder=folder) as made:
        made.add([str(listed)])
        dataset = labelled_dataset.dataset(made).dataset
    request = Request(("squeezenet",), layers=("fire9_concat",), poolings=("avg",), metrics=("cosine",))
    runner.run([dataset], request, grids, Silent())


def main() -> None:
    """Take the pictures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument(
        "--only", nargs="*", default=(), help="states, or how their names begin; default: all"
    )
    parser.add_argument("--widths", nargs="*", type=int, default=WIDTHS)
    parser.add_argument("--schemes", nargs="*", choices=SCHEMES, default=SCHEMES)
    asked = parser.parse_args()
    names = [name for name in STATES if not asked.only or name.startswith(tuple(asked.only))]
    asked.folder.mkdir(parents=True, exist_ok=True)
    path = find_chromium()
    if path is None:
        parser.error(HOW)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        _collection(place)
        environment = {"PLAYGROUND_COLLECTIONS_DIR": str(place)}
        if any(name.startswith("many-") for name in names):
            grids = place / "grids"
            grids.mkdir()
            _many_classes(place, grids)
            environment["PLAYGROUND_GRID_DIR"] = str(grids)
        with serving(place / "server.log", **environment) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=path, args=ARGUMENTS, env={**os.environ, "HOME": temporary}
            )
            for name in names:
                take(browser, server, name, asked.folder, asked.widths, asked.schemes)
                print(name, flush=True)
            browser.close()


if __name__ == "__main__":
    main()
