"""What excites a channel: a picture made to excite it, and the pictures of a dataset that do."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import streamlit as st
from PIL import Image

from core import jobs
from core.data.datasets import Dataset
from core.errors import UserError
from core.experiments.store import Grid
from core.features import channel_files
from core.features.channel_files import TopImage, Visualization
from core.jobs import Job
from core.models import registry
from core.progress import Progress
from core.search import shared_engine
from core.settings import settings
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.frontend.region import region
from dashboard.pages.models import model_context
from dashboard.pages.models.model_context import Scene
from dashboard.widgets import glossary, image_input, job_progress, markdown

_working = threading.BoundedSemaphore(settings.LIVE_PASSES)
_MOST = 9
_SIDE = 330
_HOW = (
    "The picture begins as noise and is changed step by step so that the channel answers more and more, under small "
    "moves and turns: Olah, Mordvintsev and Schubert, Feature Visualization, 2017."
)


def show(scene: Scene) -> None:
    """This part of the page."""
    layer = scene.layer
    if not layer.spatial:
        st.info(
            f"{markdown.plain(layer.name)} has no positions: the whole picture has been pooled to one before it, so no region "
            "can have excited it. Choose another layer above.",
            icon=":material/info:",
        )
        return
    shipped = channel_files.visualizations(scene.model.name, scene.weights, layer.name)
    channel = scene.channel
    if channel is None:
        channel = shipped[0].channel if shipped else 0
    scene.shown[url.CHANNEL] = channel
    st.header(f"The channels of {markdown.plain(layer.name)}")
    if shipped:
        _gallery(scene, shipped, channel)
    elif not scene.choice.control:
        st.caption(
            f"No pictures ship for this layer; any of its {layer.channels:,} channels can be looked at below."
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _channel_picker(layer.channels, channel)
        model_context.dataset_picker(scene)
    outer = st.container(horizontal=True, gap="medium", key="channel")
    with outer.container(width=_SIDE, key="channel-picture"):
        st.header(f"Channel {channel}")
        _made(scene, channel, next((one for one in shipped if one.channel == channel), None))
    with outer.container(key="channel-exciting"):
        _found(scene, channel)


def _gallery(scene: Scene, shipped: Sequence[Visualization], channel: int) -> None:
    gallery.show(
        [
            gallery.Tile(
                one.channel,
                gallery.channel_source(scene.model.name, scene.weights, scene.layer.name, one),
                f"Made to excite channel {one.channel}",
                title=f"channel {one.channel}",
                selected=one.channel == channel,
            )
            for one in shipped
        ],
        key="channel-gallery",
        on_pick=lambda number: url.change({url.CHANNEL: number}),
        size=100,
        columns=12,
        label=f"Pictures made to excite channels of {scene.layer.name}",
    )
    st.caption(
        f"{len(shipped)} of its {scene.layer.channels:,} channels. Each picture was made by the network to excite one channel.",
        help=_HOW,
    )


def _channel_picker(channels: int, channel: int) -> None:
    key = "inspect-channel"
    st.session_state[key] = channel
    st.number_input(
        f"Channel (0 to {channels - 1:,})",
        0,
        channels - 1,
        key=key,
        on_change=lambda: url.change({url.CHANNEL: st.session_state[key]}),
        help="Any of the layer's channels, those without a shipped picture too.",
        width=180,
    )


def _made(scene: Scene, channel: int, shipped: Visualization | None) -> None:
    """The picture of the channel: shipped, or made here."""
    if shipped is not None:
        source = gallery.channel_source(scene.model.name, scene.weights, scene.layer.name, shipped)
        _large(scene, channel, source)
        st.caption(f"The channel answers it with up to {glossary.distance(shipped.activation)}.", help=_HOW)
        return
    key = ("visualize", scene.model.name, scene.weights, scene.layer.name, channel)
    job = jobs.get(key)
    if job is not None and job.state == "done":
        _large(scene, channel, region.data_url(Image.fromarray(job.result), _SIDE))
        st.caption("Made on this machine, and kept until the server ends.", help=_HOW)
        return
    if job is not None:
        job_progress.watch(job, "steps")
        if job.running:
            return
    if not _computable(scene):
        return
    st.markdown(
        "No picture of this channel ships. The network can make one here, in half a minute or some minutes, depending on the "
        "model and the layer."
    )
    st.button(
        "Make its picture",
        icon=":material/auto_awesome:",
        on_click=lambda: job_progress.start(
            key,
            f"A picture for channel {channel}",
            _visualize(scene.model, scene.weights, scene.layer.name, channel),
        ),
        help=f"{_HOW} You can go to other pages meanwhile.",
    )


def _large(scene: Scene, channel: int, source: str) -> None:
    gallery.show(
        [gallery.Tile(channel, source, f"A picture made to excite channel {channel} of {scene.layer.name}")],
        key="channel-large",
        size=280,
        columns=1,
        label="The picture of the channel",
    )


def _visualize(model: registry.Model, slug: str, layer: str, channel: int) -> Callable[[Job], np.ndarray]:
    def work(job: Job) -> np.ndarray:
        from core.features import visualize

        with _turn(job):
            job.stage("Starting TensorFlow and loading the model", 0)
            graph = shared_engine.engine().graph(model.name, slug)
            return visualize.visualize(graph, model, layer, [channel], job)[0]

    return work


@contextmanager
def _turn(job: Progress) -> Iterator[None]:
    """Only so many of these at a time, whatever many are asked for; one that waits can be cancelled."""
    while not _working.acquire(timeout=0.5):
        job.stage("Waiting until others are done", 0)
    try:
        yield
    finally:
        _working.release()


def _found(scene: Scene, channel: int) -> None:
    """The pictures of the dataset that excite the channel most."""
    st.header("What excites it in the data")
    if scene.dataset is None:
        st.info("There are no datasets here yet.", icon=":material/info:")
        return
    try:
        dataset = Grid().dataset(scene.dataset)
    except UserError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        return
    found = _exciting(scene, dataset, channel)
    if found is None:
        return
    if not found:
        st.info(
            f"No picture of {markdown.plain(dataset.title)} excites this channel: it stays at zero or below.",
            icon=":material/info:",
        )
        return
    gallery.show(
        [
            gallery.tile(
                dataset.item(one.item),
                title=dataset.item(one.item).name,
                rank=rank,
                lines=(f"activation {glossary.distance(one.value)}",),
                frame=one.box,
            )
            for rank, one in enumerate(found, 1)
        ],
        key="channel-found",
        on_pick=lambda item: _through(dataset, item),
        size=140,
        columns=5,
        label=f"Pictures of {dataset.title} that excite the channel most, the highest activation first",
    )
    st.caption(
        "The frame is the region around the highest activation where it is at least half of that. Click a picture to see "
        "what all channels of the layer answer to it.",
        help="The map of the channel is smoothed to the picture's size; the frame holds the connected area around its peak.",
    )


def _through(dataset: Dataset, item: int) -> None:
    """Send a picture of the dataset through the network, from a callback."""
    image_input.search_with(dataset.item(item))
    url.change({url.MODELS_PART: "picture", url.SHEET: None})


def _exciting(scene: Scene, dataset: Dataset, channel: int) -> list[TopImage] | None:
    """Stored, or computed here with progress; None while there is nothing to show yet."""
    about = (scene.model.name, scene.weights, scene.layer.name)
    found = channel_files.top_images(dataset, *about, channel, _MOST)
    if found is not None:
        return found
    key = ("exciting", dataset.fingerprint, *about)
    job = jobs.get(key)
    if job is not None and job.state == "done":
        from core.features import top_activating

        # Kept for all channels of the layer by the computation that is done, unless many others have come since.
        with st.spinner("Looking for them…"):
            return top_activating.top_images(dataset, *about, channel, _MOST)
    if job is not None:
        job_progress.watch(job, "pictures")
        if job.running:
            return None
    if not _computable(scene):
        return None

    def work(job: Progress) -> None:
        from core.features import top_activating

        with _turn(job):
            job.stage("Starting TensorFlow and loading the model", 0)
            top_activating.top_images(dataset, *about, channel, _MOST, job)

    st.markdown(
        f"Not computed yet for this layer. One pass over the {len(dataset):,} pictures answers it for all "
        f"{scene.layer.channels:,} channels."
    )
    st.button(
        "Find them",
        icon=":material/image_search:",
        on_click=lambda: job_progress.start(key, f"What excites {scene.layer.name} in {dataset.title}", work),
    )
    return None


def _computable(scene: Scene) -> bool:
    if not scene.choice.available:
        st.info(f"This takes the weights. {model_context.trained(scene.model)}", icon=":material/info:")
    return scene.choice.available
