"""Manage a collection: unreadable files, update, index, check, export, deletion."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from core.collections import Collection, export, labelled_dataset
from core.collections.index import engines
from core.data import image_sources
from core.errors import UserError
from core.jobs import Job
from core.metrics import METRICS
from core.settings import settings
from dashboard import url
from dashboard.pages.your_images import index_comparison
from dashboard.pages.your_images.collection_context import (
    OWN,
    CollectionContext,
    download_csv,
)
from dashboard.widgets import collection_jobs, download_button, glossary, markdown, read_only_notice
from dashboard.widgets.error_box import show_error
from dashboard.widgets.glossary import plural

_TO_DELETE = "images-asked-to-delete"
_MOST_FAILURES = 10_000
_EXPORT = "export.parquet"


def failures(context: CollectionContext) -> None:
    """The files that can't be read, with the reasons."""
    if not context.source.info.failures:
        st.success("Every file could be read.", icon=":material/check_circle:")
        return
    table = pd.DataFrame(
        [
            {"file": context.public_path(row.path, row.metadata), "reason": row.reason}
            for row in context.collection.images("failed", _MOST_FAILURES)
        ]
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{plural(context.source.info.failures, 'file')}** can't be read. Adding the same source again tries again."
        )
        download_csv(lambda: table, f"{context.name}-unreadable.csv")
        st.button(
            "Clear this list",
            icon=":material/clear_all:",
            on_click=_forget,
            args=(context,),
            **read_only_notice.changing(help="Nothing else changes."),
        )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "file": st.column_config.TextColumn(width="medium"),
            "reason": st.column_config.TextColumn(width="large"),
        },
    )


def show(context: CollectionContext) -> None:
    """All that can be done to a collection."""
    _details(context)
    busy = collection_jobs.changing(context.name) is not None
    _update(context, busy)
    _index(context, busy)
    index_comparison.show(context, busy)
    _verify(context)
    _export(context)
    st.subheader("Delete")
    st.caption(
        "Deletes the collection with its uploaded images and experiments. Files in folders of the server stay."
    )
    delete_button(context.name, "Delete this collection", busy)


def delete_button(name: str, label: str, busy: bool = False) -> None:
    """A button that opens the confirmation of :func:`confirm`."""
    st.button(
        label,
        icon=":material/delete:",
        key=f"images-delete-{name}",
        on_click=st.session_state.update,
        args=({_TO_DELETE: name},),
        **read_only_notice.changing(disabled=busy),
    )


def confirm() -> None:
    """Ask whether a collection is to be deleted, if its button was pressed."""
    if name := st.session_state.get(_TO_DELETE):
        _confirm(name)


def _leave() -> None:
    st.session_state.pop(_TO_DELETE, None)


@st.dialog("Delete a collection", on_dismiss=_leave)
def _confirm(name: str) -> None:
    st.markdown(f"This deletes **{name}** with its uploaded images and experiments. It can't be undone.")
    typed = st.text_input(f"Type {name} to confirm", key="images-typed")
    if st.button(
        "Delete it",
        type="primary",
        icon=":material/delete:",
        **read_only_notice.changing(disabled=typed.strip() != name),
    ):
        try:
            labelled_dataset.delete(name)
        except UserError as error:
            show_error(error)
        else:
            collection_jobs.forget(name)
            _leave()
            url.change({url.IMAGES_VIEW: "all"} | dict.fromkeys((*OWN, url.IMAGES_PART, url.COLLECTION)))
            st.rerun()


def _details(context: CollectionContext) -> None:
    about, info = context.source.about, context.source.info
    facts = {
        "Model": f"{about.model}, {glossary.weights(about.weights)}",
        "Layer": f"{about.layer}, {about.pooling} pooling",
        "Vectors": f"{info.contents:,} of {about.dimensions:,} numbers as {about.dtype}, {glossary.size(info.vector_bytes)}",
        "Index": f"{context.source.engine}, {context.collection.state.kind} ({info.factory or 'none yet'}), {context.source.metric} distance, "
        f"{info.index_rows:,} vectors in it, {glossary.size(info.index_bytes)}",
        "Catalog": about.catalog + (f", {glossary.size(info.catalog_bytes)}" if info.catalog_bytes else ""),
        "Sources": ", ".join(map(_source_name, context.source.info.sources)) or "uploads only",
    }
    st.subheader("Details")
    st.markdown("\n".join(f"- **{name}**: {markdown.plain(value)}" for name, value in facts.items()))


def _source_name(path: str) -> str:
    """The name of a source without the folders above it."""
    return path if image_sources.is_url(path) else path.rstrip("/").rpartition("/")[2]


def _update(context: CollectionContext, busy: bool) -> None:
    st.subheader("Update")
    st.caption("Reads the sources again: adds new and changed images, and forgets deleted ones.")
    if st.button(
        "Update",
        icon=":material/sync:",
        **read_only_notice.changing(disabled=busy or not context.source.info.sources),
    ):
        _change(context, "Updating", lambda opened, job: opened.update(job))


def _index(context: CollectionContext, busy: bool) -> None:
    st.subheader("Index")
    unused = context.source.info.tombstones
    dropped = f", and drops {plural(unused, 'vector')} of removed images" if unused else ""
    st.caption(
        f"Builds the index again, of another kind or with another distance if you like{dropped}. The model is not needed."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        described = engines.get(context.source.engine).kinds
        kinds = list(dict.fromkeys([context.collection.state.kind, *described]))
        kind = st.selectbox(
            "Kind",
            kinds,
            format_func=lambda one: f"{one}: {described[one]}" if one in described else one,
            key=f"images-kind-{context.name}",
            width=540,
        )
        metrics = list(METRICS)
        metric = st.selectbox(
            "Distance",
            metrics,
            metrics.index(context.source.metric),
            key=f"images-distance-{context.name}",
            help=glossary.METRIC,
            width=150,
        )
        pressed = st.button(
            "Build the index again",
            icon=":material/build:",
            **read_only_notice.changing(disabled=busy or not context.source.info.images),
        )
    if pressed:
        _change(context, "Building the index", lambda opened, job: opened.optimize(kind, metric, job))


def _verify(context: CollectionContext) -> None:
    st.subheader("Check")
    st.caption("Reads all vectors and the index, and compares them with the catalog.")
    pressed = st.button("Check it", icon=":material/fact_check:")
    problems = collection_jobs.result_on_request(
        context.source.about,
        "verify",
        "Checking",
        pressed,
        context.source.version,
        lambda job: context.collection.verify(
            lambda image: context.public_path(image.path, image.metadata), job
        ),
    )
    if problems:
        st.error("\n".join(f"- {markdown.plain(problem)}" for problem in problems), icon=":material/error:")
    elif problems is not None:
        st.success("Catalog, vectors and index are complete and agree.", icon=":material/check_circle:")


def _export(context: CollectionContext) -> None:
    st.subheader("Export")
    st.caption("Names, labels, metadata, hashes and vectors in one Parquet file, for example for pandas.")
    if not context.source.info.images:
        return
    size = context.source.info.vector_bytes
    if size > settings.MAX_EXPORT_BYTES:
        st.info(
            f"The vectors take {glossary.size(size)}, too much for a browser; "
            f"`playground collection export {context.name} FILE.parquet` writes them on the server.",
            icon=":material/terminal:",
        )
        return
    key = f"images-export-{context.source.about.uuid}-{context.source.version}"
    if st.button("Prepare the file", icon=":material/dataset:"):
        st.session_state[key] = True
    if key not in st.session_state:
        return
    written = collection_jobs.result_of(
        context.source.about,
        "Exporting",
        ("export", context.source.version),
        lambda job: _write(context, job),
    )
    if written is not None:
        download_button.show(
            "Download the file (Parquet)",
            (context.collection.folder / _EXPORT).read_bytes,
            f"{context.name}.parquet",
        )


def _write(context: CollectionContext, job: Job) -> int:
    # Visitors must not learn where the server keeps its files.
    return export.write(
        context.collection,
        context.collection.folder / _EXPORT,
        job,
        lambda image: context.public_path(image.path, image.metadata),
    )


def _forget(context: CollectionContext) -> None:
    try:
        context.collection.forget_failures()
    except UserError as error:
        url.say(markdown.plain(str(error)))


def _change(context: CollectionContext, title: str, work: Callable[[Collection, Job], Any]) -> None:
    collection_jobs.change(context.name, title, work)
    st.rerun()
