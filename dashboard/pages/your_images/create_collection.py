"""Making a collection: a name, and the configuration that is best here unless another one is wished for."""

import streamlit as st

from core.collections import Collection, ann_index
from core.collections.vector_file import DTYPES
from core.errors import UserError, WeightsError
from core.metrics import METRICS
from core.models import extractor, registry, weights
from core.search import default_configuration, shared_engine
from core.search.default_configuration import Choice
from dashboard import url
from dashboard.widgets import glossary, markdown, read_only_notice


def show(first: bool) -> None:
    """The name, the configuration and the button; ``first`` when there is no collection yet."""
    st.header("Your first collection" if first else "New collection")
    usual = _best()
    if usual is None:
        st.warning(
            "No model has weights on this machine, so no collection can be made; `playground models list` says what can be "
            "had and how.",
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
        model, options = _configuration(usual)
    st.caption(
        f"{registry.MODELS[model].title}, layer {markdown.plain(options['layer'])}, {options['pooling']}, {options['metric']}. "
        + (markdown.plain(usual.why) if _same(usual, model, options) else "")
    )
    if st.button(
        "Create", type="primary", icon=":material/add:", key="images-create", **read_only_notice.changing()
    ):
        named = name.strip().lower().replace(" ", "-")
        try:
            Collection.create(named, model=model, **options).close()
        except UserError as error:
            st.error(markdown.plain(str(error)) if named else "Give it a name.", icon=":material/error:")
        else:
            url.change({url.IMAGES_VIEW: None, url.IMAGES_PART: "add", url.COLLECTION: named})
            st.rerun()


def _configuration(usual: Choice) -> tuple[str, dict[str, str]]:
    """The model, and the options of :meth:`Collection.create`."""
    with st.container(horizontal=True):
        here = [name for name in registry.MODELS if _here(name)]
        model = st.selectbox(
            "Model",
            here,
            here.index(usual.model),
            format_func=lambda name: registry.MODELS[name].title,
            key="images-model",
            help=glossary.MODEL,
            width=230,
        )
        layers = [layer.name for layer in registry.MODELS[model].layers]
        layer = st.selectbox(
            "Layer",
            layers,
            # The same depth as that of the usual model: as many steps before the end.
            layers.index(usual.layer) if usual.layer in layers else max(0, len(layers) - 2),
            format_func=lambda name: f"{layers.index(name) + 1} · {name}",
            key=f"images-layer-{model}",
            help=glossary.LAYER,
            width=230,
        )
        pooling = st.selectbox(
            "Pooling",
            list(extractor.POOLINGS),
            list(extractor.POOLINGS).index(usual.pooling),
            key="images-pooling",
            help=glossary.POOLING,
            width=120,
        )
        metric = st.selectbox(
            "Distance",
            list(METRICS),
            list(METRICS).index(usual.metric),
            key="images-metric",
            help=glossary.METRIC,
            width=150,
        )
    with st.container(horizontal=True):
        index = st.selectbox(
            "Index",
            list(ann_index.KINDS),
            format_func=lambda kind: f"{kind}: {ann_index.KINDS[kind]}",
            key="images-index",
            help="How the nearest vectors are found. It can be changed later, and so can the distance.",
            width=470,
        )
        dtype = st.selectbox(
            "Numbers are stored as",
            DTYPES,
            key="images-dtype",
            help="float16 takes half of the disk; what it rounds away changes few results.",
            width=180,
        )
    numbers = extractor.dimensions(registry.MODELS[model].layer(layer).shape, pooling)
    st.caption(
        f"A picture becomes {numbers:,} numbers: {glossary.size(numbers * (2 if dtype == 'float16' else 4))} on disk. "
        "Model, layer and pooling stay as they are for good."
    )
    return model, {
        "layer": layer,
        "pooling": pooling,
        "metric": metric,
        "index": index,
        "dtype": dtype,
    }


def _same(usual: Choice, model: str, options: dict[str, str]) -> bool:
    chosen = (model, options["layer"], options["pooling"], options["metric"])
    return chosen == (usual.model, usual.layer, usual.pooling, usual.metric)


# For a minute: installing a package with weights needs no new start.
@st.cache_data(show_spinner=False, ttl=60)
def _here(model: str) -> bool:
    return weights.availability(registry.MODELS[model])[0]


@st.cache_data(show_spinner=False, ttl=60)
def _best() -> Choice | None:
    """What `collection create` takes as well; None where no model has weights."""
    try:
        return default_configuration.choose(shared_engine.engine())
    except WeightsError:
        return None
