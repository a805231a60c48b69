"""What all parts of the models page work with: the model and its weights, the layer, ways to choose them."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.experiments.store import Grid
from core.features import channel_files
from core.models import architecture, registry, weights
from core.models.architecture import Architecture, Layer
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import glossary, markdown, pickers

_FIRST = "efficientnet-lite0"
_FIRST_DEPTH = 6
# Entries of the address that belong to one layer of one model.
_OF_LAYER: dict[url.Key, object] = {url.CHANNEL: None, url.SHEET: None}


@dataclass(frozen=True)
class Choice:
    """A model with its weights; ``untrained`` says whether controls are offered beside trained weights."""

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
        return self.control or _availability(self.model.name)[0]

    @property
    def entries(self) -> dict[url.Key, object]:
        """What the address says of it."""
        return {
            url.MODEL: self.model.name,
            url.WEIGHTS: self.weights,
            url.SHOW_UNTRAINED: self.untrained,
        }


@dataclass
class Scene:
    """The page in this run.

    channel : that was chosen, None before; dataset : name of the one whose pictures are shown, None when there is none.
    shown : what the address is to say, parts of the page add to it.
    """

    address: Address
    choice: Choice
    architecture: Architecture
    layer: Layer
    channel: int | None
    dataset: str | None
    shown: dict[url.Key, Any] = field(default_factory=dict)

    @property
    def model(self) -> registry.Model:
        return self.choice.model

    @property
    def weights(self) -> str:
        return self.choice.weights


def choice(address: Address) -> Choice:
    """The model and the weights that the address asks for, checked."""
    model = registry.get_model(address.choice(url.MODEL, list(registry.MODELS), _FIRST))
    untrained = address.switch(url.SHOW_UNTRAINED)
    valid = _weights(model)
    return Choice(model, address.choice(url.WEIGHTS, valid, valid[0]), untrained)


def make(address: Address, chosen: Choice) -> Scene:
    """What the address asks for, checked; raises ModelDataError when the model's description can't be read."""
    made = architecture.read(chosen.model.name)
    # A layer of the grid stands under "layer", where other pages look for theirs; any other one under "inner".
    key = url.INNER if url.INNER in address.asked else url.LAYER
    default = made.grid_layers[_FIRST_DEPTH - 1].name
    layer = made.layer(address.choice(key, [one.name for one in made.layers], default))
    channel = address.number_or_none(url.CHANNEL, 0, layer.channels - 1)
    names = Grid().dataset_names()
    dataset = address.dataset(names) if names else None
    shown = chosen.entries | _entries(layer) | {url.CHANNEL: channel, url.DATASET: dataset}
    return Scene(address, chosen, made, layer, channel, dataset, shown)


def model_picker(chosen: Choice, layer: Layer | None) -> None:
    """Choose a model with its weights; another model keeps the depth of the layer."""
    here = (chosen.model.name, chosen.weights)
    options = [
        (model.name, slug)
        for slug in (weights.IMAGENET, weights.UNTRAINED)
        for model in sorted(registry.MODELS.values(), key=lambda one: one.title.lower())
        if slug in _weights(model)
    ]
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
            name = registry.get_model(model).layers[depth - 1].name if depth else None
            moved = {url.LAYER: name, url.INNER: None} | _OF_LAYER
        url.change({url.MODEL: model, url.WEIGHTS: slug} | moved)

    pickers.select("Model", offered, here, _title, change, "inspect-model", glossary.MODEL, 330)


def layer_picker(scene: Scene) -> None:
    """Choose any layer, the eight of the grid first."""
    rest = [layer for layer in scene.architecture.layers if layer.depth is None]
    pickers.select(
        "Layer",
        [layer.name for layer in (*scene.architecture.grid_layers, *rest)],
        scene.layer.name,
        lambda name: layer_title(scene.architecture.layer(name)),
        lambda name: choose_layer(scene, name),
        "inspect-layer",
        f"{glossary.LAYER}\n\nThe eight that the other pages compare come first, with their number; then all others. "
        "Type a part of a name to find it.",
        400,
    )


def dataset_picker(scene: Scene) -> None:
    """Choose a dataset, where there are any."""
    if scene.dataset is not None:
        pickers.select(
            "Pictures of",
            Grid().dataset_names(),
            scene.dataset,
            Grid().title,
            lambda name: url.change({url.DATASET: name}),
            "inspect-dataset",
            glossary.DATASET,
            200,
        )


def untrained_switch(chosen: Choice) -> None:
    """Choose whether untrained controls are offered where there are trained weights."""
    key = "inspect-untrained"
    st.session_state[key] = chosen.untrained
    st.toggle(
        "Show untrained controls",
        key=key,
        on_change=lambda: url.change({url.SHOW_UNTRAINED: st.session_state[key]}),
        help="Networks with random weights, a control that shows what training is worth. Models whose trained weights "
        "are not here are listed with random ones in any case.",
    )


def choose_layer(scene: Scene, name: object) -> None:
    """Go to a layer, from a callback; anything may stand in its name."""
    found = [layer for layer in scene.architecture.layers if layer.name == name]
    if found:
        url.change(_entries(found[0]) | _OF_LAYER)


def layer_title(layer: Layer) -> str:
    """A layer in a line."""
    return f"{layer.depth or '–'} · {layer.name} · {layer.type} · {shape(layer)}"


def shape(layer: Layer) -> str:
    """The output of a layer, such as 14×14×80."""
    return "×".join(map(str, layer.shape))


def trained(model: registry.Model) -> str:
    """Where the trained weights of a model are, or how they come to this machine, in Markdown."""
    here, sentence = _availability(model.name)
    if here or model.name not in registry.APPLICATIONS:
        return f"ImageNet. {markdown.plain(sentence)}" if here else markdown.plain(sentence)
    return f"`playground models fetch {model.name}` downloads its ImageNet weights, which are not here."


def tell_control(scene: Scene) -> None:
    """Say that the weights are random where they are, and how to get others."""
    if not scene.choice.control:
        return
    sentence = (
        f"This is an untrained control: {scene.model.title} with random weights. What it shows is the work of the "
        "architecture alone; no channel has learned to look for anything."
    )
    if weights.IMAGENET not in _weights(scene.model):
        sentence += f" {trained(scene.model)}"
    st.info(sentence, icon=":material/science:")


def _entries(layer: Layer) -> dict[url.Key, object]:
    return (
        {url.LAYER: layer.name, url.INNER: None} if layer.depth else {url.LAYER: None, url.INNER: layer.name}
    )


def _title(one: tuple[str, str]) -> str:
    model = registry.get_model(one[0])
    return f"{model.title} · {glossary.count(model.parameters)} · {glossary.weights(one[1])}"


def _weights(model: registry.Model) -> list[str]:
    """The weights that there is something to show of, trained ones first."""
    here = _availability(model.name)[0] or channel_files.visualizations(
        model.name, weights.IMAGENET, model.layers[-1].name
    )
    return [weights.IMAGENET, weights.UNTRAINED] if here else [weights.UNTRAINED]


# For a minute: a download or a package that is installed needs no new start.
@st.cache_data(show_spinner=False, ttl=60)
def _availability(model: str) -> tuple[bool, str]:
    return weights.availability(registry.get_model(model))
