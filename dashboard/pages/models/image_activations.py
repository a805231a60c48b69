"""A picture through the network: what each channel of a layer answers at each place of it."""

import numpy as np
import streamlit as st
from PIL import Image

from core import jobs
from core.errors import JobsError, UserError
from core.experiments.store import Grid
from core.features import activations
from core.models import registry
from core.progress import Progress
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.frontend.region import region
from dashboard.pages.models import model_context
from dashboard.pages.models.model_context import Scene
from dashboard.widgets import heatmap, image_input, job_progress, markdown, pager
from dashboard.widgets.image_input import Picture

_PER_SHEET = 24
_LONGEST = 200
_OPACITY = 0.7
_LAST = "inspect-activation"


def show(scene: Scene) -> None:
    """This part of the page."""
    layer = scene.layer
    if not layer.spatial:
        st.info(
            f"{markdown.plain(layer.name)} has no positions: the whole picture has been pooled to one before it, so there are "
            "no maps to draw. Choose another layer above.",
            icon=":material/info:",
        )
        return
    dataset = None
    if scene.dataset is not None:
        try:
            dataset = Grid().dataset(scene.dataset)
        except UserError as error:
            st.error(markdown.plain(str(error)), icon=":material/error:")
    image_input.show(None if dataset is None else dataset.sample)
    picture = image_input.current()
    if picture is None:
        st.info(
            "No picture yet: bring one of your own, or begin with one of these.",
            icon=":material/add_photo_alternate:",
        )
        if dataset is not None:
            image_input.samples(dataset.sample)
        return
    _switch(picture)
    if not scene.choice.available:
        st.info(f"This takes the weights. {model_context.trained(scene.model)}", icon=":material/info:")
        return
    outer = st.container(horizontal=True, gap="medium", key="search")
    with outer.container(width=245, key="search-query"):
        st.header("The picture")
        gallery.show(
            [gallery.Tile(0, region.data_url(picture.image, 480), picture.name, title=picture.name)],
            key="inspect-shown",
            size=200,
            columns=1,
            label="The picture that goes through the network",
        )
    with outer.container(key="search-results"):
        st.header(f"What {markdown.plain(layer.name)} answers")
        _maps(scene, picture)


def _switch(picture: Picture) -> None:
    """Switch between the pictures that came in."""
    kept = image_input.pictures()
    if len(kept) > 1:
        st.session_state["inspect-picture"] = picture.key
        st.pills(
            "Picture",
            list(kept),
            format_func=lambda key: markdown.plain(kept[key].name[:40]),
            key="inspect-picture",
            on_change=lambda: image_input.choose(st.session_state["inspect-picture"] or picture.key),
        )


def _maps(scene: Scene, picture: Picture) -> None:
    layer = scene.layer
    try:
        loading = _loading(scene)
    except JobsError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        st.button("Try again")
        return
    if not loading.wait(0.3) or loading.state != "done":
        job_progress.watch(loading, cancel=False)
        if not loading.running:
            st.button("Try again", on_click=lambda: jobs.forget(_key(scene)))
        return
    try:
        activation = _activation(scene, picture)
    except UserError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        return
    sheets = -(-layer.channels // _PER_SHEET)
    sheet = scene.address.number(url.SHEET, 1, sheets, 1)
    scene.shown[url.SHEET] = sheet
    order = activations.strongest(activation, layer.channels)
    alone = scene.address.switch(url.ALONE)
    scene.shown[url.ALONE] = alone
    with st.container(horizontal=True, vertical_alignment="center"):
        if sheets > 1:
            pager.show(sheets, sheet, url.SHEET)
        st.session_state["inspect-alone"] = alone
        st.toggle(
            "Without the picture",
            key="inspect-alone",
            on_change=lambda: url.change({url.ALONE: st.session_state["inspect-alone"]}),
        )
    shown = order[(sheet - 1) * _PER_SHEET : sheet * _PER_SHEET]
    gallery.show(
        [
            gallery.Tile(
                channel,
                _map(picture, activation[:, :, channel], alone),
                f"Map of channel {channel}",
                title=f"channel {channel}",
                lines=(_extent(activation[:, :, channel]),),
                selected=channel == scene.channel,
            )
            for channel in shown
        ],
        key="maps",
        on_pick=lambda channel: url.change({url.MODELS_PART: "channels", url.CHANNEL: channel}),
        size=120,
        columns=6,
        label=f"Maps of the channels of {layer.name}, the strongest first, sheet {sheet} of {sheets}",
    )
    st.html(heatmap.legend("its weakest place", "its strongest place"))
    silent = int((activation.max(axis=(0, 1)) <= 0).sum())
    none = f" {silent:,} of them stay at zero or below everywhere." if silent else ""
    st.caption(
        f"All {layer.channels:,} channels by their highest activation, {layer.shape[0]} × {layer.shape[1]} places each; every "
        f"map has its own scale.{none} Click a map to see what else excites its channel."
    )


def _loading(scene: Scene) -> jobs.Job:
    """The network up to the layer, got ready in the background."""
    about = (scene.model.name, scene.weights, scene.layer.name)

    def work(job: Progress) -> None:
        job.stage("Starting TensorFlow and loading the model", 0)
        size = registry.get_model(about[0]).input_size
        activations.activation(Image.new("RGB", (size, size)), *about)

    # One that has failed stays so until the reader tries again: by itself it would fail again and again.
    return jobs.get(_key(scene)) or jobs.start(
        _key(scene), f"{scene.model.title} up to {scene.layer.name}", work
    )


def _key(scene: Scene) -> tuple[str, ...]:
    return ("activations", scene.model.name, scene.weights, scene.layer.name)


def _activation(scene: Scene, picture: Picture) -> np.ndarray:
    """The activation; the last one again when only what is shown of it changes."""
    asked = (picture.key, scene.model.name, scene.weights, scene.layer.name)
    last = st.session_state.get(_LAST)
    if last is None or last[0] != asked:
        last = st.session_state[_LAST] = (asked, activations.activation(picture.image, *asked[1:]))
    return last[1]


def _map(picture: Picture, values: np.ndarray, alone: bool) -> str:
    small = picture.image.copy()
    small.thumbnail((_LONGEST, _LONGEST))
    return region.data_url(heatmap.overlay(small, values, 1.0 if alone else _OPACITY), _LONGEST)


def _extent(values: np.ndarray) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"
