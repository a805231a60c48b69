"""The section *Architecture*: facts of the model, a diagram, the chosen layer, and a table of all layers."""

import json
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from core.models import weights
from core.models.architecture import Architecture, NetworkLayer
from core.models.combined_weights import CombinedWeights
from dashboard import url
from dashboard.pages.models import model_context, network_diagram
from dashboard.pages.models.model_context import ModelContext
from dashboard.widgets import download_button, glossary, markdown, pickers

_FLOPS = (
    "Floating point operations for one image, two for each multiply-add of a convolution or matrix product. Normalizations, activations "
    "and poolings are not counted, as is usual."
)
_FIELD = (
    "The part of the image that one position of a layer is computed from. At the edge of the image it reaches "
    "beyond it."
)


_COUNTS = dict(enumerate(["none", "one", "two", "three", "four", "five", "six", "seven", "eight"]))


def show(context: ModelContext) -> None:
    """Show the section."""
    _facts(context)
    if isinstance(context.model.weights, CombinedWeights):
        _networks(context.model.weights)
        return
    st.header("From the image to the last layer")
    network_diagram.show(context)
    st.markdown(sentence(context.architecture, context.layer))
    _table(context)


def _networks(combined: CombinedWeights) -> None:
    """The networks of a combination, each with a way to its own layers."""
    st.header("Its networks")
    st.markdown(
        "Their vectors are joined in this order. Each network has layers, channels and activations of its own:"
    )
    for place, part in enumerate(combined.parts):
        words = f"{part.model.title} · {part.layer} · {part.pooling}"
        if st.button(markdown.plain(words), icon=":material/account_tree:", key=f"network-{place}"):
            url.open_page(url.MODELS, {url.MODEL: part.model.name, url.LAYER: part.layer})


def sentence(architecture: Architecture, layer: NetworkLayer) -> str:
    """A layer and the model that ends in it, in Markdown."""
    end, size = architecture.layers[-1], architecture.layers[0].shape[0]
    count = _COUNTS[len(architecture.grid_layers)]
    place = (
        f"number {layer.depth} of the {count} that are compared" if layer.depth else f"not one of the {count}"
    )
    parts = [
        f"**{markdown.plain(layer.name)}**, {layer.type}, {place}: its output is {model_context.shape(layer)}.",
        f"A model cut here has {glossary.count(layer.parameters)} of {glossary.count(end.parameters)} parameters "
        f"({glossary.percent(layer.parameters / end.parameters)}) and takes {glossary.count(layer.flops)} of "
        f"{glossary.count(end.flops)} FLOPs ({glossary.percent(layer.flops / end.flops)}).",
    ]
    if layer.receptive_field is None and layer.spatial:
        parts.append("Which part of the image one position sees does not follow from the graph.")
    elif layer.receptive_field is None:
        parts.append("The whole image has been pooled to one position before it.")
    else:
        rows, columns = layer.receptive_field
        beyond = (
            f", more than the {size} × {size} there are"
            if min(rows, columns) > size
            else f" of {size} × {size}"
        )
        apart = (
            f"; neighboring positions are {layer.spacing[0]} pixels apart"
            if layer.spacing not in (None, (1, 1))
            else ""
        )
        parts.append(f"One position sees {rows} × {columns} pixels{beyond}{apart}.")
        if layer.sees_all:
            parts.append(
                "Through attention, or squeeze-and-excitation, which weights the channels by the whole image, it depends on all of "
                "it as well."
            )
    return " ".join(parts)


def _facts(context: ModelContext) -> None:
    model, architecture = context.model, context.architecture
    end = architecture.layers[-1]
    with st.container(horizontal=True, gap="large"):
        st.metric(
            "Parameters", glossary.count(model.parameters), width="content", help="Without a classifier."
        )
        st.metric("FLOPs", glossary.count(end.flops), width="content", help=_FLOPS)
        if not isinstance(model.weights, CombinedWeights):
            _graph_facts(context)
    st.markdown(
        f"- **Weights**: {_origin(context)}\n"
        f"- **Input**: resized to {model.input_size} × {model.input_size}, {_resized(model.resample)}, then {markdown.plain(model.preprocessing.description)}\n"
        f"- **Source**: {markdown.plain(model.source)}"
    )


def _graph_facts(context: ModelContext) -> None:
    """How many layers the graph has, and what its end sees."""
    model, architecture = context.model, context.architecture
    end = architecture.layers[-1]
    st.metric(
        "Layers",
        f"{len(architecture.layers):,}",
        width="content",
        help=f"As {'Keras counts them' if model.build else 'tensors of the ONNX graph'}, with activations and normalizations; {end.path} of them on the longest path.",
    )
    # A class token has no place of its own: that of the last layer which has one.
    fields = [layer.receptive_field for layer in architecture.layers if layer.receptive_field]
    st.metric("Receptive field", f"{max(fields[-1]):,} px", width="content", help=_FIELD)


def _resized(resample: str) -> str:
    """How an image is resized, in words."""
    name, _, share = resample.partition(" ")
    return f"{name}, the middle square of {100 * float(share):g}% of its shorter side" if share else name


def _origin(context: ModelContext) -> str:
    if context.choice.control:
        return f"random, from seed {weights.SEED}. {model_context.trained(context.model)}"
    return model_context.trained(context.model)


def frame(architecture: Architecture) -> pd.DataFrame:
    """A row for each layer."""

    def pair(value: tuple[int, int] | None) -> str | None:
        return None if value is None else "×".join(map(str, value))

    return pd.DataFrame(
        [
            {
                "order": order,
                "depth": layer.depth,
                "layer": layer.name,
                "type": layer.type,
                "shape": model_context.shape(layer),
                "kernel": pair(layer.kernel),
                "stride": pair(layer.stride),
                "own_parameters": layer.own_parameters,
                "parameters": layer.parameters,
                "own_flops": 2 * layer.own_multiply_adds,
                "flops": layer.flops,
                "receptive_field": pair(layer.receptive_field),
                "spacing": pair(layer.spacing),
                "sees_all": layer.sees_all,
                "path": layer.path,
                "inputs": " ".join(layer.inputs),
            }
            for order, layer in enumerate(architecture.layers)
        ]
    ).astype({"depth": "Int64"})


def _table(context: ModelContext) -> None:
    architecture = context.architecture
    st.header("All layers")
    text = context.address.text(url.FIND)
    eight = context.address.switch(url.EIGHT)
    context.shown |= {url.FIND: text, url.EIGHT: eight}
    whole = frame(architecture)
    named = pd.Series(True, whole.index)
    for word in text.lower().split():
        named &= (whole["layer"] + " " + whole["type"]).str.lower().str.contains(word, regex=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Find",
            **pickers.bind("inspect-find", text, lambda typed: url.change({url.FIND: typed.strip()})),
            placeholder="name or type",
            max_chars=url.FIND.longest,
            icon=":material/search:",
            width=240,
        )
        st.toggle("Only those compared", **pickers.bind("inspect-eight", eight, url.EIGHT))
        download_button.show(
            "CSV",
            lambda: download_button.csv(whole),
            f"{context.model.name}-layers.csv",
            help="All layers, not only those listed below.",
        )
        download_button.show("JSON", lambda: as_json(architecture), f"{context.model.name}-layers.json")
    rows = whole[named & whole["depth"].notna() if eight else named].reset_index(drop=True)
    if rows.empty:
        sentence = "No layer has this name or type."
        if others := int(named.sum()):
            sentence = f"None of those compared has this name or type; turn off *Only those compared* to list the others ({others:,})."
        st.info(sentence, icon=":material/filter_alt_off:")
        return
    key = f"layers-{context.model.name}-{eight}-{text}"

    def picked() -> None:
        chosen = st.session_state[key].selection.rows
        if chosen and chosen[0] < len(rows):
            model_context.choose_layer(context, rows["layer"][chosen[0]])

    st.dataframe(
        _listed(rows, architecture.layers[-1]),
        hide_index=True,
        height=min(560, 38 + 35 * len(rows)),
        column_config=_columns(architecture.layers[-1]),
        on_select=picked,
        selection_mode="single-row",
        key=key,
    )
    st.caption(
        f"{len(rows):,} of {len(architecture.layers):,} layers. Select a row to choose its layer for this page.",
        help=f"**FLOPs**: {_FLOPS}\n\n**Receptive field**: {_FIELD} Layers marked with + depend on the whole image as well, "
        "through attention or squeeze-and-excitation.",
    )


def _listed(rows: pd.DataFrame, end: NetworkLayer) -> pd.DataFrame:
    """The columns that the page shows, with costs up to a layer in percent of the model's."""
    field = rows["receptive_field"].fillna("all") + rows["sees_all"].where(
        rows["receptive_field"].notna(), False
    ).map({True: " +", False: ""})
    return pd.DataFrame(
        {
            "depth": rows["depth"].astype("string").fillna(""),
            "layer": rows["layer"],
            "type": rows["type"],
            "shape": rows["shape"],
            "window": [
                f"{kernel} / {stride.split('×')[0]}" if isinstance(stride, str) else ""
                for kernel, stride in zip(rows["kernel"], rows["stride"], strict=True)
            ],
            "own_parameters": rows["own_parameters"],
            "parameters": 100 * rows["parameters"] / end.parameters,
            "flops": 100 * rows["flops"] / end.flops,
            "receptive_field": field,
        }
    )


def _columns(end: NetworkLayer) -> dict[str, Any]:
    column = st.column_config

    def share(name: str, of: int, about: str = "") -> Any:
        return column.ProgressColumn(
            f"{name} up to it",
            format="%.1f%%",
            min_value=0,
            max_value=100,
            help=f"Of the model cut there, in percent of {glossary.count(of)}.{about}",
        )

    return {
        "depth": column.TextColumn(
            "of 8", width=50, help="Place among those that are compared, at most eight."
        ),
        "layer": column.TextColumn("layer", width="medium"),
        "shape": column.TextColumn("output", help="Height × width × channels."),
        "window": column.TextColumn("window / stride", help="Kernel and stride, in rows × columns."),
        "own_parameters": column.NumberColumn("own parameters", format="compact"),
        "parameters": share("parameters", end.parameters),
        "flops": share("FLOPs", end.flops, f" {_FLOPS}"),
        "receptive_field": column.TextColumn("receptive field", help=_FIELD),
    }


def as_json(architecture: Architecture) -> bytes:
    """All layers as JSON."""
    rows = [asdict(layer) | {"flops": layer.flops} for layer in architecture.layers]
    return json.dumps({"model": architecture.model, "layers": rows}, indent=1).encode()
