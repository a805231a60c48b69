"""What is in a collection, and what is known of a picture."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.collections import image_sources
from core.errors import UserError
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_images import collection_jobs
from dashboard.pages.your_images.collection_context import Scene
from dashboard.widgets import glossary, markdown, read_only_notice

_PER_PAGE = 48
_PICKED = "images-picked"
_MOST_LABELS, _MOST_FACTS = 30, 20


def show(scene: Scene) -> None:
    """A gallery of all pictures, page by page, and their labels."""
    info = scene.source.info
    if not info.images:
        if collection_jobs.changing(scene.name) is None:
            st.info(
                "No pictures are in this collection yet; *Add* puts some in.", icon=":material/photo_library:"
            )
        return
    if info.labels:
        told = [
            f"{markdown.plain(label)} ({count:,})"
            for label, count in list(info.labels.items())[:_MOST_LABELS]
        ]
        more = len(info.labels) - len(told)
        st.caption(f"Labels: {', '.join(told)}{f' and {more:,} more' if more else ''}")
    rows = range(info.images)
    page, _ = scene.page(rows, _PER_PAGE)
    images = scene.collection.images(most=len(page), start=page.start)
    gallery.show(
        [_tile(scene, image) for image in images],
        key="images-gallery",
        on_pick=pick,
        size=110,
        label=f"Pictures {page.start + 1:,} to {page.stop:,} of {info.images:,}",
    )
    details(scene)


def pick(image_id: int) -> None:
    """Show what is known of a picture in the next run."""
    st.session_state[_PICKED] = image_id


def details(scene: Scene) -> None:
    """What is known of the picture that was picked, if one was."""
    image_id = st.session_state.pop(_PICKED, None)
    image = None if image_id is None else scene.collection.image(image_id)
    if image is not None:
        _details(scene, image)


def _tile(scene: Scene, image: Any) -> gallery.Tile:
    lines = (image.label,) if image.label else ()
    return gallery.tile(scene.source.of_row(image), title=short_name(image), lines=lines)


def short_name(image: Any) -> str:
    """What a picture is called, without folders and suffix."""
    return Path(image_sources.title(image.path, image.metadata)).stem


def facts(scene: Scene, image: Any) -> str:
    """What is known of a picture, as a list in Markdown."""
    known = {"name": image_sources.told_path(image.path, image.metadata, scene.source.info.sources)}
    known |= {key: value for key, value in image.metadata.items() if key != image_sources.NAME}
    known |= {"size": glossary.size(image.size or 0), "SHA-256": f"{image.hash or ''}"[:16]}
    return "\n".join(
        f"- **{markdown.plain(str(name)[:60])}**: {markdown.plain(str(value)[:500])}"
        for name, value in list(known.items())[:_MOST_FACTS]
        if value not in (None, "")
    )


@st.dialog("Picture")
def _details(scene: Scene, image: Any) -> None:
    gallery.show([_tile(scene, image)], key="images-detail", size=240, columns=1, label="The picture")
    st.markdown(facts(scene, image))
    if st.button(
        "Remove it from the collection",
        icon=":material/delete:",
        **read_only_notice.changing(
            help="*Removed* lists it from then on, and can restore it. Its file stays."
        ),
    ):
        try:
            scene.collection.remove([image.path])
        except UserError as error:
            st.error(markdown.plain(str(error)), icon=":material/error:")
        else:
            st.rerun()
