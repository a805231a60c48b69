"""Removed images: restore them, or delete them permanently."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.frontend.gallery import gallery
from dashboard.pages.your_images.browse_images import facts
from dashboard.pages.your_images.collection_context import CollectionContext
from dashboard.widgets import collection_jobs, markdown, read_only_notice
from dashboard.widgets.glossary import plural

_PER_PAGE, _MOST_PATHS = 48, 10_000
_PICKED = "images-removed-picked"


def show(context: CollectionContext) -> None:
    """A gallery of the removed images, and the paths of those that can't be restored."""
    info = context.source.info
    if not info.removed:
        st.info("No image was removed from this collection.", icon=":material/photo_library:")
        return
    st.caption(
        "Searches leave these images out, and adding their folder again does too. Click one to restore it or to delete it permanently. "
        "Removed uploads count toward the upload limit."
    )
    known = info.removed - info.removed_paths
    if known:
        _gallery(context, known)
    if info.removed_paths:
        _paths(context)


def _gallery(context: CollectionContext, count: int) -> None:
    busy = collection_jobs.changing(context.name) is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plural(count, 'removed image')}**")
        if st.button("Restore all", icon=":material/undo:", **read_only_notice.changing(busy)):
            _restore(context, ())
        if st.button(
            "Delete all permanently", icon=":material/delete_forever:", **read_only_notice.changing(busy)
        ):
            _confirm(context, count)
    page = context.page(count, _PER_PAGE)
    gallery.show(
        [context.tile(image) for image in context.collection.removed(len(page), page.start)],
        key="images-removed",
        on_pick=_pick,
        size=110,
        label=f"Removed images {page.start + 1:,} to {page.stop:,} of {count:,}",
    )
    image_id = st.session_state.pop(_PICKED, None)
    image = None if image_id is None else context.collection.image(image_id)
    if image is not None:
        _details(context, image, busy)


def _pick(image_id: int) -> None:
    st.session_state[_PICKED] = image_id


@st.dialog("Removed image")
def _details(context: CollectionContext, image: Any, busy: bool) -> None:
    gallery.show([context.tile(image)], key="images-removed-detail", size=240, columns=1, label="The image")
    st.markdown(facts(context, image))
    if image.reason:
        st.error(f"It could not be restored: {markdown.plain(image.reason)}.", icon=":material/error:")
    if image.faiss_id is None:
        st.caption("Restoring it reads its file again, since its vector is no longer stored.")
    with st.container(horizontal=True):
        if st.button("Restore", type="primary", icon=":material/undo:", **read_only_notice.changing(busy)):
            _restore(context, [image.path])
        if st.button(
            "Delete permanently",
            icon=":material/delete_forever:",
            **read_only_notice.changing(
                busy, "Also deletes the file of an upload; other files stay. This can't be undone."
            ),
        ):
            _purge(context, [image.path])


@st.dialog("Delete removed images permanently")
def _confirm(context: CollectionContext, count: int) -> None:
    st.markdown(
        f"This forgets **{plural(count, 'removed image')}** and deletes the files of uploads among them. It can't be undone. "
        "Files in folders of the server stay where they are, and stay removed."
    )
    if st.button(
        "Delete them", type="primary", icon=":material/delete_forever:", **read_only_notice.changing()
    ):
        _purge(context, ())


def _restore(context: CollectionContext, paths: Sequence[str]) -> None:
    collection_jobs.change(context.name, "Restoring", lambda opened, job: opened.restore(paths, progress=job))
    st.rerun()


def _purge(context: CollectionContext, paths: Sequence[str]) -> None:
    collection_jobs.change(
        context.name, "Deleting permanently", lambda opened, job: f"{opened.purge(paths):,} deleted."
    )
    st.rerun()


def _paths(context: CollectionContext) -> None:
    """The paths of images that were purged, or removed by an older version."""
    st.markdown(f"**{context.source.info.removed_paths:,}** known by path only")
    st.caption(
        "These were deleted permanently, or removed by an older version. To get one back, add that again where it came from, with "
        "*Also add removed images*."
    )
    paths = context.collection.removed_paths(_MOST_PATHS)
    st.dataframe(pd.DataFrame({"file": list(map(context.public_path, paths))}), hide_index=True)
