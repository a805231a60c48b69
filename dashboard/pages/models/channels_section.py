"""The section *Channels*: the feature visualization of a channel, and its top-activating images in a dataset."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import streamlit as st
from PIL import Image

from core import jobs
from core.data.datasets import Dataset
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
from dashboard.pages.models.model_context import ModelContext
from dashboard.widgets import glossary, job_progress, markdown, pickers

_working = threading.BoundedSemaphore(settings.LIVE_PASSES)
_MOST = 9
_SIDE = 330
_HOW = (
    "Gradient ascent changes noise step by step so that the activation of the channel grows, under small shifts and "
    "rotations: Olah, Mordvintsev and Schubert, Feature Visualization, 2017."
)


def show(context: ModelContext) -> None:
    """Show the section."""
    layer = context.layer
    if not model_context.spatial(context, "no region can activate it"):
        return
    shipped = channel_files.visualizations(*context.key)
    channel = context.channel
    if channel is None:
        channel = shipped[0].channel if shipped else 0
    context.shown[url.CHANNEL] = channel
    st.header(f"The channels of {markdown.plain(layer.name)}")
    if shipped:
        _visualizations(context, shipped, channel)
    elif context.model.build and not context.choice.control:
        st.caption(
            f"No feature visualizations ship for this layer. Choose any of its {layer.channels:,} channels below."
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _channel_picker(layer.channels, channel)
        model_context.dataset_picker(context)
    outer = st.container(horizontal=True, gap="medium", key="channel")
    with outer.container(width=_SIDE, key="channel-picture"):
        st.header(f"Channel {channel}")
        _visualization(context, channel, next((one for one in shipped if one.channel == channel), None))
    with outer.container(key="channel-exciting"):
        _top_images(context, channel)


def _visualizations(context: ModelContext, shipped: Sequence[Visualization], channel: int) -> None:
    gallery.show(
        [
            gallery.Tile(
                one.channel,
                gallery.channel_source(*context.key, one),
                f"Feature visualization of channel {one.channel}",
                title=f"channel {one.channel}",
                selected=one.channel == channel,
                fills=True,
            )
            for one in shipped
        ],
        key="channel-gallery",
        on_pick=lambda number: url.change({url.CHANNEL: number}),
        size=100,
        columns=12,
        label=f"Feature visualizations of channels of {context.layer.name}",
    )
    st.caption(
        f"{len(shipped)} of its {context.layer.channels:,} channels. Each feature visualization is optimized to activate one channel.",
        help=_HOW,
    )


def _channel_picker(channels: int, channel: int) -> None:
    st.number_input(
        f"Channel (0 to {channels - 1:,})",
        0,
        channels - 1,
        **pickers.bind("inspect-channel", channel, url.CHANNEL),
        help="Any channel of the layer, also without a shipped feature visualization.",
        width=180,
    )


def _visualization(context: ModelContext, channel: int, shipped: Visualization | None) -> None:
    """The feature visualization of the channel: shipped, or computed here."""
    if shipped is not None:
        _large(context, channel, gallery.channel_source(*context.key, shipped))
        st.caption(f"It activates the channel up to {glossary.distance(shipped.activation)}.", help=_HOW)
        return
    key = ("visualize", *context.key, channel)
    job = jobs.get(key)
    if job is not None and job.state == "done":
        _large(context, channel, region.data_url(Image.fromarray(job.result), _SIDE))
        st.caption("Computed on this machine, and kept until the server stops.", help=_HOW)
        return
    if job is not None:
        job_progress.watch(job, "steps")
        if job.running:
            return
    if context.model.build is None:
        st.info(
            f"{markdown.plain(context.model.title)} is an ONNX file. A feature visualization needs gradients, which an ONNX file does not "
            "have; the images that activate the channel most can be found.",
            icon=":material/info:",
        )
        return
    if not model_context.computable(context):
        return
    st.markdown(
        "No feature visualization of this channel ships. Computing it takes half a minute to some minutes, depending on the "
        "model and the layer."
    )
    st.button(
        "Visualize",
        icon=":material/auto_awesome:",
        on_click=lambda: job_progress.start(
            key,
            f"Feature visualization of channel {channel}",
            _visualize(*context.key, channel),
        ),
        help=f"{_HOW} You can use other pages meanwhile.",
    )


def _large(context: ModelContext, channel: int, source: str) -> None:
    gallery.show(
        [
            gallery.Tile(
                channel,
                source,
                f"Feature visualization of channel {channel} of {context.layer.name}",
                fills=True,
            )
        ],
        key="channel-large",
        size=280,
        columns=1,
        label="The feature visualization of the channel",
    )


def _visualize(model: str, slug: str, layer: str, channel: int) -> Callable[[Job], np.ndarray]:
    def work(job: Job) -> np.ndarray:
        from core.features import visualize

        with _turn(job):
            job.stage("Starting TensorFlow and loading the model", 0)
            graph = shared_engine.engine().graph(model, slug)
            return visualize.visualize(graph, registry.get_model(model), layer, [channel], job)[0]

    return work


@contextmanager
def _turn(job: Progress) -> Iterator[None]:
    """Limit how many of these run at a time; a job that waits can be canceled."""
    while not _working.acquire(timeout=0.5):
        job.stage("Waiting for other jobs", 0)
    try:
        yield
    finally:
        _working.release()


def _top_images(context: ModelContext, channel: int) -> None:
    """The top-activating images of the channel in the dataset."""
    st.header("Top-activating images")
    if context.dataset is None:
        st.info("There are no datasets here yet.", icon=":material/info:")
        return
    dataset = model_context.read_dataset(context)
    if dataset is None:
        return
    found = _stored_or_computed(context, dataset, channel)
    if found is None:
        return
    if not found:
        st.info(
            f"No image of {markdown.plain(dataset.title)} activates this channel: it stays at zero or below.",
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
        label=f"Top-activating images of {dataset.title}, the highest activation first",
    )
    st.caption(
        "The frame is the region around the highest activation where it is at least half of that. Click an image to see "
        "the activations of all channels of the layer.",
        help="The activation is interpolated to the image's size; the frame holds the connected area around its peak.",
    )


def _through(dataset: Dataset, item: int) -> None:
    """Send an image of the dataset through the network, from a callback."""
    place = f"dataset/{dataset.name}/{item}"
    url.change({url.MODELS_PART: "picture", url.SHEET: None, url.INPUT: place})


def _stored_or_computed(context: ModelContext, dataset: Dataset, channel: int) -> list[TopImage] | None:
    """Stored top-activating images, or a job that computes them; None while there are none to show."""
    found = channel_files.top_images(dataset, *context.key, channel, _MOST)
    if found is not None:
        return found
    key = ("exciting", dataset.fingerprint, *context.key)
    job = jobs.get(key)
    if job is not None and job.state == "done":
        from core.features import top_activating

        # The job has cached them for all channels of the layer, unless many others have come since.
        with st.spinner("Reading the images…"):
            return top_activating.top_images(dataset, *context.key, channel, _MOST)
    if job is not None:
        job_progress.watch(job, "images")
        if job.running:
            return None
    if not model_context.computable(context):
        return None

    def work(job: Progress) -> None:
        from core.features import top_activating

        with _turn(job):
            job.stage("Loading the model", 0)
            top_activating.top_images(dataset, *context.key, channel, _MOST, job)

    st.markdown(
        f"Not computed yet for this layer. One pass over the {len(dataset):,} images computes them for all "
        f"{context.layer.channels:,} channels."
    )
    st.button(
        "Compute",
        icon=":material/image_search:",
        on_click=lambda: job_progress.start(
            key, f"Top-activating images of {context.layer.name} in {dataset.title}", work
        ),
    )
    return None
