"""The embeddings page on a collection: its images, or a sample of many, under the one layer that it has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from core import jobs
from core.collections import Collection, Hit
from core.collections import collection_projection as collection_layout
from core.collections.collection_projection import CollectionLayout
from core.errors import UserError
from core.models import registry
from core.search import shared_engine
from core.search.collection_source import CollectionSource
from core.server import projections
from core.server.projections import Stack
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.frontend.scatter import scatter
from dashboard.pages.embeddings import selection_panel as panel
from dashboard.url import Address
from dashboard.widgets import (
    glossary,
    job_progress,
    markdown,
    page_frame,
    palette,
    pickers,
    sources,
)
from dashboard.widgets.sources import Sample

_MOST_IMAGES = 2**31 - 1


def show(address: Address, names: Sequence[str], source: CollectionSource) -> None:
    """The page below its title."""
    st.markdown("Every point is a picture; those that the collection's layer takes for similar lie together.")
    collection, overview, name = source.collection, source, source.name
    method = address.choice(url.METHOD)
    dimensions = int(address.choice(url.DIMENSIONS))
    most = min(pickers.MAX_NEIGHBORS, len(overview))
    k = page_frame.number_of_neighbors(address, most)
    picked = address.number_or_none(url.IMAGE, 1, _MOST_IMAGES)
    with st.container(horizontal=True, vertical_alignment="bottom", key="pickers"):
        pickers.source(names, source)
        pickers.projection(method, dimensions)
    st.caption(sources.describe(source), width="stretch")
    notices = st.container()
    layout = collection_layout.read(collection, method, dimensions)
    if layout is None:
        _compute(collection, overview, method, dimensions)
    else:
        _layout(collection, overview, layout, method, picked, k, most)
    page_frame.tell(notices, address.notices, ())
    url.write(
        url.EMBEDDINGS,
        {
            url.COLLECTION: name,
            url.K: k,
            url.METHOD: method,
            url.DIMENSIONS: str(dimensions),
            url.IMAGE: picked,
        },
    )


def _compute(collection: Collection, overview: CollectionSource, method: str, dimensions: int) -> None:
    """Offer to lay the images out, and show how it goes."""
    about, title = overview.about, projections.METHODS[method]
    key = ("collection-layout", about.uuid, about.name, method, dimensions)
    job = jobs.get(key)
    if job is not None:
        job_progress.watch(job, "pictures")
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
        on_click=lambda: job_progress.start(
            key,
            f"{title} of {about.name}",
            lambda job: collection_layout.compute(collection, method, dimensions, job),
        ),
    )


def _layout(
    collection: Collection,
    overview: CollectionSource,
    layout: CollectionLayout,
    method: str,
    picked: int | None,
    k: int,
    most: int,
) -> None:
    sample = sources.laid_out(collection, layout)
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
        url.change({url.IMAGE: layout.ids[place]})

    with st.container(key="embeddings-main"):
        left, right = st.columns([62, 38], gap="medium")
        with left:
            _chart(sample, overview, layout, method, places.get(picked), links, selected, pick)
        with right:
            if panel.shows_selection(selected):
                panel.show_selected(
                    sample, overview._configuration, points, method, places.get(picked), selected, pick
                )
            else:
                pickers.neighbors(k, most)
                _picture(collection, row, hits, trouble, picked)


def _chart(
    sample: Sample,
    overview: CollectionSource,
    layout: CollectionLayout,
    method: str,
    picked: int | None,
    links: dict[int, bool],
    selected: np.ndarray,
    pick: Any,
) -> None:
    about = overview.about
    dimensions = layout.coordinates.shape[1]
    source, described = projections.collection_source(layout, about.name, method)
    text = f"{registry.MODELS[about.model].title if about.model in registry.MODELS else about.model} · {about.layer}"
    scatter.show(
        sample,
        scatter.Points(source, described, (gallery.address(f"collections/{about.name}/"), ""), dimensions),
        [scatter.Layer(about.layer, 1, text, layout.trustworthiness, layout.silhouette)],
        0,
        picked,
        links,
        selected,
        f"Scatter chart of {len(sample):,} pictures of the collection {about.name} in {len(sample.classes)} classes: "
        f"{projections.METHODS[method]} in {dimensions} dimensions of what {text} answers.",
        scatter.Events(
            layer=lambda name: None, picked=pick, selected=lambda places: panel.select(sample, places)
        ),
        key="scatter",
    )
    explained = [glossary.TRUSTWORTHINESS]
    if layout.silhouette is not None:
        explained.append(glossary.SILHOUETTE)
    elif sample.classes != (projections.UNLABELLED,):
        explained.append("The silhouette is known where every picture has a label.")
    st.caption(" ".join(explained))
    share = layout.parameters.get("explained_variance")
    if method == "pca" and isinstance(share, float):
        st.caption(f"PCA: {dimensions} components hold {glossary.percent(share)} of the variance.")
    if isinstance(reason := layout.parameters.get("fallback"), str):
        st.caption(markdown.plain(reason))


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
        st.warning(markdown.plain(trouble), icon=":material/warning:")
        return
    about, buttons = st.columns([2, 3], vertical_alignment="center")
    with about:
        gallery.show(
            [gallery.tile(CollectionSource(shared_engine.engine(), collection).item(row))],
            key="embeddings-picked",
            size=110,
            columns=1,
            label="The picture that was chosen",
        )
    with buttons:
        if st.button("Search with it", icon=":material/image_search:", key="open-live"):
            name = collection.about.name
            place = f"collection/{name}/{row.id}"
            url.open_page(url.YOUR_PICTURE, {url.COLLECTION: name, url.INPUT: place})
        st.button(
            "Clear",
            icon=":material/close:",
            on_click=lambda: url.change({url.IMAGE: None}),
            key="clear-picture",
        )
    marked = row.label is not None
    if marked:
        agree = sum(hit.label == row.label for hit in hits)
        st.markdown(f"**{agree} of the {len(hits)} nearest** have the same label.")
    source = CollectionSource(shared_engine.engine(), collection)
    gallery.show(
        [
            gallery.tile(
                source.item(hit),
                rank=rank,
                mark=palette.mark(hit.label == row.label) if marked else None,
                lines=(f"distance {glossary.distance(hit.distance)}",),
            )
            for rank, hit in enumerate(hits, 1)
        ],
        key="embeddings-neighbors",
        on_pick=lambda image: url.change({url.IMAGE: image}),
        size=110,
        label=f"The {len(hits)} nearest pictures, nearest first",
    )
    if marked:
        yes, no = palette.mark(True), palette.mark(False)
        st.caption(f"{yes.sign} {yes.words}, solid line  ·  {no.sign} {no.words}, dashed line")
