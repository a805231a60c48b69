"""The embeddings page on a collection: its images, or a sample of many, under the one layer that it has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from core import jobs
from core.errors import UserError
from core.models import zoo
from core.search.collection import Collection, Hit, labelled
from core.search.collection import layout as collection_layout
from core.search.collection.layout import CollectionLayout
from dashboard.components import (
    collected,
    explain,
    gallery,
    layouts,
    opening,
    palette,
    pickers,
    progress,
    scatter,
    state,
)
from dashboard.components import points_panel as panel
from dashboard.components.collected import Overview, Sample
from dashboard.components.layouts import Stack
from dashboard.components.state import Address

_MOST_IMAGES = 2**31 - 1


def show(address: Address, names: Sequence[str], collection: Collection, overview: Overview) -> None:
    """The page below its title."""
    st.markdown("Every point is a picture; those that the collection's layer takes for similar lie together.")
    name = overview.about.name
    method = address.choice("method", tuple(layouts.METHODS), "umap", "projection")
    dimensions = 3 if address.choice("dimensions", ("2", "3"), "2", "number of dimensions") == "3" else 2
    most = min(pickers.MAX_NEIGHBORS, overview.images)
    k = opening.number_of_neighbors(address, most)
    picked = None
    if "image" in address.asked:
        picked = address.number("image", 1, _MOST_IMAGES, 1, "picture number")
    with st.container(horizontal=True, vertical_alignment="bottom", key="pickers"):
        pickers.dataset(names, labelled.PREFIX + name)
        pickers.projection(method, dimensions)
    st.caption(overview.describe(), width="stretch")
    notices = st.container()
    layout = collection_layout.read(collection, method, dimensions)
    if layout is None:
        _compute(collection, overview, method, dimensions)
    else:
        _layout(collection, overview, layout, method, picked, k, most)
    opening.tell(notices, address.notices, ())
    state.write(
        state.collection_params(name, k=k)
        | {
            "method": method if method != "umap" else None,
            "dimensions": dimensions if dimensions != 2 else None,
            "image": picked,
        }
    )


def _compute(collection: Collection, overview: Overview, method: str, dimensions: int) -> None:
    """Offer to lay the images out, and show how it goes."""
    about, title = overview.about, layouts.METHODS[method]
    key = ("collection-layout", about.uuid, about.name, method, dimensions)
    job = jobs.get(key)
    if job is not None:
        progress.watch(job, "pictures")
    if job is not None and job.running:
        return
    st.info(
        f"{title} of the collection as it is now has not been computed yet. It is kept with the collection, so that "
        "it is there at the next visit; meanwhile you may leave this page.",
        icon=":material/scatter_plot:",
    )
    st.button(
        f"Compute {title} in {dimensions} dimensions",
        icon=":material/play_arrow:",
        type="primary",
        key="compute-layout",
        on_click=lambda: progress.start(
            key,
            f"{title} of {about.name}",
            lambda job: collection_layout.compute(collection, method, dimensions, job),
        ),
    )


def _layout(
    collection: Collection,
    overview: Overview,
    layout: CollectionLayout,
    method: str,
    picked: int | None,
    k: int,
    most: int,
) -> None:
    sample = collected.laid_out(collection, layout)
    places = {image: place for place, image in enumerate(layout.ids)}
    hits, trouble = _near(collection, picked, k)
    row = None if picked is None else collection.image(picked)
    links = {places[hit.id]: row is not None and hit.label == row.label for hit in hits if hit.id in places}
    if len(sample) < layout.total:
        st.caption(
            f"These are {len(sample):,} of {layout.total:,} different pictures, drawn at random and always the same."
        )
    selected = panel.selection(sample)
    points = Stack(
        (overview.about.layer,),
        np.arange(len(sample)),
        layout.coordinates[None],
        (layout.trustworthiness,),
        (layout.silhouette,),
        (layout.parameters,),
    )

    def pick(place: int) -> None:
        panel.show_picture()
        state.change(image=layout.ids[place])

    with st.container(key="embeddings-main"):
        left, right = st.columns([62, 38], gap="medium")
        with left:
            _chart(sample, overview, layout, method, places.get(picked), links, selected, pick)
        with right:
            if panel.shows_selection(selected):
                panel.show_selected(
                    sample, overview.configuration, points, method, places.get(picked), selected, pick
                )
            else:
                pickers.neighbors(k, most)
                _picture(collection, row, hits, trouble, picked)


def _chart(
    sample: Sample,
    overview: Overview,
    layout: CollectionLayout,
    method: str,
    picked: int | None,
    links: dict[int, bool],
    selected: np.ndarray,
    pick: Any,
) -> None:
    about = overview.about
    dimensions = layout.coordinates.shape[1]
    source, described = layouts.collection_source(layout, about.name, method)
    text = f"{zoo.MODELS[about.model].title if about.model in zoo.MODELS else about.model} · {about.layer}"
    scatter.show(
        sample,
        scatter.Points(source, described, (gallery.address(f"collections/{about.name}/"), ""), dimensions),
        [scatter.Layer(about.layer, 1, text, layout.trustworthiness, layout.silhouette)],
        0,
        picked,
        links,
        selected,
        f"Scatter chart of {len(sample):,} pictures of the collection {about.name} in {len(sample.classes)} classes: "
        f"{layouts.METHODS[method]} in {dimensions} dimensions of what {text} answers.",
        scatter.Events(
            layer=lambda name: None, picked=pick, selected=lambda places: panel.select(sample, places)
        ),
        key="scatter",
    )
    explained = [explain.TRUSTWORTHINESS]
    if layout.silhouette is not None:
        explained.append(explain.SILHOUETTE)
    elif sample.classes != (layouts.UNLABELLED,):
        explained.append("The silhouette is known where every picture has a label.")
    st.caption(" ".join(explained))
    share = layout.parameters.get("explained_variance")
    if method == "pca" and isinstance(share, float):
        st.caption(f"PCA: {dimensions} components hold {explain.percent(share)} of the variance.")
    if isinstance(reason := layout.parameters.get("fallback"), str):
        st.caption(state.plain(reason))


def _near(collection: Collection, picked: int | None, k: int) -> tuple[list[Hit], str]:
    """What is nearest to the picture, or a sentence about why that can't be said."""
    if picked is None:
        return [], ""
    try:
        return collection.nearest_to(picked, k), ""
    except UserError as error:
        return [], str(error)


def _picture(collection: Collection, row: Any, hits: Sequence[Hit], trouble: str, picked: int | None) -> None:
    if picked is None:
        st.markdown("Click a point to see its picture and what is nearest to it.")
        return
    if row is None or trouble:
        st.warning(state.plain(trouble), icon=":material/warning:")
        return
    about, buttons = st.columns([2, 3], vertical_alignment="center")
    with about:
        gallery.show(
            [collected.tile(collection, row)],
            key="embeddings-picked",
            size=110,
            columns=1,
            label="The picture that was chosen",
        )
    with buttons:
        if st.button("Search with it", icon=":material/image_search:", key="open-live"):
            collected.search_with(collection, row)
            st.switch_page("views/live.py", query_params=state.collection_params(collection.about.name))
        st.button(
            "Clear", icon=":material/close:", on_click=lambda: state.change(image=None), key="clear-picture"
        )
    marked = row.label is not None
    if marked:
        agree = sum(hit.label == row.label for hit in hits)
        st.markdown(f"**{agree} of the {len(hits)} nearest** have the same label.")
    gallery.show(
        [
            collected.tile(
                collection,
                hit,
                rank=rank,
                mark=palette.mark(hit.label == row.label) if marked else None,
                lines=(f"distance {explain.distance(hit.distance)}",),
            )
            for rank, hit in enumerate(hits, 1)
        ],
        key="embeddings-neighbors",
        on_pick=lambda image: state.change(image=image),
        size=110,
        label=f"The {len(hits)} nearest pictures, nearest first",
    )
    if marked:
        yes, no = palette.mark(True), palette.mark(False)
        st.caption(f"{yes.sign} {yes.words}, solid line  ·  {no.sign} {no.words}, dashed line")
