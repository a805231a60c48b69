"""Looking after a collection: what can't be read, updating, checking, exporting, deleting."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from core.collections import Collection, ann_index, export, image_sources, labelled_dataset
from core.errors import UserError
from core.jobs import Job
from core.metrics import METRICS
from core.settings import settings
from dashboard import url
from dashboard.pages.your_images import collection_jobs
from dashboard.pages.your_images.collection_context import OWN, Scene
from dashboard.widgets import glossary, markdown, read_only_notice

_ASKED = "images-asked-to-delete"
_MOST_FAILURES = 10_000
_EXPORT = "export.parquet"


def failures(scene: Scene) -> None:
    """The files that can't be read, with the reasons."""
    if not scene.source.info.failures:
        st.success("Every file that was met could be read.", icon=":material/check_circle:")
        return
    known = scene.source.info.sources
    table = pd.DataFrame(
        [
            {"file": image_sources.told_path(row.path, row.metadata, known), "reason": row.reason}
            for row in scene.collection.images("failed", _MOST_FAILURES)
        ]
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{scene.source.info.failures:,}** can't be read. They are tried again when they are added again."
        )
        st.download_button(
            "Download the list (CSV)",
            lambda: table.to_csv(index=False).encode(),
            f"{scene.name}-unreadable.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.button(
            "Forget these",
            icon=":material/clear_all:",
            on_click=_forget,
            args=(scene,),
            **read_only_notice.changing(help="Clears this list; nothing else changes."),
        )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "file": st.column_config.TextColumn(width="medium"),
            "reason": st.column_config.TextColumn(width="large"),
        },
    )


def show(scene: Scene) -> None:
    """All that can be done to a collection."""
    _details(scene)
    busy = collection_jobs.changing(scene.name) is not None
    _update(scene, busy)
    _index(scene, busy)
    _verify(scene)
    _export(scene)
    st.subheader("Delete")
    st.caption(
        "Removes vectors, index, catalog, uploaded pictures and the experiments computed on it. Pictures in folders of the server stay."
    )
    st.button(
        "Delete this collection",
        icon=":material/delete:",
        on_click=ask,
        args=(scene.name,),
        **read_only_notice.changing(disabled=busy),
    )


def ask(name: str) -> None:
    """Ask whether a collection is really to be deleted."""
    st.session_state[_ASKED] = name


def confirm() -> None:
    """The question, if it was asked for."""
    if name := st.session_state.get(_ASKED):
        _confirm(name)


def _leave() -> None:
    st.session_state.pop(_ASKED, None)


@st.dialog("Delete a collection", on_dismiss=_leave)
def _confirm(name: str) -> None:
    st.markdown(
        f"This removes **{name}** with its vectors, uploaded pictures and the experiments computed on it, and can't be undone."
    )
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
            st.error(markdown.plain(str(error)), icon=":material/error:")
        else:
            collection_jobs.forget(name)
            _leave()
            url.change({url.IMAGES_VIEW: "all"} | dict.fromkeys((*OWN, url.IMAGES_PART, url.COLLECTION)))
            st.rerun()


def _details(scene: Scene) -> None:
    about, info = scene.source.about, scene.source.info
    facts = {
        "Model": f"{about.model}, {glossary.weights(about.weights)}",
        "Layer": f"{about.layer}, {about.pooling} pooling",
        "Vectors": f"{info.contents:,} of {about.dimensions:,} numbers as {about.dtype}, {glossary.size(info.vector_bytes)}",
        "Index": f"{scene.collection.state.kind} ({info.factory or 'none yet'}), {scene.source.metric} distance, "
        f"{info.index_rows:,} vectors in it, {glossary.size(info.index_bytes)}",
        "Catalog": about.catalog + (f", {glossary.size(info.catalog_bytes)}" if info.catalog_bytes else ""),
        "From": ", ".join(_named(path) for path in scene.source.info.sources) or "uploads only",
    }
    st.subheader("What it is")
    st.markdown("\n".join(f"- **{name}**: {markdown.plain(value)}" for name, value in facts.items()))


def _named(path: str) -> str:
    """A source without what lies above it."""
    return path if image_sources.is_url(path) else path.rstrip("/").rpartition("/")[2]


def _update(scene: Scene, busy: bool) -> None:
    st.subheader("Update")
    st.caption(
        "Looks again at the folders that pictures came from: takes in what is new or changed, forgets what is gone."
    )
    if st.button(
        "Update",
        icon=":material/sync:",
        **read_only_notice.changing(disabled=busy or not scene.source.info.sources),
    ):
        _change(scene, "Updating", lambda opened, job: opened.update(job))


def _index(scene: Scene, busy: bool) -> None:
    st.subheader("Index")
    dropped = scene.source.info.tombstones
    st.caption(
        "Makes the index anew, of another kind or with another distance if you like, without running the model again"
        + (
            f"; {dropped:,} vector{'s' if dropped != 1 else ''} of removed pictures will be dropped."
            if dropped
            else "."
        )
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = list(dict.fromkeys([scene.collection.state.kind, *ann_index.KINDS]))
        kind = st.selectbox(
            "Kind",
            kinds,
            format_func=lambda one: f"{one}: {ann_index.KINDS[one]}" if one in ann_index.KINDS else one,
            key=f"images-kind-{scene.name}",
            width=420,
        )
        metrics = list(METRICS)
        metric = st.selectbox(
            "Distance",
            metrics,
            metrics.index(scene.source.metric),
            key=f"images-distance-{scene.name}",
            help=glossary.METRIC,
            width=150,
        )
        pressed = st.button(
            "Make the index anew",
            icon=":material/build:",
            **read_only_notice.changing(disabled=busy or not scene.source.info.images),
        )
    if pressed:
        _change(scene, "Making the index", lambda opened, job: opened.optimize(kind, metric, job))


def _verify(scene: Scene) -> None:
    st.subheader("Check")
    st.caption("Reads every byte of vectors and index, and sees whether they agree with the catalog.")
    asked = ("images-verify", scene.source.about.uuid)
    if st.button("Check it", icon=":material/fact_check:"):
        st.session_state[asked] = st.session_state.get(asked, 0) + 1
    if asked not in st.session_state:
        return
    known = scene.source.info.sources

    def named(image: Any) -> str:
        # Visitors do not see where the server keeps its files.
        return image_sources.told_path(image.path, image.metadata, known)

    problems = collection_jobs.look(
        scene.source.about,
        "Checking",
        ("verify", scene.source.version, st.session_state[asked]),
        lambda job: scene.collection.verify(named),
    )
    if problems:
        st.error("\n".join(f"- {markdown.plain(problem)}" for problem in problems), icon=":material/error:")
    elif problems is not None:
        st.success("Catalog, vectors and index are whole and agree.", icon=":material/check_circle:")


def _export(scene: Scene) -> None:
    st.subheader("Export")
    st.caption(
        "Names, labels, metadata, hashes and vectors as one Parquet file, which pandas and most other tools read."
    )
    if not scene.source.info.images:
        return
    size = scene.source.info.vector_bytes
    if size > settings.MAX_EXPORT_BYTES:
        st.info(
            f"The vectors take {glossary.size(size)}, too much for a browser; "
            f"`playground collection export {scene.name} FILE.parquet` writes them on the server.",
            icon=":material/terminal:",
        )
        return
    asked = ("images-export", scene.source.about.uuid, scene.source.version)
    if st.button("Prepare the file", icon=":material/dataset:"):
        st.session_state[asked] = True
    if asked not in st.session_state:
        return
    made = collection_jobs.look(
        scene.source.about,
        "Exporting",
        ("export", scene.source.version),
        lambda job: _written(scene, job),
    )
    if made is not None:
        st.download_button(
            "Download the file (Parquet)",
            lambda: (scene.collection.folder / _EXPORT).read_bytes(),
            f"{scene.name}.parquet",
            "application/vnd.apache.parquet",
            icon=":material/download:",
            on_click="ignore",
        )


def _written(scene: Scene, job: Job) -> int:
    known = scene.source.info.sources
    # Where the files of the server lie is nobody's business.
    return export.write(
        scene.collection,
        scene.collection.folder / _EXPORT,
        job,
        lambda image: image_sources.told_path(image.path, image.metadata, known),
    )


def _forget(scene: Scene) -> None:
    try:
        scene.collection.forget_failures()
    except UserError as error:
        url.say(markdown.plain(str(error)))


def _change(scene: Scene, title: str, work: Callable[[Collection, Job], Any]) -> None:
    collection_jobs.change(scene.name, title, work)
    st.rerun()
