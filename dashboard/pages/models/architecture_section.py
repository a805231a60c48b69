"""The architecture: facts of the model, a diagram, the chosen layer, and a table of all layers to take away."""

import json
from dataclasses import asdict

import pandas as pd
import streamlit as st

from core.models import weights
from core.models.architecture import Architecture, Layer
from dashboard import url
from dashboard.pages.models import model_context, network_diagram
from dashboard.pages.models.model_context import Scene
from dashboard.widgets import glossary, markdown

_FLOPS = (
    "Floating point operations for one picture, two for each multiply-add of a convolution. Normalizations, activations "
    "and poolings are not counted, as is usual."
)
_FIELD = (
    "The part of the picture that one position of a layer is computed from. In the middle of the picture it is seen whole; "
    "at the edge it reaches beyond."
)


def show(scene: Scene) -> None:
    """This part of the page."""
    _facts(scene)
    st.header("From the picture to the last layer")
    network_diagram.show(scene)
    st.markdown(sentence(scene.architecture, scene.layer))
    _table(scene)


def sentence(made: Architecture, layer: Layer) -> str:
    """A layer and what leads to it, in Markdown."""
    end, size = made.layers[-1], made.layers[0].shape[0]
    place = f"number {layer.depth} of the eight that are compared" if layer.depth else "not one of the eight"
    parts = [
        f"**{markdown.plain(layer.name)}**, {layer.type}, {place}: its output is {model_context.shape(layer)}.",
        f"A model cut here has {glossary.count(layer.parameters)} of {glossary.count(end.parameters)} parameters "
        f"({glossary.percent(layer.parameters / end.parameters)}) and takes {glossary.count(layer.flops)} of "
        f"{glossary.count(end.flops)} FLOPs ({glossary.percent(layer.flops / end.flops)}).",
    ]
    if layer.receptive_field is None:
        parts.append("The whole picture has been pooled to one position before it.")
    else:
        rows, columns = layer.receptive_field
        beyond = (
            f", more than the {size} × {size} there are"
            if min(rows, columns) > size
            else f" of {size} × {size}"
        )
        parts.append(
            f"One position sees {rows} × {columns} pixels{beyond}; neighboring positions lie "
            f"{layer.spacing[0]} pixels apart."
            if layer.spacing != (1, 1)
            else f"One position sees {rows} × {columns} pixels{beyond}."
        )
        if layer.sees_all:
            parts.append(
                "Through squeeze-and-excitation, which weighs the channels by what is in the whole picture, it depends on "
                "all of it as well."
            )
    return " ".join(parts)


def _facts(scene: Scene) -> None:
    model, made = scene.model, scene.architecture
    end = made.layers[-1]
    with st.container(horizontal=True, gap="large"):
        st.metric(
            "Parameters", glossary.count(model.parameters), width="content", help="Without a classifier."
        )
        st.metric("FLOPs", glossary.count(end.flops), width="content", help=_FLOPS)
        st.metric(
            "Layers",
            f"{len(made.layers):,}",
            width="content",
            help=f"As Keras counts them, activations and normalizations too; {end.path} of them on the longest way through.",
        )
        st.metric("Receptive field", f"{max(end.receptive_field):,} px", width="content", help=_FIELD)
    st.markdown(
        f"- **Weights**: {_origin(scene)}\n"
        f"- **Input**: resized to {model.input_size} × {model.input_size}, {model.resample}, then {markdown.plain(model.preprocessing.description)}\n"
        f"- **Source**: {markdown.plain(model.source)}"
    )


def _origin(scene: Scene) -> str:
    if scene.choice.control:
        return f"random, from seed {weights.SEED}. {model_context.trained(scene.model)}"
    return model_context.trained(scene.model)


def frame(made: Architecture) -> pd.DataFrame:
    """All layers as a table, a row each."""

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
            for order, layer in enumerate(made.layers)
        ]
    ).astype({"depth": "Int64"})


def _table(scene: Scene) -> None:
    made = scene.architecture
    st.header("All layers")
    text = scene.address.text(url.FIND)
    eight = scene.address.switch(url.EIGHT)
    scene.shown |= {url.FIND: text, url.EIGHT: eight}
    whole = frame(made)
    wanted = whole["depth"].notna() if eight else pd.Series(True, whole.index)
    for word in text.lower().split():
        wanted &= (whole["layer"] + " " + whole["type"]).str.lower().str.contains(word, regex=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.session_state["inspect-find"] = text
        st.text_input(
            "Find",
            key="inspect-find",
            placeholder="name or type",
            max_chars=url.FIND.longest,
            icon=":material/search:",
            width=240,
            on_change=lambda: url.change({url.FIND: st.session_state["inspect-find"].strip()}),
        )
        st.session_state["inspect-eight"] = eight
        st.toggle(
            "Only the eight",
            key="inspect-eight",
            on_change=lambda: url.change({url.EIGHT: st.session_state["inspect-eight"]}),
        )
        st.download_button(
            "CSV",
            lambda: whole.to_csv(index=False).encode(),
            f"{scene.model.name}-layers.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="All layers, whatever is listed below.",
        )
        st.download_button(
            "JSON",
            lambda: as_json(made),
            f"{scene.model.name}-layers.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
        )
    rows = whole[wanted].reset_index(drop=True)
    if rows.empty:
        st.info("No layer is called that. Look for something else.", icon=":material/filter_alt_off:")
        return
    key = f"layers-{scene.model.name}-{eight}-{text}"

    def picked() -> None:
        chosen = st.session_state[key].selection.rows
        if chosen and chosen[0] < len(rows):
            model_context.choose_layer(scene, rows["layer"][chosen[0]])

    st.dataframe(
        _listed(rows, made.layers[-1]),
        hide_index=True,
        height=min(560, 38 + 35 * len(rows)),
        column_config=_columns(made.layers[-1]),
        on_select=picked,
        selection_mode="single-row",
        key=key,
    )
    st.caption(
        f"{len(rows):,} of {len(made.layers):,} layers. The box at the start of a row chooses its layer for this page.",
        help=f"**FLOPs**: {_FLOPS}\n\n**Receptive field**: {_FIELD} Layers marked with + depend on the whole picture as well, "
        "through squeeze-and-excitation.",
    )


def _listed(rows: pd.DataFrame, end: Layer) -> pd.DataFrame:
    """What of the table is shown, costs up to a layer as shares of the whole model's."""
    field = rows["receptive_field"].fillna("all") + rows["sees_all"].where(
        rows["receptive_field"].notna(), False
    ).map({True: " +", False: ""})
    return pd.DataFrame(
        {
            "depth": rows["depth"].astype("string").fillna(""),
            "layer": rows["layer"],
            "type": rows["type"],
            "shape": rows["shape"],
            "window": (rows["kernel"] + " / " + rows["stride"].str.split("×").str[0]).fillna(""),
            "own_parameters": rows["own_parameters"],
            "parameters": 100 * rows["parameters"] / end.parameters,
            "flops": 100 * rows["flops"] / end.flops,
            "receptive_field": field,
        }
    )


def _columns(end: Layer) -> dict[str, object]:
    column = st.column_config
    return {
        "depth": column.TextColumn("of 8", width=50, help="Place among the eight that are compared."),
        "layer": column.TextColumn("layer", width="medium"),
        "shape": column.TextColumn("output", help="Height × width × channels."),
        "window": column.TextColumn("window / stride", help="Kernel and stride, in rows × columns."),
        "own_parameters": column.NumberColumn("own parameters", format="compact"),
        "parameters": column.ProgressColumn(
            "parameters up to it",
            format="%.1f%%",
            min_value=0,
            max_value=100,
            help=f"Of the model cut there, in percent of {glossary.count(end.parameters)}.",
        ),
        "flops": column.ProgressColumn(
            "FLOPs up to it",
            format="%.1f%%",
            min_value=0,
            max_value=100,
            help=f"Of the model cut there, in percent of {glossary.count(end.flops)}. {_FLOPS}",
        ),
        "receptive_field": column.TextColumn("receptive field", help=_FIELD),
    }


def as_json(made: Architecture) -> bytes:
    """All layers as JSON."""
    rows = [asdict(layer) | {"flops": layer.flops} for layer in made.layers]
    return json.dumps({"model": made.model, "layers": rows}, indent=1).encode()
