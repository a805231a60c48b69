"""Make a collection of the selected images, under the configuration that is shown."""

import zipfile
from collections.abc import Sequence
from pathlib import PurePath
from tempfile import TemporaryFile
from typing import IO

import streamlit as st

from core.collections import Collection
from core.collections.uploads import Upload
from core.data import folder_walker
from core.data.source import Source, SourceItem
from core.errors import UserError
from core.jobs import Job
from core.progress import Progress
from core.settings import settings
from dashboard import url
from dashboard.widgets import collection_jobs, read_only_notice
from dashboard.widgets.error_box import show_error
from dashboard.widgets.glossary import plural


def show(source: Source, items: Sequence[SourceItem]) -> None:
    """A button that asks for a name, creates the collection, and opens it while the images are added."""
    with st.popover("Make a collection", icon=":material/create_new_folder:", key="make-collection"):
        st.markdown(
            f"Copies {plural(len(items), 'image')} into a collection of their own, with their labels, under the same configuration."
        )
        name = st.text_input("Name", key="selection-name", max_chars=63, **read_only_notice.changing())
        if not st.button(
            "Create",
            type="primary",
            icon=":material/add:",
            key="create-from-selection",
            **read_only_notice.changing(),
        ):
            return
        named = name.strip().lower().replace(" ", "-")
        try:
            _create(source, items, named)
        except UserError as error:
            show_error(error)
            return
    url.open_page(url.YOUR_IMAGES, {url.COLLECTION: named, url.IMAGES_PART: "pictures"})


def _create(source: Source, items: Sequence[SourceItem], name: str) -> None:
    if not name:
        raise UserError("Give it a name.")
    if len(items) > settings.MAX_UPLOAD_PICTURES:
        raise UserError(
            f"A collection can have {settings.MAX_UPLOAD_PICTURES:,} copied images at most; select fewer than {len(items):,}."
        )
    parts = source.configuration
    Collection.create(
        name,
        model=parts["model"],
        layer=parts["layer"],
        pooling=parts["pooling"],
        weights=parts["weights"],
        metric=parts["metric"],
    ).close()

    def add(opened: Collection, job: Job) -> object:
        copying, adding = job.divide(1, 10)
        with TemporaryFile() as file:
            _pack(file, items, copying)
            return opened.add_uploads([Upload("selection.zip", file)], adding, label_level=1)

    collection_jobs.change(name, f"Copying {plural(len(items), 'selected image')}", add)


def _pack(file: IO[bytes], items: Sequence[SourceItem], progress: Progress) -> None:
    """The images as an archive with a folder for each label, whose name has no slash; those without a file are left out."""
    progress.stage("copying", len(items))
    with zipfile.ZipFile(file, "w") as archive:
        for item in items:
            try:
                path = item.file()
            except UserError as error:
                progress.say(f"{item.name} is left out: {error}")
            else:
                name = PurePath(item.title).name
                if not folder_walker.is_picture(name):
                    name = f"{name or item.id}{path.suffix or '.png'}"
                folder = (item.label or "").replace("/", "-").replace("\\", "-")
                archive.write(path, f"{folder}/{name}".lstrip("/"))
            progress.step()
