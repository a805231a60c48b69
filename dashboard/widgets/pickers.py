"""Widgets that choose a dataset, a configuration and the number of neighbors.

They show what the address says and change nothing but the address. Changing one part of a
configuration keeps the rest as far as it exists: the same depth in another model, the same pooling
and metric.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from core.collections import labelled_dataset
from core.data.source import Source
from core.evaluation.measures import MEASURES
from core.experiments.store import DatasetGrid, Grid, ModelRun, Summary
from core.server import projections
from dashboard import url
from dashboard.widgets import glossary

MIN_NEIGHBORS, MAX_NEIGHBORS, DEFAULT_NEIGHBORS = 5, 20, 10


def dataset(names: Sequence[str], shown: str, width: int = 155, hidden: bool = False) -> None:
    """Choose a dataset, or a collection where its name with :data:`labelled.PREFIX` is among the names.

    The configuration is kept as far as another dataset has it.

    Parameters
    ----------
    hidden : leave the label to screen readers.
    """

    def title(name: str) -> str:
        collection = name.removeprefix(labelled_dataset.PREFIX)
        return Grid().title(name) if collection == name else f"{collection} · your images"

    def chosen(name: str) -> None:
        collection = name.removeprefix(labelled_dataset.PREFIX)
        # The image, the conditions and what the gallery shows belong to what was shown before.
        gone: dict[url.Key, object] = dict.fromkeys(
            (url.GALLERY_PAGE, url.CLASS, url.LABEL, url.WHERE, url.SELECTED, url.COLLECTION)
        )
        if collection == name:
            url.change(gone | {url.DATASET: name, url.QUERY: 0})
        else:
            parts = dict.fromkeys((url.DATASET, url.QUERY, *url.PARTS))
            url.change(gone | parts | {url.COLLECTION: collection})

    if any(name.startswith(labelled_dataset.PREFIX) for name in names):
        width += 80
    select("Dataset", names, shown, title, chosen, "dataset", glossary.DATASET, width, hidden)


def source(names: Sequence[str], shown: Source, hidden: bool = False) -> None:
    """Choose a dataset or a collection, as :func:`dataset`; a source is shown."""
    prefix = labelled_dataset.PREFIX if shown.url_key == url.COLLECTION else ""
    dataset(names, prefix + shown.name, hidden=hidden)


def configuration(
    grid: DatasetGrid, shown: Summary, untrained: bool = False, keys: Sequence[url.Key] = url.PARTS
) -> None:
    """Choose model, pooling and metric; the layer is chosen with :mod:`dashboard.frontend.layer_strip`.

    Parameters
    ----------
    untrained : offer the untrained controls too; the one that is shown is always offered.
    keys : of the address, :data:`url.PARTS` or :data:`url.SECOND`.
    """
    model(grid, shown, untrained, keys)
    pooling(grid, shown, keys)
    metric(grid, shown, keys)


def model(
    grid: DatasetGrid,
    shown: Summary,
    untrained: bool = False,
    keys: Sequence[url.Key] = url.PARTS,
    width: int = 330,
) -> None:
    """Choose a model with its weights, trained ones first."""
    here = (shown.model, shown.weights)
    offered = sorted(
        (key for key in grid.runs if untrained or key[1] != url.UNTRAINED or key == here),
        key=lambda key: (key[1] == url.UNTRAINED, grid.runs[key].about.title.lower(), key),
    )

    def chosen(key: tuple[str, str]) -> None:
        _change(grid, shown, keys, model=key[0], weights=key[1])

    select(
        "Model",
        offered,
        here,
        lambda key: model_name(grid.runs[key].about),
        chosen,
        keys[0],
        glossary.MODEL,
        width,
    )


def change_layer(grid: DatasetGrid, shown: Summary, keys: Sequence[url.Key], layer: str) -> None:
    """Go to another layer, from a callback."""
    _change(grid, shown, keys, layer=layer)


def at_layer(grid: DatasetGrid, shown: Summary, layer: str) -> Summary | None:
    """The experiment that :func:`change_layer` goes to; None where the layer has none."""
    there = [one for one in _of(grid, shown) if one.layer == layer]
    return url.closest(there, {}, like=shown) if there else None


def pooling(grid: DatasetGrid, shown: Summary, keys: Sequence[url.Key] = url.PARTS, width: int = 100) -> None:
    """Choose a pooling among those of the layer."""
    select(
        "Pooling",
        list(dict.fromkeys(s.pooling for s in _of(grid, shown, "layer"))),
        shown.pooling,
        str,
        lambda value: _change(grid, shown, keys, layer=shown.layer, pooling=value),
        keys[3],
        glossary.POOLING,
        width,
    )


def metric(grid: DatasetGrid, shown: Summary, keys: Sequence[url.Key] = url.PARTS, width: int = 130) -> None:
    """Choose a metric among those of the layer and pooling."""
    select(
        "Distance",
        list(dict.fromkeys(s.metric for s in _of(grid, shown, "layer", "pooling"))),
        shown.metric,
        str,
        lambda value: _change(grid, shown, keys, layer=shown.layer, pooling=shown.pooling, metric=value),
        keys[4],
        glossary.METRIC,
        width,
    )


def neighbors(shown: int, most: int = MAX_NEIGHBORS, width: int = 125) -> None:
    """Choose how many neighbors to show."""
    st.number_input(
        "Neighbors (k)",
        min(MIN_NEIGHBORS, most),
        most,
        **bind("pick-k", shown, url.K),
        help=glossary.NEIGHBORS,
        width=width,
    )


def measure(known: Sequence[str], shown: str, hidden: bool = False) -> None:
    """Choose what configurations are compared by, of the names of :data:`core.evaluation.measures.MEASURES`.

    Parameters
    ----------
    hidden : leave the label to screen readers.
    """
    select(
        "Compare by",
        known,
        shown,
        lambda name: f"By {glossary.small(MEASURES[name].title)}" if hidden else MEASURES[name].title,
        lambda name: url.change({url.BY: name}),
        "measure",
        glossary.MEASURE,
        165,
        hidden,
    )


def projection(method: str, dimensions: int) -> None:
    """Choose how and in how many dimensions the points are laid out."""
    segments("Projection", projections.METHODS, method, url.METHOD, "pick-method", hidden=True)
    segments(
        "Dimensions",
        {2: "2-D", 3: "3-D"},
        dimensions,
        lambda number: url.change({url.DIMENSIONS: str(number)}),
        "pick-dimensions",
        hidden=True,
    )


def untrained(grid: DatasetGrid, shown: bool) -> None:
    """Choose whether untrained controls are offered; nothing when the dataset has none."""
    if not any(weights == url.UNTRAINED for _, weights in grid.runs):
        return
    st.toggle(
        "Show untrained controls",
        **bind("pick-untrained", shown, url.SHOW_UNTRAINED),
        help="Networks with random weights, a control that shows what training is worth. They are left out of "
        "lists and rankings unless you ask for them.",
    )


def model_name(about: ModelRun) -> str:
    """A model with its parameters and weights."""
    parameters = (glossary.count(about.parameters),) if about.parameters else ()
    return " · ".join((about.title, *parameters, glossary.weights(about.weights)))


def _of(grid: DatasetGrid, shown: Summary, *parts: str) -> list[Summary]:
    """The experiments that share the shown one's model and weights, and those parts too."""
    return [
        one
        for one in grid.summaries
        if all(getattr(one, part) == getattr(shown, part) for part in ("model", "weights", *parts))
    ]


def _change(grid: DatasetGrid, shown: Summary, keys: Sequence[url.Key], **wanted: str) -> None:
    """Go to the experiment that has what is wanted and is otherwise most like the shown one."""
    wanted = {"model": shown.model, "weights": shown.weights} | wanted
    found = url.closest(grid.summaries, wanted, like=shown)
    for part in ("pooling", "metric"):
        was, now = getattr(shown, part), getattr(found, part)
        if part not in wanted and was != now:
            url.say(f"There is no experiment with {part} `{was}` here, so this is `{now}`.")
    url.change({key: getattr(found, part) for part, key in zip(url.PARTS, keys, strict=True)})


def bind(widget: str, shown: Any, chosen: url.Key | Callable[[Any], None]) -> dict[str, Any]:
    """Arguments of a widget that shows what the address says, whatever it showed before, and changes it.

    Parameters
    ----------
    widget : key of the widget.
    chosen : the key of the address that another value is written to, or a callback that is given it.
    """
    st.session_state[widget] = shown

    def changed() -> None:
        value = st.session_state[widget]
        if isinstance(chosen, url.Key):
            url.change({chosen: value})
        else:
            chosen(value)

    return {"key": widget, "on_change": changed}


def segments(
    label: str,
    options: Mapping[Any, str],
    shown: Any,
    chosen: url.Key | Callable[[Any], None],
    widget: str,
    help: str | None = None,
    hidden: bool = False,
) -> None:
    """Choose one of a few options, which are all visible, by their names.

    Parameters
    ----------
    shown, chosen, widget : as for :func:`bind`.
    hidden : leave the label to screen readers.
    """
    st.segmented_control(
        label,
        tuple(options),
        **bind(widget, shown, chosen),
        format_func=options.__getitem__,
        # Nothing is chosen where the choice is among the options of another one.
        required=shown is not None,
        help=help,
        label_visibility="collapsed" if hidden else "visible",
    )


def sections(
    groups: Mapping[str, Mapping[str, str]],
    shown: str,
    chosen: url.Key | Callable[[Any], None],
    widget: str,
) -> None:
    """Choose a section of a page by its title: all are visible in a wide window, a narrow one has a menu.

    Parameters
    ----------
    groups : names and titles of the sections, by what they are for; a single group is not named.
    shown, chosen, widget : as for :func:`bind`. The style sheet of all pages hides one of the two, by the name of the widget.
    """
    with st.container(horizontal=True, key=widget):
        for place, (label, group) in enumerate(groups.items()):
            here = shown if shown in group else None
            segments(label, group, here, chosen, f"{widget}-{place}", hidden=len(groups) == 1)
    titles = {name: title for group in groups.values() for name, title in group.items()}
    st.selectbox(
        "Section",
        tuple(titles),
        **bind(f"menu-{widget}", shown, chosen),
        format_func=titles.__getitem__,
        label_visibility="collapsed",
        filter_mode=None,
    )


def select(
    label: str,
    options: Sequence[Any],
    shown: Any,
    name: Callable[[Any], str],
    chosen: Callable[[Any], None],
    key: str,
    help: str,
    width: int,
    hidden: bool = False,
) -> None:
    """Choose one of some options; ``shown`` is the one that the address says, ``chosen`` is called with another."""
    st.selectbox(
        label,
        options,
        **bind(f"pick-{key}", shown, chosen),
        format_func=name,
        help=help,
        width=width,
        label_visibility="collapsed" if hidden else "visible",
        filter_mode=None if len(options) < 12 else "fuzzy",
    )
