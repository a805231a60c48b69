"""The images of a collection, and all that is known of one."""

from typing import Any

import streamlit as st

from core.data import image_sources
from core.errors import UserError
from core.imaging import servable_files
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_images.collection_context import CollectionContext
from dashboard.widgets import class_names, collection_jobs, glossary, markdown, read_only_notice
from dashboard.widgets.error_box import show_error
from dashboard.widgets.glossary import plural

_PER_PAGE = 48
_PICKED = "images-picked"
_RELABEL = "To change its label, move the file to another folder or edit its list. Then press *Update* under *Manage*."
_RELABEL_UPLOAD = "To change its label, send it again in a zip, in a folder named after the new label. Choose the level of that folder under *Labels*."
_MOST_LABELS, _LONGEST_LABEL, _MOST_FACTS = 12, 40, 20


def show(context: CollectionContext) -> None:
    """The labels, and a gallery of all images, page by page."""
    info = context.source.info
    if not info.images:
        if collection_jobs.changing(context.name) is None:
            st.info(
                "This collection has no images yet. Choose *Add* to bring some.",
                icon=":material/photo_library:",
            )
        return
    if info.labels:
        shown = list(info.labels)[:_MOST_LABELS]
        counted = [
            f"{markdown.plain(class_names.isolated(short))} ({info.labels[label]:,})"
            for label, short in zip(shown, class_names.apart(shown, _LONGEST_LABEL), strict=True)
        ]
        rest = len(info.labels) - len(shown)
        more = f" and {rest:,} more" if rest else ""
        st.caption(f"{plural(len(info.labels), 'label')}: {', '.join(counted)}{more}")
    page = context.page(info.images, _PER_PAGE)
    gallery.show(
        [context.tile(image) for image in context.collection.images(most=len(page), start=page.start)],
        key="images-gallery",
        on_pick=pick,
        size=110,
        label=f"Images {page.start + 1:,} to {page.stop:,} of {info.images:,}",
    )
    details(context)


def pick(image_id: int) -> None:
    """Show the details of an image in the next run."""
    st.session_state[_PICKED] = image_id


def details(context: CollectionContext) -> None:
    """The details of the picked image, if there is one."""
    image_id = st.session_state.pop(_PICKED, None)
    image = None if image_id is None else context.collection.image(image_id)
    if image is not None:
        _details(context, image)


def facts(context: CollectionContext, image: Any) -> str:
    """All that is known of an image, as a list in Markdown."""
    known = {"name": context.public_path(image.path, image.metadata)}
    known |= {key: value for key, value in image.metadata.items() if key != image_sources.NAME}
    known |= {"size": glossary.size(image.size or 0), "SHA-256": f"{image.hash or ''}"[:16]}
    return "\n".join(
        f"- **{markdown.plain(str(name)[:60])}**: {markdown.plain(str(value)[:500])}"
        for name, value in list(known.items())[:_MOST_FACTS]
        if value not in (None, "")
    )


@st.dialog("Image")
def _details(context: CollectionContext, image: Any) -> None:
    gallery.show([context.tile(image)], key="images-detail", size=240, columns=1, label="The image")
    st.markdown(facts(context, image))
    st.caption(_RELABEL_UPLOAD if servable_files.is_upload(image.path) else _RELABEL)
    if st.button(
        "Remove it from the collection",
        icon=":material/delete:",
        **read_only_notice.changing(help="You can restore it under *Removed*. Its file stays."),
    ):
        try:
            context.collection.remove([image.path])
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
