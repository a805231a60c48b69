"""What a page shows, its address reproduces: every key of every page, opened and read back."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.collections import labelled_dataset
from core.data import datasets
from core.settings import settings
from dashboard import url
from dashboard.pages.your_images import browse_images
from dashboard.url import Key
from tests.dashboard.conftest import DATASET, gallery_of, layers_of

Shown = Callable[[AppTest], object]


@dataclass(frozen=True)
class Case:
    """An address of a page, and what is shown of it.

    shown : reads what the page shows of a key, as the address has it; values of ``beside`` only lead there.
    """

    page: str
    asked: Mapping[Key, str]
    shown: Mapping[Key, Shown]
    fixtures: tuple[str, ...] = ("grid_dir",)
    beside: Mapping[Key, str] = field(default_factory=dict)
    slow: bool = False


def widget(kind: str, key: str, part: int | None = None) -> Shown:
    """The value of a widget, or a part of it."""

    def value(page: AppTest) -> object:
        found = getattr(page, kind)(key=key).value
        return found if part is None else found[part]

    return value


def toggle(key: str) -> Shown:
    return lambda page: "1" if page.toggle(key=key).value else "0"


def several(key: str) -> Shown:
    return lambda page: ",".join(page.multiselect(key=key).value)


def selected(page: AppTest) -> object:
    """The image that a gallery has first."""
    return gallery_of(page, 0)["tiles"][0]["id"]


def text(pattern: str) -> Shown:
    """What a pattern finds in what the page says."""

    def found(page: AppTest) -> object:
        said = [
            one.value for kind in ("markdown", "caption", "header", "subheader") for one in page.get(kind)
        ]
        match = re.search(pattern, "\n".join(said).replace("\\", ""))
        return match and match[1]

    return found


def label_of_gallery(pattern: str) -> Shown:
    return lambda page: next(
        match[1]
        for part in page.get("bidi_component")
        if (match := re.search(pattern, json.loads(part.proto.json).get("label") or ""))
    )


def shuffled(page: AppTest) -> object:
    shown = [tile["id"] for tile in gallery_of(page, 2)["tiles"]]
    return next(n for n in range(1, 99) if np.random.default_rng(n).permutation(24).tolist() == shown)


def shown_collection(page: AppTest) -> object:
    return page.selectbox(key="pick-dataset").value.removeprefix(labelled_dataset.PREFIX)


def region_box(page: AppTest) -> object:
    [part] = [
        part.proto for part in page.get("bidi_component") if part.proto.component_name == "playground_region"
    ]
    return ",".join(f"{share:g}" for share in json.loads(part.json)["box"])


def image_name(page: AppTest) -> object:
    [part] = [
        part.proto for part in page.get("bidi_component") if part.proto.component_name == "playground_region"
    ]
    name = json.loads(part.json)["alt"].removeprefix("Your picture ")
    dataset = datasets.load(settings.GRID_DIR / "objects200")
    return f"dataset/objects200/{next(i for i, one in enumerate(dataset.items) if one.title == name)}"


def experiment(suffix: str = "") -> dict[Key, Shown]:
    """The pickers of a configuration."""
    keys = url.SECOND if suffix else url.PARTS
    return {
        keys[0]: widget("selectbox", f"pick-model{suffix}", 0),
        keys[1]: widget("selectbox", f"pick-model{suffix}", 1),
        keys[2]: lambda page: layers_of(page, f"layers{suffix}")["shown"],
        keys[3]: widget("selectbox", f"pick-pooling{suffix}"),
        keys[4]: widget("selectbox", f"pick-metric{suffix}"),
    }


CONFIGURATION = dict(zip(url.PARTS, ("good", "imagenet", "middle", "max", "euclidean"), strict=True))
CONTROL = dict(zip(url.SECOND, ("good", "untrained", "late", "avg", "cosine"), strict=True))
DATASET_PICKER = widget("selectbox", "pick-dataset")
NEIGHBORS = widget("number_input", "pick-k")
MEASURE_PICKER = widget("selectbox", "pick-measure")


def chosen_limit(key: Key) -> Shown:
    return lambda page: f"{page.selectbox(key=f'decide-{key}').value:.15g}"


def lowest(key: Key) -> Shown:
    return lambda page: f"{page.number_input(key=str(key)).value:g}"


BUDGETS = dict(zip(url.BUDGETS, ("123000", "12.5", "1024", "0.5", "42"), strict=True))

CASES = {
    "home": Case(
        "home",
        {url.DATASET: DATASET, url.BY: "recall", **BUDGETS},
        {url.DATASET: DATASET_PICKER, url.BY: MEASURE_PICKER, **{key: chosen_limit(key) for key in BUDGETS}},
    ),
    "home, this machine": Case(
        "home",
        {url.MACHINE: "tensorflow"},
        {url.MACHINE: widget("segmented_control", "machine")},
        fixtures=("measured_here",),
        beside={url.DATASET: DATASET},
    ),
    "compare, this machine": Case(
        "compare",
        {url.MACHINE: "tensorflow"},
        {url.MACHINE: widget("segmented_control", "machine")},
        fixtures=("measured_here",),
        beside={url.DATASET: DATASET},
    ),
    "compare, the decision": Case("compare", BUDGETS, {key: chosen_limit(key) for key in BUDGETS}),
    "search": Case(
        "search",
        {
            url.DATASET: DATASET,
            **CONFIGURATION,
            url.K: "7",
            url.QUERY: "4",
            url.SHOW_UNTRAINED: "1",
            url.CLASS: "class-1",
        },
        {
            url.DATASET: DATASET_PICKER,
            **experiment(),
            url.K: NEIGHBORS,
            url.QUERY: selected,
            url.SHOW_UNTRAINED: toggle("pick-untrained"),
            url.CLASS: widget("selectbox", "browse-class"),
        },
    ),
    "search, side by side": Case(
        "search",
        {**CONFIGURATION, url.SIDE: "1", url.SHOW_UNTRAINED: "1", **CONTROL},
        {
            **experiment(),
            **experiment("2"),
            url.SHOW_UNTRAINED: toggle("pick-untrained"),
            url.SIDE: lambda page: page.query_params[url.SIDE],
        },
    ),
    "search, shuffled": Case(
        "search",
        {url.ORDER: "shuffled", url.SHUFFLE: "7"},
        {url.ORDER: widget("segmented_control", "browse-order"), url.SHUFFLE: shuffled},
    ),
    "search, another page of the gallery": Case(
        "search",
        {url.GALLERY_PAGE: "3"},
        {url.GALLERY_PAGE: label_of_gallery(r"page (\d+) of")},
        fixtures=(),
        beside={url.DATASET: "objects200"},
    ),
    "embeddings": Case(
        "embeddings",
        {
            url.DATASET: DATASET,
            **CONFIGURATION,
            url.K: "7",
            url.QUERY: "4",
            url.SHOW_UNTRAINED: "1",
            url.METHOD: "pca",
            url.DIMENSIONS: "3",
        },
        {
            url.DATASET: DATASET_PICKER,
            **{key: shown for key, shown in experiment().items() if key != url.LAYER},
            url.LAYER: lambda page: page.query_params[url.LAYER],
            url.K: NEIGHBORS,
            url.QUERY: selected,
            url.SHOW_UNTRAINED: toggle("pick-untrained"),
            url.METHOD: widget("segmented_control", "pick-method"),
            url.DIMENSIONS: widget("segmented_control", "pick-dimensions"),
        },
    ),
    "embeddings, colors": Case(
        "embeddings",
        {url.COLOR: "cluster"},
        {url.COLOR: widget("selectbox", "pick-color")},
        fixtures=(),
        beside={url.DATASET: "objects200"},
    ),
    "embeddings, more like a selection": Case(
        "embeddings",
        {url.SIMILAR: "1"},
        {
            url.SIMILAR: lambda page: (
                "1" if any(one.value == "More like these" for one in page.subheader) else "0"
            )
        },
        fixtures=(),
        beside={url.DATASET: "objects200", url.PANEL: "selection", url.SELECTED: "3-5"},
    ),
    "embeddings, a selection": Case(
        "embeddings",
        {url.PANEL: "selection", url.SELECTED: "3-5,9"},
        {
            url.PANEL: widget("segmented_control", "embeddings-panel"),
            url.SELECTED: lambda page: url.SELECTED.text(
                [tile["id"] for tile in gallery_of(page, 0)["tiles"]]
            ),
        },
        fixtures=(),
        beside={url.DATASET: "objects200"},
    ),
    "compare": Case(
        "compare",
        {
            url.DATASET: DATASET,
            url.SECTION: "leaderboard",
            url.K: "7",
            url.SHOW_UNTRAINED: "1",
            url.HALVES: "1",
        }
        | {
            url.ONLY_WEIGHTS: "imagenet",
            url.ONLY_MODEL: "good,plain",
            url.ONLY_POOLING: "avg",
            url.ONLY_METRIC: "cosine",
        }
        | {url.MOST_TIME: "3", url.MOST_PARAMETERS: "800000"},
        {
            url.DATASET: DATASET_PICKER,
            url.SECTION: widget("selectbox", "menu-section"),
            url.K: NEIGHBORS,
            url.SHOW_UNTRAINED: toggle("pick-untrained"),
            url.HALVES: toggle("halves"),
            url.ONLY_WEIGHTS: several("only-weights"),
            url.ONLY_MODEL: several("only-model"),
            url.ONLY_POOLING: several("only-pooling"),
            url.ONLY_METRIC: several("only-metric"),
            url.MOST_TIME: lambda page: f"{page.selectbox(key='most-time').value:g}",
            url.MOST_PARAMETERS: lambda page: f"{page.selectbox(key='most-parameters').value:.0f}",
        },
    ),
    "compare, the lowest measures": Case(
        "compare",
        {url.BY: "map", **dict.fromkeys(url.LOWEST.values(), "12.5")},
        {
            url.BY: MEASURE_PICKER,
            **{key: lowest(key) for key in url.LOWEST.values()},
        },
        beside={url.SECTION: "leaderboard"},
    ),
    "compare, the size of vectors": Case(
        "compare",
        {url.MOST_BYTES: "1280"},
        {url.MOST_BYTES: lambda page: f"{page.selectbox(key='most-size').value:.0f}"},
        fixtures=(),
        beside={url.DATASET: "objects200", url.SECTION: "leaderboard"},
    ),
    "compare, side by side": Case(
        "compare",
        {**CONFIGURATION, **CONTROL, url.QUERY: "4"},
        {**experiment(), **experiment("2"), url.QUERY: selected},
        beside={url.SECTION: "pair"},
    ),
    "compare, costs": Case(
        "compare",
        {url.COST: "parameters"},
        {url.COST: widget("segmented_control", "cost")},
        beside={url.SECTION: "cost"},
    ),
    "compare, classes": Case(
        "compare",
        {url.CLASSES_VIEW: "layers"},
        {url.CLASSES_VIEW: widget("segmented_control", "view")},
        beside={url.SECTION: "classes"},
    ),
    "compare, robustness": Case(
        "compare",
        {url.MEASURE: "precision", url.STRENGTH: "strong", url.ROBUST_ROWS: "layers"},
        {
            url.MEASURE: widget("segmented_control", "measure"),
            url.STRENGTH: widget("segmented_control", "strength"),
            url.ROBUST_ROWS: widget("segmented_control", "robust-rows"),
        },
        beside={url.SECTION: "robustness"},
        fixtures=("measured",),
    ),
    "compare, code": Case(
        "compare",
        {url.ENGINE: "pgvector"},
        {url.ENGINE: widget("selectbox", "engine")},
        beside={url.SECTION: "use", url.DATASET: "objects200"},
        fixtures=(),
    ),
    "models, channels": Case(
        "models",
        {
            url.DATASET: DATASET,
            url.MODEL: "squeezenet",
            url.WEIGHTS: "untrained",
            url.LAYER: "fire5_concat",
            url.SHOW_UNTRAINED: "1",
            url.MODELS_PART: "channels",
            url.CHANNEL: "5",
        },
        {
            url.DATASET: widget("selectbox", "pick-inspect-dataset"),
            url.MODEL: widget("selectbox", "pick-inspect-model", 0),
            url.WEIGHTS: widget("selectbox", "pick-inspect-model", 1),
            url.LAYER: widget("selectbox", "pick-inspect-layer"),
            url.SHOW_UNTRAINED: toggle("inspect-untrained"),
            url.MODELS_PART: widget("segmented_control", "inspect-part"),
            url.CHANNEL: widget("number_input", "inspect-channel"),
        },
    ),
    "models, architecture": Case(
        "models",
        {url.INNER: "fire4_squeeze1x1", url.FIND: "fire4", url.EIGHT: "1"},
        {
            url.INNER: widget("selectbox", "pick-inspect-layer"),
            url.FIND: widget("text_input", "inspect-find"),
            url.EIGHT: toggle("inspect-eight"),
        },
        beside={url.MODEL: "squeezenet"},
    ),
    "your picture": Case(
        "your_picture",
        {
            url.DATASET: "objects200",
            **dict(
                zip(url.PARTS, ("squeezenet", "imagenet", "fire9_concat", "avg", "euclidean"), strict=True)
            ),
            url.K: "7",
            url.SHOW_UNTRAINED: "1",
            url.INPUT: "dataset/objects200/5",
            url.CROP: "0.25,0,1,0.5",
        },
        {
            url.DATASET: DATASET_PICKER,
            **experiment(),
            url.K: NEIGHBORS,
            url.SHOW_UNTRAINED: lambda page: (
                "1" if "○ untrained" in str(page.selectbox(key="pick-model").options) else "0"
            ),
            url.INPUT: image_name,
            url.CROP: region_box,
        },
        fixtures=(),
    ),
    "your picture, a collection": Case(
        "your_picture",
        {url.COLLECTION: "pets", url.LABEL: "cat", url.WHERE: "size>0\nsize<99999", url.ABOUT: "api"},
        {
            url.COLLECTION: shown_collection,
            url.LABEL: widget("selectbox", "pick-label"),
            url.WHERE: lambda page: "\n".join(page.multiselect(key="pick-where").value),
            url.ABOUT: widget("segmented_control", "live-part"),
        },
        fixtures=("pets",),
        beside={url.INPUT: "collection/pets/2"},
    ),
    "embeddings, a collection": Case(
        "embeddings",
        {url.COLLECTION: "pets", url.IMAGE: "2"},
        {url.COLLECTION: shown_collection, url.IMAGE: lambda page: page.query_params[url.IMAGE]},
        fixtures=("pets",),
    ),
    "your images": Case(
        "your_images",
        {url.COLLECTION: "pets", url.IMAGES_PART: "pictures", url.AT: "2"},
        {
            url.COLLECTION: widget("selectbox", "images-collection"),
            url.IMAGES_PART: widget("selectbox", "menu-images-part"),
            url.AT: label_of_gallery(r"(\d) to \d of"),
        },
        fixtures=("pets", "one_image_a_page"),
    ),
    "your images, near-duplicates": Case(
        "your_images",
        {url.THRESHOLD: "3"},
        {url.THRESHOLD: widget("select_slider", "images-threshold")},
        fixtures=("pets",),
        beside={url.COLLECTION: "pets", url.IMAGES_PART: "duplicates"},
    ),
    "your images, a folder": Case(
        "your_images",
        {url.WAY: "server", url.FOLDER: "photos/cat"},
        {
            url.WAY: widget("segmented_control", "images-way"),
            url.FOLDER: lambda page: text(r"\*\*.*? / (.+)\*\* has 2 \w+")(page).replace(" / ", "/"),
        },
        fixtures=("pets", "image_root"),
        beside={url.COLLECTION: "pets", url.IMAGES_PART: "add"},
    ),
    "your images, all collections": Case(
        "your_images",
        {url.IMAGES_VIEW: "all"},
        {url.IMAGES_VIEW: lambda page: "all" if page.button(key="images-open-pets") else ""},
        fixtures=("pets",),
    ),
    "models, an image": Case(
        "models",
        {url.INPUT: "dataset/objects200/5", url.SHEET: "2", url.ALONE: "1"},
        {
            url.INPUT: lambda page: f"dataset/objects200/{5 if gallery_of(page, 0)['tiles'] else ''}",
            url.SHEET: label_of_gallery(r", \w+ (\d+) of"),
            url.ALONE: toggle("inspect-alone"),
        },
        fixtures=(),
        beside={
            url.MODEL: "squeezenet",
            url.LAYER: "fire4_concat",
            url.MODELS_PART: "picture",
            url.DATASET: "objects200",
        },
        slow=True,
    ),
}


@pytest.fixture
def one_image_a_page(monkeypatch):
    monkeypatch.setattr(browse_images, "_PER_PAGE", 1)


@pytest.fixture
def image_root(photos, monkeypatch):
    monkeypatch.setattr(settings, "IMAGE_ROOT", photos.parent)


def open_settled(open_page: Callable[..., AppTest], case: Case, asked: Mapping[str, str]) -> AppTest:
    """The page, once its background work has ended."""
    page = open_page(case.page, **asked)
    for _ in range(90):
        if not page.get("status") and not page.get("progress"):
            break
        page.run()
    assert not page.exception
    return page


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if case.slow else []) for name, case in CASES.items()],
)
def test_an_address_is_shown_and_kept(name, open_page, request):
    case = CASES[name]
    for fixture in case.fixtures:
        request.getfixturevalue(fixture)
    asked = {str(key): value for key, value in {**case.beside, **case.asked}.items()}
    page = open_settled(open_page, case, asked)
    assert not page.warning
    assert {key: str(case.shown[key](page)) for key in case.asked} == dict(case.asked)
    assert page.query_params.items() >= asked.items()


def test_every_key_of_every_page_has_a_case():
    tested = {(case.page, key) for case in CASES.values() for key in case.shown}
    assert tested == {(page.folder, key) for page in url.PAGES.values() for key in page.keys}
