"""Removed pictures: bringing them back, or deleting them for good."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.collections import image_sources
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_images import collection_jobs
from dashboard.pages.your_images.browse_images import facts, short_name
from dashboard.pages.your_images.collection_context import Scene
from dashboard.widgets import markdown, read_only_notice

_PER_PAGE, _MOST_PATHS = 48, 10_000
_PICKED = "images-removed-picked"


def show(scene: Scene) -> None:
    """All removed pictures with what can be done about them, and those of which only the path is known."""
    info = scene.source.info
    if not info.removed:
        st.info("No picture was removed from this collection.", icon=":material/photo_library:")
        return
    st.caption(
        "Removed pictures are left out of everything, also when their folder is added again. Click one to restore it or to delete it for good. "
        "The files of removed uploads count toward the limit of uploads until they are deleted for good."
    )
    known = info.removed - info.removed_paths
    if known:
        _gallery(scene, known)
    if info.removed_paths:
        _paths(scene)


def _gallery(scene: Scene, count: int) -> None:
    busy = collection_jobs.changing(scene.name) is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{count:,} removed picture{'s' if count != 1 else ''}**")
        if st.button("Restore all", icon=":material/undo:", **read_only_notice.changing(busy)):
            _restore(scene, ())
        if st.button(
            "Delete all for good", icon=":material/delete_forever:", **read_only_notice.changing(busy)
        ):
            _confirm(scene, count)
    page, _ = scene.page(range(count), _PER_PAGE)
    gallery.show(
        [_tile(scene, image) for image in scene.collection.removed(len(page), page.start)],
        key="images-removed",
        on_pick=_pick,
        size=110,
        label=f"Removed pictures {page.start + 1:,} to {page.stop:,} of {count:,}",
    )
    image_id = st.session_state.pop(_PICKED, None)
    image = None if image_id is None else scene.collection.image(image_id)
    if image is not None:
        _details(scene, image, busy)


def _pick(image_id: int) -> None:
    st.session_state[_PICKED] = image_id


def _tile(scene: Scene, image: Any) -> gallery.Tile:
    lines = (image.label,) if image.label else ()
    return gallery.tile(scene.source.of_row(image), title=short_name(image), lines=lines)


@st.dialog("Removed picture")
def _details(scene: Scene, image: Any, busy: bool) -> None:
    gallery.show([_tile(scene, image)], key="images-removed-detail", size=240, columns=1, label="The picture")
    st.markdown(facts(scene, image))
    if image.reason:
        st.error(f"It could not be restored: {markdown.plain(image.reason)}.", icon=":material/error:")
    if image.faiss_id is None:
        st.caption("Restoring reads its file again, since its vector is no longer stored.")
    with st.container(horizontal=True):
        if st.button("Restore", type="primary", icon=":material/undo:", **read_only_notice.changing(busy)):
            _restore(scene, [image.path])
        if st.button(
            "Delete for good",
            icon=":material/delete_forever:",
            **read_only_notice.changing(
                busy, "Deletes an uploaded file, too; others stay where they are. This can't be undone."
            ),
        ):
            _purge(scene, [image.path])


@st.dialog("Delete removed pictures for good")
def _confirm(scene: Scene, count: int) -> None:
    st.markdown(
        f"This forgets **{count:,}** removed picture{'s' if count != 1 else ''}, deletes the files of uploads among them, and can't be undone. "
        "Pictures in folders of the server stay where they are, and stay removed."
    )
    if st.button(
        "Delete them", type="primary", icon=":material/delete_forever:", **read_only_notice.changing()
    ):
        _purge(scene, ())


def _restore(scene: Scene, paths: Sequence[str]) -> None:
    collection_jobs.change(scene.name, "Restoring", lambda opened, job: opened.restore(paths, progress=job))
    st.rerun()


def _purge(scene: Scene, paths: Sequence[str]) -> None:
    collection_jobs.change(
        scene.name, "Deleting for good", lambda opened, job: f"{opened.purge(paths):,} deleted."
    )
    st.rerun()


def _paths(scene: Scene) -> None:
    """Those that an older version removed, or that were deleted for good."""
    count = scene.source.info.removed_paths
    st.markdown(f"**{count:,}** known by path only")
    st.caption(
        "An older version removed them, or they were deleted for good. They can only be read again from where they came from: add that again "
        "with *Take in removed pictures, too*."
    )
    known = scene.source.info.sources
    paths = scene.collection.removed_paths(_MOST_PATHS)
    st.dataframe(
        pd.DataFrame({"file": [image_sources.told_path(path, {}, known) for path in paths]}), hide_index=True
    )
