"""Create a collection: a name, and the recommended configuration on this machine or another one."""

from typing import Any

import streamlit as st

from core.collections import Collection
from core.collections.index import engines
from core.collections.vector_file import DTYPES
from core.errors import UserError, WeightsError
from core.metrics import METRICS
from core.models import extractor, registry, weights
from core.search import default_configuration, shared_engine
from core.search.default_configuration import Choice
from dashboard import url
from dashboard.widgets import glossary, markdown, read_only_notice
from dashboard.widgets.error_box import show_error


def show(first: bool) -> None:
    """The name, the configuration and the button; ``first`` if there is no collection yet."""
    st.header("Your first collection" if first else "New collection")
    best = _best()
    if best is None:
        st.warning(
            "No model has weights on this machine, so no collection can be created; `playground models list` says how to get some.",
            icon=":material/warning:",
        )
        return
    name = st.text_input(
        "Name",
        placeholder="holiday-2026",
        key="images-name",
        width=300,
        max_chars=63,
        **read_only_notice.changing(help="Lower case letters, digits, - and _."),
    )
    with st.expander("Another model, layer or index"):
        model, options = _configuration(best)
    st.caption(
        f"{registry.MODELS[model].title}, layer {markdown.plain(options['layer'])}, {options['pooling']}, {options['metric']}. "
        + (markdown.plain(best.why) if _same(best, model, options) else "")
    )
    if st.button(
        "Create", type="primary", icon=":material/add:", key="images-create", **read_only_notice.changing()
    ):
        named = name.strip().lower().replace(" ", "-")
        try:
            Collection.create(named, model=model, **options).close()
        except UserError as error:
            show_error(error if named else UserError("Give it a name."))
        else:
            url.change({url.IMAGES_VIEW: None, url.IMAGES_PART: "add", url.COLLECTION: named})
            st.rerun()


def _configuration(best: Choice) -> tuple[str, dict[str, Any]]:
    """The model, and the options of :meth:`Collection.create`."""
    with st.container(horizontal=True):
        here = [name for name in registry.MODELS if _here(name)]
        model = st.selectbox(
            "Model",
            here,
            here.index(best.model),
            format_func=lambda name: registry.MODELS[name].title,
            key="images-model",
            help=glossary.MODEL,
            width=230,
        )
        layers = [layer.name for layer in registry.MODELS[model].layers]
        layer = st.selectbox(
            "Layer",
            layers,
            # The best layer; for another model the one before the last.
            layers.index(best.layer) if best.layer in layers else max(0, len(layers) - 2),
            format_func=lambda name: f"{layers.index(name) + 1} · {name}",
            key=f"images-layer-{model}",
            help=glossary.LAYER,
            width=230,
        )
        pooling = st.selectbox(
            "Pooling",
            list(extractor.POOLINGS),
            list(extractor.POOLINGS).index(best.pooling),
            key="images-pooling",
            help=glossary.POOLING,
            width=120,
        )
        metric = st.selectbox(
            "Distance",
            list(METRICS),
            list(METRICS).index(best.metric),
            key="images-metric",
            help=glossary.METRIC,
            width=150,
        )
    offered = [name for name in engines.with_metric(metric) if engines.get(name).lacks() is None]
    with st.container(horizontal=True):
        engine = st.selectbox(
            "Index engine",
            offered,
            key="images-engine",
            help=f"{glossary.ENGINE}\n\n`playground collection migrate` changes it later.",
            width=150,
        )
        kinds = engines.get(engine).kinds
        index = st.selectbox(
            "Index",
            list(kinds),
            format_func=lambda kind: f"{kind}: {kinds[kind]}",
            key=f"images-index-{engine}",
            help="How the nearest vectors are found. You can change it later, and the distance too.",
            width=470,
        )
        dtype = st.selectbox(
            "Numbers are stored as",
            DTYPES,
            key="images-dtype",
            help="float16 needs half of the disk and changes few results.",
            width=180,
        )
    for name in engines.names():
        if name not in offered:
            lacks = engines.get(name).lacks()
            why = f"needs {lacks}" if lacks else f"does not have the distance {metric}"
            st.caption(markdown.plain(f"The engine {name} {why}."))
    numbers = extractor.dimensions(registry.MODELS[model].layer(layer).shape, pooling)
    st.caption(
        f"An image becomes {numbers:,} numbers: {glossary.size(numbers * (2 if dtype == 'float16' else 4))} on disk. "
        "Model, layer and pooling can't be changed later."
    )
    return model, {
        "layer": layer,
        "pooling": pooling,
        "metric": metric,
        "engine": engine,
        "index": index,
        "dtype": dtype,
    }


def _same(best: Choice, model: str, options: dict[str, Any]) -> bool:
    chosen = (model, options["layer"], options["pooling"], options["metric"])
    return chosen == (best.model, best.layer, best.pooling, best.metric)


# For a minute: packages with weights may be installed while the server runs.
@st.cache_data(show_spinner=False, ttl=60)
def _here(model: str) -> bool:
    return weights.availability(registry.MODELS[model])[0]


@st.cache_data(show_spinner=False, ttl=60)
def _best() -> Choice | None:
    """The configuration that `playground collection create` chooses too; None if no model has weights."""
    try:
        return default_configuration.choose(shared_engine.engine())
    except WeightsError:
        return None
