"""One line for a configuration: what it is, which opens the pickers that change it, and what it scores and costs; its layers below."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.errors import GridError
from core.experiments.query_scores import Evaluation, evaluate
from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.frontend.layer_strip import layer_strip
from dashboard.widgets import configuration_name, glossary, markdown, pickers


def show(
    grid: DatasetGrid,
    chosen: Summary,
    found: Evaluation | None,
    k: int,
    untrained: bool,
    keys: Sequence[url.Key] = url.PARTS,
    letter: str = "",
    more: Callable[[], None] | None = None,
) -> None:
    """The line and the strip of layers.

    Parameters
    ----------
    found : its results at k; None where they can't be read.
    untrained : offer the untrained controls too.
    keys : of the address, :data:`url.PARTS` or :data:`url.SECOND`.
    letter : what the page calls it, where it shows two.
    more : draws further widgets below the pickers, where there are any.
    """
    key = keys[0].removeprefix("model")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"bar{key}"):
        if letter:
            st.markdown(f"**{letter}**", width=16)
        with st.popover(
            markdown.plain(configuration_name.name(grid, None, chosen)),
            icon=":material/tune:",
            help="Change model, layer, pooling or distance",
            key=f"configuration{key}",
        ):
            pickers.configuration(grid, chosen, untrained, keys)
            st.caption(_parameters(grid, chosen))
            if more:
                more()
        st.markdown(_figures(grid, chosen, found), help=f"{glossary.INTERVAL}\n\n{glossary.COST}")
    layer_strip.show(
        _layers(grid, chosen, k),
        chosen.layer,
        lambda layer: pickers.change_layer(grid, chosen, keys, layer),
        key=f"layers{key}",
    )


def _figures(grid: DatasetGrid, chosen: Summary, found: Evaluation | None) -> str:
    layer = grid.run(chosen).about.layer(chosen.layer)
    parts = [] if found is None else [f"Mean score **{found.mean:.1f}** ({found.low:.1f}–{found.high:.1f})"]
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
