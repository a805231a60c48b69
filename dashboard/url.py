"""The addresses of the pages: every key, its type and meaning; reading, writing and linking.

What a page shows, its address reproduces. A page calls :func:`read`, takes checked values out of the :class:`Address`, and passes all
that it shows to :func:`write`. Widgets call :func:`change` in their callbacks; :func:`open_page` and :func:`open_page_next` go to another
page. A page that is opened without any key goes on with what the session last showed.

A new key is a constant here, listed in the pages that have it; ``tests/dashboard/test_url.py`` requires a test of it.
"""

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import streamlit as st

from core.collections import labelled_dataset
from core.collections.index import engines
from core.evaluation.measures import MEASURES, SCORE
from core.experiments.store import Summary
from core.imaging.changes import STRENGTHS
from core.imaging.transform import Box
from core.search import recommendation
from core.server import projections
from dashboard.frontend.address import address as address_bar
from dashboard.widgets import markdown

_PAGES = Path(__file__).resolve().parent / "pages"
_FIRST_DATASET = "objects200"
_MOST_NUMBERS = 100_000
UNTRAINED = "untrained"
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


# -- Kinds of keys ---------------------------------------------------------------------------------


class Key(str):
    """A key of an address, as the string in the address.

    words : what a notice calls the value.
    default : a value that is left out of the address; None where every value is written.
    """

    words: str
    default: object

    def __new__(cls, name: str, words: str = "", default: object = None) -> Self:
        key = super().__new__(cls, name)
        key.words, key.default = words or name, default
        return key

    def text(self, value: object) -> str | None:
        """The value as the address has it, which a string is already; None where it is left out."""
        if value is None or value == self.default:
            return None
        return (value if isinstance(value, str) else self._encode(value)) or None

    def _encode(self, value: object) -> str:
        return str(value)


class Switch(Key):
    """On or off: ``1`` where it is on, left out where it is off."""

    def _encode(self, value: object) -> str:
        return "1" if value else ""


class Choice(Key):
    """One of a few words.

    options : the valid values; empty where they depend on what the page shows.
    """

    options: tuple[str, ...]

    def __new__(
        cls, name: str, words: str = "", options: Iterable[str] = (), default: str | None = None
    ) -> Self:
        key = super().__new__(cls, name, words, default)
        key.options = tuple(options)
        return key


class Number(Key):
    """A whole number."""


class Text(Key):
    """Any text of at most ``longest`` characters."""

    longest: int

    def __new__(cls, name: str, words: str = "", longest: int = 200) -> Self:
        key = super().__new__(cls, name, words, "")
        key.longest = longest
        return key


class Several(Key):
    """Some values with a separator between them, left out where there are none."""

    separator: str

    def __new__(cls, name: str, words: str = "", separator: str = ",") -> Self:
        key = super().__new__(cls, name, words)
        key.separator = separator
        return key

    def _encode(self, value: object) -> str:
        assert isinstance(value, Iterable)
        return self.separator.join(map(str, value))


class Limit(Key):
    """A number above 0 that others may be at most, or must be at least."""

    def _encode(self, value: object) -> str:
        return repr(value).removesuffix(".0") if value else ""


class Region(Key):
    """A part of an image, ``left,top,right,bottom`` as shares of its size, as the API has it; left out where it is the whole."""

    def _encode(self, value: object) -> str:
        assert isinstance(value, tuple)
        return "" if value == WHOLE else ",".join(f"{share:.6g}" for share in value)


class Numbers(Key):
    """Numbers of images, those in a row as ``3-7``; left out where that is longer than ``longest`` characters."""

    longest = 1000

    def _encode(self, value: object) -> str:
        assert isinstance(value, Iterable)
        runs: list[list[int]] = []
        for number in sorted(value):
            if runs and number == runs[-1][1] + 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        text = ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)
        return text if len(text) <= self.longest else ""


# -- The keys --------------------------------------------------------------------------------------

DATASET = Choice("dataset")
# The name of a collection, where one is shown and not a dataset.
COLLECTION = Choice("collection")

# A configuration. The layer is one of the eight that experiments know.
MODEL = Choice("model")
WEIGHTS = Choice("weights")
LAYER = Choice("layer")
POOLING = Choice("pooling")
METRIC = Choice("metric")
PARTS = (MODEL, WEIGHTS, LAYER, POOLING, METRIC)
# The configuration that it is compared with.
SECOND = (
    Choice("model2", "model"),
    Choice("weights2", "weights"),
    Choice("layer2", "layer"),
    Choice("pooling2", "pooling"),
    Choice("metric2", "metric"),
)
SHOW_UNTRAINED = Switch("untrained", "switch *Show untrained controls*")

K = Number("k", "number of neighbors")
# The number of an image: in a dataset from 0 (Search uses it as the query), in a collection from 1.
QUERY = Number("query", "image number")
IMAGE = Number("image", "image number")

# Search: two configurations at once, and the gallery to choose a query from.
SIDE = Switch("side", "switch *Side by side*")
ORDER = Choice("order", "order", ("class", "shuffled"), "class")
SHUFFLE = Number("shuffle", "shuffle")
CLASS = Choice("class", "class", default="")
GALLERY_PAGE = Number("page", "page", 1)

# Embeddings.
METHOD = Choice("method", "projection", tuple(projections.METHODS), "umap")
DIMENSIONS = Choice("dimensions", "number of dimensions", ("2", "3"), "2")
# What colors the points: their class, a score, a cluster, or "of-" and one of the metadata.
COLOR = Choice("color", "color of the points", default="class")
SIMILAR = Switch("similar", "switch *More like these*")
PANEL = Choice("panel", options=("image", "selection"), default="image")
SELECTED = Numbers("selected", "selection")

# Compare: the section, and what only one section has.
SECTION = Choice("section", default="overview")
COST = Choice("cost", "kind of cost")
HALVES = Switch("halves", "switch *Choose on one half*")
# What configurations are compared by, here and on Home.
BY = Choice("by", "measure", tuple(MEASURES), SCORE)
# Of the code that is handed out.
ENGINE = Choice("engine", "index engine", default=engines.DEFAULT)
CLASSES_VIEW = Choice("view", "columns of the table of classes", ("models", "layers"), "models")
# Of robustness: what is shown, at which strength, of which configurations.
MEASURE = Choice("measure", "measure", ("recall", "precision"), "recall")
STRENGTH = Choice("strength", "strength", ("all", *STRENGTHS), "all")
ROBUST_ROWS = Choice("rows", "rows", ("models", "layers"), "models")
ROBUSTNESS = (MEASURE, STRENGTH, ROBUST_ROWS)
# Of the leaderboard: values that are let through, the largest cost, and the lowest value of each measure.
ONLY_WEIGHTS = Several("only-weights", "filter of weights")
ONLY_MODEL = Several("only-model", "filter of models")
ONLY_POOLING = Several("only-pooling", "filter of poolings")
ONLY_METRIC = Several("only-metric", "filter of distances")
MOST_BYTES = Limit("most-size", "largest vector")
MOST_TIME = Limit("most-time", "longest time")
MOST_PARAMETERS = Limit("most-parameters", "largest number of parameters")
LOWEST = {name: Limit(f"min-{name}", f"lowest {one.title}") for name, one in MEASURES.items()}
FILTERS = (
    *(ONLY_WEIGHTS, ONLY_MODEL, ONLY_POOLING, ONLY_METRIC),
    *(MOST_BYTES, MOST_TIME, MOST_PARAMETERS),
    *LOWEST.values(),
)

# The decision, on Home and Compare: how many images are to be searched, and what a configuration may cost.
PICTURES = Number("pictures", "number of images", recommendation.IMAGES)
MOST_MS = Limit("most-ms", "longest query")
MOST_VECTOR = Limit("most-vector", "largest vector")
MOST_GB = Limit("most-gb", "largest index")
LEAST_SCORE = Limit("least-score", "lowest score")
# What this machine was measured with, or empty for the times that experiments come with.
MACHINE = Choice("machine", "machine", default="")
LIMITS = (MOST_MS, MOST_VECTOR, MOST_GB, LEAST_SCORE)
BUDGETS = (PICTURES, *LIMITS)

# Your picture: what is searched with, which region of it, conditions, and what is shown of the results.
# An image of a dataset or a collection ("dataset/NAME/NUMBER"), or the SHA-256 of one that was brought along.
INPUT = Text("input", "image to search with")
CROP = Region("crop", "region")
LABEL = Choice("label", "label", default="")
WHERE = Several("where", "conditions", "\n")
ABOUT = Choice("about", "part about the results", ("why", "place", "api"), "why")

# Models.
INNER = Choice("inner", "layer")
MODELS_PART = Choice("part", "part of the page", ("architecture", "channels", "picture"), "architecture")
CHANNEL = Number("channel")
SHEET = Number("sheet", "page", 1)
ALONE = Switch("alone", "switch *Without the image*")
FIND = Text("find", "search for a layer", 60)
EIGHT = Switch("eight", "switch *Only those compared*")

# Your images.
IMAGES_VIEW = Choice("view", "list of collections", ("all",))
IMAGES_PART = Choice("part")
AT = Number("at", "page", 1)
THRESHOLD = Number("threshold")
WAY = Choice("way", "way to add images")
FOLDER = Text("folder", "folder", 4000)


# -- The pages -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """A page: its folder below ``dashboard/pages``, its path in an address, its keys.

    hints : keys that it reads but does not write, such as the collection that another page showed.
    """

    folder: str
    path: str
    keys: tuple[Key, ...]
    hints: tuple[Key, ...] = ()

    @property
    def script(self) -> str:
        """The path of its script."""
        return str(_PAGES / self.folder / "page.py")


HOME = Page("home", "home", (DATASET, BY, *BUDGETS, MACHINE), (COLLECTION,))
SEARCH = Page(
    "search",
    "search",
    (DATASET, *PARTS, K, QUERY, SIDE, *SECOND, SHOW_UNTRAINED, ORDER, SHUFFLE, CLASS, GALLERY_PAGE),
    (COLLECTION,),
)
EMBEDDINGS = Page(
    "embeddings",
    "embeddings",
    (
        DATASET,
        COLLECTION,
        *PARTS,
        K,
        QUERY,
        IMAGE,
        METHOD,
        DIMENSIONS,
        COLOR,
        SHOW_UNTRAINED,
        PANEL,
        SELECTED,
        SIMILAR,
    ),
)
COMPARE = Page(
    "compare",
    "compare",
    (
        DATASET,
        *PARTS,
        K,
        QUERY,
        *SECOND,
        SHOW_UNTRAINED,
        HALVES,
        BY,
        SECTION,
        COST,
        CLASSES_VIEW,
        ENGINE,
        *ROBUSTNESS,
        *FILTERS,
        *BUDGETS,
        MACHINE,
    ),
    (COLLECTION,),
)
YOUR_PICTURE = Page(
    "your_picture",
    "live",
    (DATASET, COLLECTION, *PARTS, K, SHOW_UNTRAINED, LABEL, WHERE, INPUT, CROP, ABOUT),
)
YOUR_IMAGES = Page(
    "your_images", "images", (COLLECTION, IMAGES_VIEW, IMAGES_PART, AT, THRESHOLD, WAY, FOLDER)
)
MODELS = Page(
    "models",
    "models",
    (
        DATASET,
        MODEL,
        WEIGHTS,
        LAYER,
        INNER,
        SHOW_UNTRAINED,
        MODELS_PART,
        CHANNEL,
        SHEET,
        ALONE,
        FIND,
        EIGHT,
        INPUT,
    ),
    (COLLECTION,),
)
PAGES = {page.folder: page for page in (HOME, SEARCH, EMBEDDINGS, COMPARE, YOUR_PICTURE, YOUR_IMAGES, MODELS)}
# The path of each page by its folder.
PATHS = {page.folder: page.path for page in PAGES.values()}

_MEMORY = "_address_memory"
_LAST = "_address_last"
_LATER = "_address_notices"
_NEXT = "_address_next"


# -- Reading ---------------------------------------------------------------------------------------


def first_dataset(names: Sequence[str]) -> str:
    """The dataset that is shown where the address names none."""
    return _FIRST_DATASET if _FIRST_DATASET in names else names[0]


@dataclass
class Address:
    """The values that an address asks for, and sentences about those that do not exist.

    Every method reads one key and returns a valid value.

    hints : the keys among those in the browser's address that the page reads but does not write; none of what the session remembers.
    """

    asked: Mapping[str, str]
    notices: list[str] = field(default_factory=list)
    hints: Container[str] = ()

    def switch(self, key: Switch) -> bool:
        """Whether a switch is on."""
        wanted = self.asked.get(key, "0")
        if wanted not in ("0", "1"):
            self.notices.append(
                f"The {key.words} can be 1 (on) or 0 (off), not {markdown.quoted(wanted)}; it is off."
            )
        return wanted == "1"

    def choice(
        self, key: Choice, valid: Sequence[str] = (), default: str | None = None, shown: str = ""
    ) -> str:
        """One of a few words.

        Parameters
        ----------
        valid, default : where the key itself does not say.
        shown : what the page calls the default, in Markdown.
        """
        valid = valid or key.options
        default = str(key.default or "") if default is None else default
        wanted = self.asked.get(key)
        if wanted is None or wanted in valid:
            return default if wanted is None else wanted
        self.notices.append(
            f"The {key.words} {markdown.quoted(wanted)} {'do' if key.words == 'weights' else 'does'} not exist here; this shows {shown or markdown.quoted(default)}."
        )
        return default

    def number(self, key: Number, low: int, high: int, default: int) -> int:
        """A whole number from ``low`` to ``high``."""
        wanted = self.asked.get(key)
        if wanted is None:
            return default
        number = _whole(wanted)
        if number is not None and low <= number <= high:
            return number
        valid = f"a number from {low:,} to {high:,}" if low < high else f"{low:,}, the only one there can be"
        self.notices.append(
            f"The {key.words} {markdown.quoted(wanted)} is not {valid}; this shows {default:,}."
        )
        return default

    def number_or_none(self, key: Number, low: int, high: int) -> int | None:
        """A whole number from ``low`` to ``high``; None where the address has none or another."""
        wanted = self.asked.get(key)
        number = None if wanted is None else _whole(wanted)
        if number is not None and low <= number <= high:
            return number
        if wanted is not None:
            self.notices.append(f"The {key.words} {markdown.quoted(wanted)} does not exist here.")
        return None

    def text(self, key: Text) -> str:
        """A text, cut where it is too long; empty where the address has none."""
        return self.asked.get(key, "")[: key.longest]

    def several(self, key: Several, valid: Sequence[str]) -> list[str]:
        """Those of the values that exist, in the order of ``valid``."""
        wanted = list(filter(None, self.asked.get(key, "").split(key.separator)))
        unknown = [one for one in dict.fromkeys(wanted) if one not in valid]
        if unknown:
            named = ", ".join(map(markdown.quoted, unknown))
            self.notices.append(f"The {key.words} lets through {named}, which does not exist here.")
        return [one for one in valid if one in wanted]

    def limit(self, key: Limit) -> float:
        """A number above 0 that limits others; 0 where the address has none."""
        wanted = self.asked.get(key)
        if wanted is None:
            return 0.0
        with suppress(ValueError):
            if 0 < (number := float(wanted[:40])) < math.inf:
                return number
        self.notices.append(
            f"The {key.words} {markdown.quoted(wanted)} is not a number above 0; this has no limit."
        )
        return 0.0

    def region(self, key: Region) -> Box:
        """A part of an image; the whole where the address has none."""
        wanted = self.asked.get(key)
        if wanted is None:
            return WHOLE
        try:
            left, top, right, bottom = map(float, wanted[:100].split(","))
        except ValueError:
            left = right = top = bottom = 0.0
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return left, top, right, bottom
        self.notices.append(
            f"The {key.words} {markdown.quoted(wanted)} is not left, top, right and bottom as shares of the image; "
            "this shows the whole image."
        )
        return WHOLE

    def numbers(self, key: Numbers, among: Container[int]) -> list[int]:
        """Those of the numbers that exist, in order."""
        found: set[int] = set()
        unknown = []
        for run in filter(None, self.asked.get(key, "")[: key.longest].split(",")):
            first, _, last = run.partition("-")
            start, stop = _whole(first), _whole(last or first)
            if start is None or stop is None or not 0 <= stop - start < _MOST_NUMBERS:
                unknown.append(run)
            else:
                there = {number for number in range(start, stop + 1) if number in among}
                unknown += [] if there else [run]
                found |= there
        if unknown:
            named = ", ".join(map(markdown.quoted, unknown[:5])) + (" and others" if len(unknown) > 5 else "")
            self.notices.append(f"The {key.words} has {named}, which does not exist here.")
        return sorted(found)

    def as_asked(self, keys: Iterable[Key]) -> dict[Key, str]:
        """What the address says of some keys, unchecked: to keep what this run does not show."""
        return {key: self.asked[key] for key in keys if key in self.asked}

    def dataset(self, names: Sequence[str]) -> str:
        """The dataset to show: the one in the address, or the dataset of the collection there, or the first."""
        collection = self.asked.get(COLLECTION, "")
        made = labelled_dataset.name(collection)
        shown = self.choice(DATASET, names, made if made in names else first_dataset(names))
        if COLLECTION in self.hints and made not in names:
            self.notices.append(
                f"There are no experiments on a collection {markdown.quoted(collection)}; this shows {markdown.quoted(shown)}."
            )
        return shown

    def collection(self, names: Sequence[str]) -> str | None:
        """The collection to show; None where a dataset is to be shown."""
        wanted = self.asked.get(COLLECTION)
        if wanted is not None and wanted not in names:
            self.notices.append(
                f"The collection {markdown.quoted(wanted)} does not exist here; this shows a dataset."
            )
        return wanted if wanted in names else None

    def configuration(
        self,
        summaries: Sequence[Summary],
        keys: Sequence[Key] = PARTS,
        default: Callable[[], Summary | None] = lambda: None,
    ) -> Summary:
        """The experiment in the address, or the nearest that exists.

        Parameters
        ----------
        summaries : all experiments of the dataset, at least one.
        keys : :data:`PARTS` or :data:`SECOND`.
        default : gives what to show when the address names none; the best trained one where it gives None.
        """
        wanted: dict[str, str] = {
            part: self.asked[key] for part, key in zip(PARTS, keys, strict=True) if key in self.asked
        }
        if not wanted and (found := default()):
            return found
        found = closest(summaries, wanted)
        missing = [part for part, value in wanted.items() if getattr(found, part) != value]
        if missing:
            gone = " and ".join(f"{part} {markdown.quoted(wanted[part])}" for part in missing)
            self.notices.append(
                f"There are no experiments with the {gone}; this shows "
                f"{', '.join(f'{part} {markdown.quoted(getattr(found, part))}' for part in missing)}."
            )
        return found


def read(page: Page) -> Address:
    """The address of a page; when it is empty, what this session last showed.

    Goes to another page instead where :func:`open_page_next` was called.
    """
    if following := st.session_state.pop(_NEXT, None):
        st.switch_page(following[0], query_params=following[1])
    asked, notices = _in_browser(), list(st.session_state.pop(_LATER, ()))
    last = st.session_state.get(_LAST)
    if not asked:
        memory = st.session_state.get(_MEMORY, {})
        known = (*page.keys, *page.hints)
        return Address({key: memory[_identity(key)] for key in known if _identity(key) in memory}, notices)
    if last is not None and last.completes(asked, page):
        return Address(dict(last.shown), notices)
    for key in dict.fromkeys(key for key, _ in asked):
        if len(st.query_params.get_all(key)) > 1:
            notices.append(f"{markdown.quoted(key)} is in the address more than once; the last one counts.")
        if key not in page.keys and key not in page.hints:
            notices.append(f"{markdown.quoted(key)} in the address means nothing on this page.")
    return Address(dict(asked), notices, set(page.hints) & set(dict(asked)))


# -- Writing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Written:
    """The address that a page was opened with, and that which it completed it to.

    The browser may send the first one again: it keeps the query string that the server last sent.
    """

    page: str
    asked: list[tuple[str, str]]
    shown: list[tuple[str, str]]

    def completes(self, asked: list[tuple[str, str]], page: Page | None = None) -> bool:
        return asked == self.asked and (page is None or page.folder == self.page)


def write(page: Page, shown: Mapping[Key, object]) -> None:
    """Complete the address with all that a page shows, without a step in the browser's history.

    Keys of the page that are not given, or None, are left out, and the session forgets them.
    """
    assert set(shown) <= set(page.keys), f"{page.folder} has no {set(shown) - set(page.keys)}"
    values = {key: key.text(value) for key, value in shown.items() if value is not None}
    pairs = [(str(key), text) for key, text in values.items() if text is not None]
    asked, last = _in_browser(), st.session_state.get(_LAST)
    st.session_state[_LAST] = _Written(page.folder, asked, pairs)
    memory = st.session_state.setdefault(_MEMORY, {})
    for key in page.keys:
        memory.pop(_identity(key), None)
    memory.update({_identity(key): text for key, text in values.items() if text is not None})
    here = last.shown if last is not None and asked and last.completes(asked, page) else asked
    address_bar.complete(here, pairs)


def change(values: Mapping[Key, object]) -> None:
    """Change some of the address, from a widget's callback; None removes a key and the session forgets it."""
    asked, last = _in_browser(), st.session_state.get(_LAST)
    now = dict(last.shown if last is not None and last.completes(asked) else asked)
    for key, value in values.items():
        text = None if value is None else key.text(value)
        if text is None:
            now.pop(key, None)
            st.session_state.get(_MEMORY, {}).pop(_identity(key), None)
        else:
            now[str(key)] = text
    # In one go, so that it is one step back in the browser's history.
    st.query_params.from_dict(now)


def say(sentence: str) -> None:
    """A notice for the next run of the page, from a widget's callback."""
    st.session_state.setdefault(_LATER, []).append(sentence)


def _in_browser() -> list[tuple[str, str]]:
    """The keys and values that the browser sent."""
    return [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]


def _identity(key: Key) -> tuple[str, str]:
    # Pages use some names for different things.
    return str(key), key.words


# -- Links -----------------------------------------------------------------------------------------


def link(page: Page, values: Mapping[Key, object]) -> dict[str, str]:
    """The query parameters of a link to a page, such as for ``st.page_link``."""
    assert set(values) <= set(page.keys), f"{page.folder} has no {set(values) - set(page.keys)}"
    texts = {str(key): key.text(value) for key, value in values.items() if value is not None}
    return {key: text for key, text in texts.items() if text is not None}


def open_page(page: Page, values: Mapping[Key, object]) -> None:
    """Go to a page, from the run of another; ends that run."""
    st.switch_page(page.script, query_params=link(page, values))


def open_page_next(page: Page, values: Mapping[Key, object]) -> None:
    """Go to a page in the next run: for callbacks, which can't do so themselves."""
    st.session_state[_NEXT] = (page.script, link(page, values))


def configuration(one: Summary, keys: Sequence[Key] = PARTS) -> dict[Key, object]:
    """The keys of a configuration, with its dataset unless it is the :data:`SECOND` one."""
    dataset: dict[Key, object] = {DATASET: one.dataset} if keys is PARTS else {}
    return dataset | {key: getattr(one, part) for part, key in zip(PARTS, keys, strict=True)}


def closest(summaries: Sequence[Summary], wanted: Mapping[str, str], like: Summary | None = None) -> Summary:
    """The experiment that fits best: first the model, then weights, layer, pooling and metric.

    What is not wanted, or equally fitting, is decided by the score; untrained controls come last.

    Parameters
    ----------
    wanted : values of :data:`PARTS`; those that do not exist count as not wanted.
    like : keep what this experiment has where nothing else is wanted: the same depth in another
        model, the same pooling and metric.
    """

    def misfit(one: Summary) -> tuple[float, ...]:
        def differs(part: str) -> bool:
            return part in wanted and getattr(one, part) != wanted[part]

        def moved(part: str) -> float:
            if like is None or part in wanted:
                return 0
            return (
                abs(one.depth - like.depth) if part == "layer" else getattr(one, part) != getattr(like, part)
            )

        unasked_control = one.weights == UNTRAINED and not {"model", "weights"} & set(wanted)
        fit: list[float] = [differs("model"), differs("weights"), unasked_control]
        for part in ("layer", "pooling", "metric"):
            fit += [differs(part), moved(part)]
        return (*fit, one.weights == UNTRAINED, *one.best_first)

    return min(summaries, key=misfit)


def _whole(text: str) -> int | None:
    # Long digits are slow to convert, and what int() takes (" 1_0 ") is wider than what we write.
    if len(text) > 9 or not (text.isascii() and text.lstrip("-").isdigit()):
        return None
    try:
        return int(text)
    except ValueError:
        return None
