"""One line for a configuration: what it is, which opens the pickers that change it, and what it scores and costs; its layers below."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from core.errors import GridError
from core.experiments.query_scores import evaluate
from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.frontend.layer_strip import layer_strip
from dashboard.widgets import configuration_name, glossary, markdown, pickers, tie_notice


def show(
    grid: DatasetGrid,
    chosen: Summary,
    k: int,
    untrained: bool,
    keys: Sequence[url.Key] = url.PARTS,
    letter: str = "",
    more: Callable[[], None] | None = None,
) -> None:
    """The line, the strip of layers, and what to know of such results.

    Parameters
    ----------
    k : number of neighbors that scores are of.
    untrained : offer the untrained controls too.
    keys : of the address, :data:`url.PARTS` or :data:`url.SECOND`.
    letter : what the page calls it, where it shows two.
    more : draws further widgets below the pickers, where there are any.
    """
    key = keys[0].removeprefix("model")
    name, help = configuration_name.name(grid, None, chosen), f"{glossary.INTERVAL}\n\n{glossary.COST}"
    with line(name, f"configuration{key}", _figures(grid, chosen, k), letter, help):
        pickers.configuration(grid, chosen, untrained, keys)
        st.caption(_parameters(grid, chosen))
        if more:
            more()
    layer_strip.show(
        _layers(grid, chosen, k),
        chosen.layer,
        lambda layer: pickers.change_layer(grid, chosen, keys, layer),
        key=f"layers{key}",
    )
    if chosen.weights in glossary.CAVEATS:
        st.info(glossary.CAVEATS[chosen.weights], icon=":material/science:")
    tie_notice.show(grid, chosen, k)


@contextmanager
def line(name: str, key: str, figures: str = "", letter: str = "", help: str | None = None) -> Iterator[None]:
    """A button with a name, plain text, that opens what the block draws; beside it some figures, in Markdown."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"bar-{key}"):
        if letter:
            st.markdown(f"**{letter}**", width=16)
        with panel(name, key):
            yield
        if figures:
            st.markdown(figures, help=help)


@contextmanager
def panel(name: str, key: str) -> Iterator[None]:
    """A button with a name, plain text, that opens what the block draws."""
    with st.popover(markdown.plain(name), icon=":material/tune:", help="Change it", key=key):
        yield


def _figures(grid: DatasetGrid, chosen: Summary, k: int) -> str:
    layer = grid.run(chosen).about.layer(chosen.layer)
    parts = []
    try:
        found = evaluate(grid, chosen.configuration, k)
        parts.append(f"Mean score **{found.mean:.1f}** ({found.low:.1f}–{found.high:.1f})")
    except GridError:
        # The page says so where it shows the results.
        pass
    if layer.ms_per_image is not None:
        parts.append(f"{layer.ms_per_image:.3g} ms")
    return "  ·  ".join([*parts, glossary.size(4 * chosen.dimensions)])


def _parameters(grid: DatasetGrid, chosen: Summary) -> str:
    about = grid.run(chosen).about
    layer = about.layer(chosen.layer)
    parameters = "vectors computed elsewhere"
    if about.parameters:
        parameters = (
            f"{glossary.count(layer.parameters)} of the model's {glossary.count(about.parameters)} parameters"
        )
    position = glossary.layer_of(layer.depth, about.layers)
    return "  ·  ".join((position, parameters, f"{chosen.dimensions:,} numbers per vector"))


def _layers(grid: DatasetGrid, chosen: Summary, k: int) -> list[layer_strip.Layer]:
    """The layers with the same pooling and metric, or the most similar, by depth."""
    about = grid.run(chosen).about
    found = []
    for layer in sorted(about.layers, key=lambda one: one.depth):
        near = pickers.at_layer(grid, chosen, layer.name)
        if near is not None:
            text = f"{glossary.layer_of(layer.depth, about.layers)} · {layer.name} · {'×'.join(map(str, layer.shape))}"
            found.append(
                layer_strip.Layer(layer.name, glossary.depth(layer.depth), text, _score(grid, near, k))
            )
    return found


def _score(grid: DatasetGrid, one: Summary, k: int) -> float | None:
    if k == 10:
        return one.score_10
    try:
        return evaluate(grid, one.configuration, k).mean
    except GridError:
        return None
