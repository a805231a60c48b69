"""The page *Your images*: create collections, add images, and manage them."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import collections
from core.errors import UserError
from core.models import registry
from core.models import weights as weights_
from core.search.collection_source import CollectionSource
from dashboard import url
from dashboard.pages.your_images import (
    add_images,
    browse_images,
    create_collection,
    curation_galleries,
    grid_section,
    manage,
    removed_images,
)
from dashboard.pages.your_images.collection_context import OWN, CollectionContext
from dashboard.url import Address
from dashboard.widgets import collection_jobs, glossary, job_progress, markdown, page_frame, pickers, sources
from dashboard.widgets.error_box import show_error
from dashboard.widgets.glossary import plural

# In the URL: all collections are listed, whichever the session showed last.
_ALL = "all"


@dataclass(frozen=True)
class _Part:
    title: str
    show: Callable[[CollectionContext], None]


_PARTS = {
    "pictures": _Part("Images", browse_images.show),
    "add": _Part("Add", add_images.show),
    "duplicates": _Part("Near-duplicates", curation_galleries.duplicates),
    "outliers": _Part("Outliers", curation_galleries.outliers),
    "labels": _Part("Label errors", curation_galleries.label_errors),
    "failures": _Part("Unreadable", manage.failures),
    "removed": _Part("Removed", removed_images.show),
    "grid": _Part("Compare models", lambda context: grid_section.show(context.name)),
    "manage": _Part("Manage", manage.show),
}


def show() -> None:
    """The page from top to bottom."""
    top = page_frame.head("Your images")
    address = url.read(url.YOUR_IMAGES)
    try:
        names = collections.names()
    except UserError as error:
        show_error(error)
        return
    notices = st.container()
    chosen = ""
    if address.choice(url.IMAGES_VIEW, (_ALL,), shown="one collection") != _ALL:
        chosen = address.choice(url.COLLECTION, names, shown="all of them")
    if chosen:
        _one(top, address, names, chosen)
    else:
        st.markdown(
            "Collections of your own images: search them, and find near-duplicates, outliers and label errors."
        )
        _list(names)
        create_collection.show(first=not names)
        url.write(url.YOUR_IMAGES, {url.IMAGES_VIEW: _ALL if names else None})
    page_frame.show_notices(notices, address.notices, ())


def _list(names: list[str]) -> None:
    if not names:
        st.info(
            "There is no collection yet. A collection holds your images as vectors of one model, so that you can search them with an "
            "image. Create one below and add images.",
            icon=":material/photo_library:",
        )
        return
    st.header("Collections")
    for name in names:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            try:
                source = sources.load(name)
            except UserError as error:
                with st.container(gap="xsmall", width="stretch"):
                    st.markdown(f"**{name}**")
                    show_error(error)
                manage.delete_button(name, "Delete")
                continue
            with st.container(gap=None, width="stretch"):
                st.markdown(f"**{name}**")
                st.caption(_facts(source))
                if job := collection_jobs.changing(name):
                    job_progress.watch_line(job)
            st.button("Open", key=f"images-open-{name}", on_click=_open, args=(name,))
    manage.confirm()


def _one(top: DeltaGenerator, address: Address, names: list[str], name: str) -> None:
    with top:
        _switch(names, name)
    try:
        source = sources.load(name)
    except UserError as error:
        show_error(error)
        manage.delete_button(name, "Delete this collection")
        manage.confirm()
        url.write(url.YOUR_IMAGES, {url.COLLECTION: name})
        return
    st.caption(_facts(source))
    _links(name, source)
    context = CollectionContext(address, source)
    busy = collection_jobs.changing(name) is not None
    first = "pictures" if source.info.images or busy else "add"
    part = address.choice(url.IMAGES_PART, list(_PARTS), first, _PARTS[first].title)
    collection_jobs.watch(name, source.info.images)
    titles = {one: _title(one, source) for one in _PARTS}
    pickers.sections({"Part": titles}, part, lambda to: _go({url.IMAGES_PART: to}), "images-part")
    try:
        _PARTS[part].show(context)
    except UserError as error:
        # Its storage disappeared after it was opened.
        show_error(error)
    manage.confirm()
    url.write(url.YOUR_IMAGES, {url.COLLECTION: name, url.IMAGES_PART: part} | context.shown)


def _switch(names: list[str], name: str) -> None:
    st.selectbox(
        "Collection",
        names,
        **pickers.bind("images-collection", name, _open),
        width=235,
        label_visibility="collapsed",
    )
    st.button(
        "All collections",
        icon=":material/list:",
        on_click=lambda: _go({url.IMAGES_VIEW: _ALL, url.IMAGES_PART: None, url.COLLECTION: None}),
    )


def _open(name: str) -> None:
    _go({url.IMAGES_VIEW: None, url.IMAGES_PART: None, url.COLLECTION: name})


def _go(values: dict[url.Key, object]) -> None:
    """Change to another view, without the URL keys of this one."""
    url.change(dict.fromkeys(OWN) | values)


def _links(name: str, source: CollectionSource) -> None:
    """Links to other pages that show the collection."""
    if not source.info.images:
        return
    with st.container(horizontal=True):
        for page, title, icon in (
            (url.YOUR_PICTURE, "Search it", ":material/image_search:"),
            (url.EMBEDDINGS, "See the map", ":material/scatter_plot:"),
        ):
            if st.button(title, icon=icon, key=f"images-to-{page.folder}"):
                url.open_page(page, {url.COLLECTION: name})


def _title(part: str, source: CollectionSource) -> str:
    count = {"failures": source.info.failures, "removed": source.info.removed}.get(part, 0)
    return _PARTS[part].title + (f" ({count:,})" if count else "")


def _facts(source: CollectionSource) -> str:
    about, info = source.about, source.info
    model = registry.MODELS[about.model].title if about.model in registry.MODELS else about.model
    weights = (
        ""
        if about.weights == weights_.IMAGENET or weights_.is_own(about.weights)
        else " (untrained)"
        if about.weights == url.UNTRAINED
        else " (own weights)"
    )
    parts = [
        plural(info.images, "image"),
        f"{model}{weights}, {about.layer}, {about.pooling}, {source.metric}",
    ]
    if info.labels:
        parts.append(plural(len(info.labels), "label"))
    if info.failures:
        parts.append(f"{info.failures:,} unreadable")
    if size := info.vector_bytes + info.index_bytes:
        parts.append(glossary.size(size))
    return markdown.plain(" · ".join(parts))


show()
