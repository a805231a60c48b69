"""What a page shows, held in its address: reading, checking and changing it.

The address is the whole truth. A page reads it with :func:`read`, asks the :class:`Address` for
checked values, and writes what it shows back with :func:`write`. Widgets change it with
:func:`change`. Another page that is opened without an address of its own goes on with what the
session last showed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from core.collections import labelled_dataset
from core.experiments.store import Summary
from dashboard.widgets import markdown

# The path of each page by its folder below dashboard/pages.
PATHS = {
    "search": "search",
    "embeddings": "embeddings",
    "compare": "compare",
    "your_picture": "live",
    "your_images": "images",
    "models": "models",
}
PARTS = ("model", "weights", "layer", "pooling", "metric")
# In an address: the name of a collection, where one is shown and not a dataset.
COLLECTION = "collection"
UNTRAINED = "untrained"
_FIRST_DATASET = "objects200"
_MEMORY = "_address"
_LATER = "_notices"


@dataclass
class Address:
    """What the address asks for, and sentences about what could not be had.

    Every method takes a value out of it and answers with one that exists.
    """

    asked: Mapping[str, str]
    notices: list[str] = field(default_factory=list)

    def choice(self, key: str, valid: Sequence[str], default: str, what: str = "", shown: str = "") -> str:
        """One of a few words; ``what`` it is and what is ``shown`` instead go into the notice."""
        wanted = self.asked.get(key)
        if wanted is None or wanted in valid:
            return default if wanted is None else wanted
        self.notices.append(
            f"The {what or key} {markdown.quoted(wanted)} does not exist here; this shows {shown or markdown.quoted(default)}."
        )
        return default

    def number(self, key: str, low: int, high: int, default: int, what: str = "") -> int:
        """A whole number from ``low`` to ``high``."""
        wanted = self.asked.get(key)
        if wanted is None:
            return default
        number = _whole(wanted)
        if number is not None and low <= number <= high:
            return number
        valid = f"a number from {low} to {high}" if low < high else f"{low}, the only one there can be"
        self.notices.append(
            f"The {what or key} {markdown.quoted(wanted)} is not {valid}; this shows {default}."
        )
        return default

    def dataset(self, names: Sequence[str]) -> str:
        """The dataset to show: the one asked for, or that made of the collection asked for, or the first."""
        default = _FIRST_DATASET if _FIRST_DATASET in names else names[0]
        made = labelled_dataset.name(self.asked.get(COLLECTION, ""))
        return self.choice("dataset", names, made if made in names else default)

    def collection(self, names: Sequence[str]) -> str | None:
        """The collection to show; None where a dataset is to be shown."""
        wanted = self.asked.get(COLLECTION)
        if wanted is not None and wanted not in names:
            self.notices.append(
                f"The collection {markdown.quoted(wanted)} does not exist here; this shows a dataset."
            )
        return wanted if wanted in names else None

    def configuration(
        self, summaries: Sequence[Summary], suffix: str = "", default: Summary | None = None
    ) -> Summary:
        """The experiment asked for, or the nearest that exists.

        Parameters
        ----------
        summaries : all experiments of the dataset, at least one.
        suffix : of the keys in the address, where a page shows several configurations.
        default : what to show when the address names none; the best trained one when not given.
        """
        wanted = {part: self.asked[part + suffix] for part in PARTS if part + suffix in self.asked}
        if not wanted and default is not None:
            return default
        found = closest(summaries, wanted)
        missing = [part for part, value in wanted.items() if getattr(found, part) != value]
        if missing:
            gone = " and ".join(f"{part} {markdown.quoted(wanted[part])}" for part in missing)
            self.notices.append(
                f"There are no experiments with the {gone}; this shows "
                f"{', '.join(f'{part} {markdown.quoted(getattr(found, part))}' for part in missing)}."
            )
        return found


def read() -> Address:
    """What the address asks for; when it asks for nothing, what this session last showed."""
    params = st.query_params
    asked = {key: params[key] for key in params}
    notices = list(st.session_state.pop(_LATER, ()))
    for key in asked:
        if len(params.get_all(key)) > 1:
            notices.append(f"{markdown.quoted(key)} stands there more than once; the last one counts.")
    if not asked:
        asked = dict(st.session_state.get(_MEMORY, {}))
    return Address(asked, notices)


def write(shown: Mapping[str, object]) -> None:
    """Put all that a page shows into the address.

    Entries that are None stay out of it: name every key the page knows, so that the session forgets
    what is no longer so.
    """
    values = {key: str(value) for key, value in shown.items() if value is not None}
    params = st.query_params
    if {key: params.get_all(key) for key in params} != {key: [value] for key, value in values.items()}:
        params.from_dict(values)
    # Other pages have keys of their own: theirs are kept, ours are what is shown and nothing older.
    others = {key: value for key, value in st.session_state.get(_MEMORY, {}).items() if key not in shown}
    st.session_state[_MEMORY] = others | values


def change(**values: object) -> None:
    """Change some of what the address says, from a widget's callback; None removes an entry, from what other pages go on with too."""
    for key in [key for key, value in values.items() if value is None]:
        st.session_state.get(_MEMORY, {}).pop(key, None)
    kept = {key: st.query_params[key] for key in st.query_params if key not in values}
    # In one go, so that it is one step back in the browser's history.
    st.query_params.from_dict(kept | {key: str(value) for key, value in values.items() if value is not None})


def say(sentence: str) -> None:
    """A sentence for the next run of the page, from a widget's callback."""
    st.session_state.setdefault(_LATER, []).append(sentence)


def query_params(configuration: Summary, **others: object) -> dict[str, str]:
    """The entries of an address that shows a configuration, such as for ``st.page_link``."""
    values = {"dataset": configuration.dataset} | {part: getattr(configuration, part) for part in PARTS}
    return values | {key: str(value) for key, value in others.items() if value is not None}


def collection_params(name: str, **others: object) -> dict[str, str]:
    """The entries of an address that shows a collection, on the pages that can: Your picture and Embeddings."""
    return {COLLECTION: name} | {key: str(value) for key, value in others.items() if value is not None}


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
        fit = [differs("model"), differs("weights"), unasked_control]
        for part in ("layer", "pooling", "metric"):
            fit += [differs(part), moved(part)]
        return (*fit, one.weights == UNTRAINED, -one.score_10)

    return min(summaries, key=misfit)


def _whole(text: str) -> int | None:
    # Long digits are slow to convert, and what int() takes (" 1_0 ") is wider than what we write.
    if len(text) > 9 or not (text.isascii() and text.lstrip("-").isdigit()):
        return None
    try:
        return int(text)
    except ValueError:
        return None
