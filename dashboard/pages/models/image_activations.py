"""The section *Your image*: the activations of a layer for an image."""

import numpy as np
import streamlit as st
from PIL import Image

from core import jobs
from core.errors import JobsError, UserError
from core.features import activations
from core.imaging import transform
from core.progress import Progress
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.frontend.region import region
from dashboard.pages.models import model_context
from dashboard.pages.models.model_context import ModelContext
from dashboard.widgets import heatmap, image_input, job_progress, markdown, pager, pickers
from dashboard.widgets.error_box import show_error
from dashboard.widgets.image_input import QueryImage

_PER_SHEET = 24
_LONGEST = 200
_OPACITY = 0.7
_LAST = "inspect-activation"


def show(context: ModelContext) -> None:
    """Show the section."""
    layer = context.layer
    if not model_context.spatial(context, "there are no maps to draw"):
        return
    dataset = model_context.read_dataset(context)
    place = f"dataset/{context.dataset}"
    picture = image_input.current(context.address)
    # The others are kept while the network is loaded.
    context.shown |= context.address.as_asked((url.SHEET, url.ALONE))
    context.shown[url.INPUT] = picture.key if picture else None
    image_input.show_refused()
    sample = None if dataset is None else dataset.sample
    if picture is None:
        image_input.first(sample, place)
        return
    _switch(picture)
    if not model_context.computable(context):
        return
    outer = st.container(horizontal=True, gap="medium", key="search")
    with outer.container(width=245, key="search-query"):
        gallery.show(
            [gallery.Tile(0, region.data_url(picture.image, 480), picture.name, title=picture.name)],
            key="inspect-shown",
            size=200,
            columns=1,
            label="The image that goes through the network",
        )
        image_input.another(sample, place, picture)
    with outer.container(key="search-results"):
        st.header(f"Activations of {markdown.plain(layer.name)}")
        _maps(context, picture)


def _switch(picture: QueryImage) -> None:
    """Switch between the images of this session."""
    kept = image_input.pictures()
    if len(kept) > 1:
        st.pills(
            "Image",
            list(kept),
            **pickers.bind(
                "inspect-picture", picture.key, lambda key: image_input.choose(key or picture.key)
            ),
            format_func=lambda key: markdown.plain(kept[key].name[:40]),
        )


def _maps(context: ModelContext, picture: QueryImage) -> None:
    layer = context.layer
    try:
        loading = _loading(context)
    except JobsError as error:
        show_error(error)
        st.button("Try again")
        return
    if not loading.wait(0.3) or loading.state != "done":
        job_progress.watch(loading, cancel=False)
        if not loading.running:
            st.button("Try again", on_click=lambda: jobs.forget(("activations", *context.key)))
        return
    try:
        activation = _activation(context, picture)
    except UserError as error:
        show_error(error)
        return
    sheets = -(-layer.channels // _PER_SHEET)
    sheet = context.address.number(url.SHEET, 1, sheets, 1)
    context.shown[url.SHEET] = sheet
    order = activations.strongest(activation, layer.channels)
    alone = context.address.switch(url.ALONE)
    context.shown[url.ALONE] = alone
    with st.container(horizontal=True, vertical_alignment="center"):
        if sheets > 1:
            pager.show(sheets, sheet, url.SHEET)
        st.toggle("Without the image", **pickers.bind("inspect-alone", alone, url.ALONE))
    shown = order[(sheet - 1) * _PER_SHEET : sheet * _PER_SHEET]
    gallery.show(
        [
            gallery.Tile(
                channel,
                _map(picture, context.model.resample, activation[:, :, channel], alone),
                f"Activation of channel {channel}",
                title=f"channel {channel}",
                lines=(_extent(activation[:, :, channel]),),
                selected=channel == context.channel,
                fills=True,
            )
            for channel in shown
        ],
        key="maps",
        on_pick=lambda channel: url.change({url.MODELS_PART: "channels", url.CHANNEL: channel}),
        size=120,
        columns=6,
        label=f"Activations of the channels of {layer.name}, the strongest first, sheet {sheet} of {sheets}",
    )
    st.html(heatmap.legend("its weakest place", "its strongest place"))
    silent = int((activation.max(axis=(0, 1)) <= 0).sum())
    none = f" {silent:,} of them stay at zero or below everywhere." if silent else ""
    st.caption(
        f"All {layer.channels:,} channels by their highest activation, {layer.shape[0]} × {layer.shape[1]} places each; every "
        f"map has its own scale.{none} Click a map to see what its channel responds to."
    )


def _loading(context: ModelContext) -> jobs.Job:
    """The job that loads the network up to the layer."""

    def work(job: Progress) -> None:
        job.stage("Loading the model", 0)
        size = context.model.input_size
        activations.activation(Image.new("RGB", (size, size)), *context.key)

    # A failed job stays until the user retries it: started again in every run it would fail in each.
    key = ("activations", *context.key)
    return jobs.get(key) or jobs.start(key, f"{context.model.title} up to {context.layer.name}", work)


def _activation(context: ModelContext, picture: QueryImage) -> np.ndarray:
    """The activation; cached while only what is shown of it changes."""
    key = (picture.key + picture.content, *context.key)
    last = st.session_state.get(_LAST)
    if last is None or last[0] != key:
        last = st.session_state[_LAST] = (key, activations.activation(picture.image, *key[1:]))
    return last[1]


def _map(picture: QueryImage, resample: str, values: np.ndarray, alone: bool) -> str:
    # The network may see the middle of the image only.
    small = transform.crop(picture.image, transform.seen(picture.image, resample)).copy()
    small.thumbnail((_LONGEST, _LONGEST))
    return region.data_url(heatmap.overlay(small, values, 1.0 if alone else _OPACITY), _LONGEST)


def _extent(values: np.ndarray) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"
