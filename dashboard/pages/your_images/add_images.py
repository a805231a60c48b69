"""Add images to a collection: uploads, or a folder of the server."""

import secrets
from functools import partial
from pathlib import Path

import streamlit as st

from core.collections import add_preview, server_folders
from core.collections.add_preview import Preview
from core.collections.uploads import Upload
from core.data.folder_labels import NO_LABELS
from core.errors import UserError
from core.imaging import file_types
from core.settings import settings
from dashboard import url
from dashboard.pages.your_images.collection_context import CollectionContext
from dashboard.widgets import collection_jobs, glossary, markdown, pickers, read_only_notice
from dashboard.widgets.error_box import show_error
from dashboard.widgets.glossary import plural

# In the session: the folder of the server that is previewed, and a token, so that each preview is computed again.
_PREVIEWED = "images-looked-at"
_WAYS = {
    "files": "Images or a zip",
    "directory": "A folder of this computer",
    "server": "A folder of the server",
}


def show(context: CollectionContext) -> None:
    """The choice of a source; nothing while a change is running."""
    if collection_jobs.changing(context.name):
        st.info("You can add more when this has finished.", icon=":material/hourglass_top:")
        return
    usual = "server" if url.FOLDER in context.address.asked else "files"
    way = context.address.choice(url.WAY, list(_WAYS), usual, "uploads")
    context.shown[url.WAY] = way
    pickers.segments(
        "Where are your images?",
        _WAYS,
        way,
        lambda to: url.change({url.WAY: to, url.FOLDER: None}),
        "images-way",
    )
    if way == "server":
        _server(context)
    else:
        _upload(context, way == "directory")


def _upload(context: CollectionContext, directory: bool) -> None:
    # A new widget after each upload: the server then forgets the files, which are on its disk.
    number = st.session_state.setdefault("images-uploads", 0)
    suffixes = [suffix.removeprefix(".") for suffix in sorted(file_types.SUFFIXES)]
    sent = st.file_uploader(
        "The folder" if directory else "Images, or zip archives of images",
        type=suffixes if directory else [*suffixes, "zip"],
        accept_multiple_files="directory" if directory else True,
        key=f"images-sent-{directory}-{number}",
        **read_only_notice.changing(
            help="The names of folders become labels, also in a zip. You see the labels before anything is stored. Uploads stay on the "
            "server until you delete them permanently or delete the collection; until then they count toward its limit."
        ),
    )
    st.caption(
        f"Up to {settings.MAX_IMAGE_BYTES / 1e6:g} MB per image and {st.get_option('server.maxUploadSize')} MB per zip "
        f"({settings.MAX_ZIP_FILES:,} files, {glossary.size(settings.MAX_ZIP_BYTES)} unpacked); up to "
        f"{glossary.size(settings.MAX_UPLOAD_BYTES)} and {settings.MAX_UPLOAD_PICTURES:,} uploaded images per collection. "
        "Images that are stored already are not added twice."
    )
    if not sent:
        return
    uploads = [Upload(file.name, file) for file in sent]
    key = f"images-level-{directory}-{number}"
    level = st.session_state.get(key)
    try:
        preview = add_preview.of_uploads(uploads, level)
    except UserError as error:
        show_error(error)
        return
    _show(preview, key)
    size = glossary.size(sum(file.size for file in sent))
    restore = _restore_too(context)
    if st.button(
        f"Add {plural(len(sent), 'file')} ({size})",
        type="primary",
        icon=":material/add_photo_alternate:",
        **read_only_notice.changing(),
    ):
        if collection_jobs.change(
            context.name,
            "Adding your upload",
            lambda opened, job: opened.add_uploads(uploads, job, restore, label_level=level),
        ):
            st.session_state["images-uploads"] = number + 1
            url.change({url.IMAGES_PART: "pictures", url.WAY: None})
        st.rerun()


def _show(preview: Preview, key: str) -> None:
    """What would be stored, with a choice of the label level under a key of the session."""
    if preview.levels:
        names = {
            level: f"the folders at level {level}: {', '.join(some)}{' …' if len(some) >= add_preview.MOST_NAMED else ''}"
            for level, some in enumerate(preview.levels, 1)
        }
        options = [None, *names, NO_LABELS]
        if st.session_state.get(key) not in options:
            # Its folders are gone.
            st.session_state[key] = None
        st.selectbox(
            "Labels",
            options,
            format_func=lambda level: (
                "derived from the folders" if level is None else names.get(level, "none")
            ),
            key=key,
            help="Which folders name the labels; level 1 is the outermost. Names such as train and test are not taken as labels "
            "unless you choose them.",
        )
    facts = [plural(preview.pictures, "image")]
    if preview.labels:
        facts.append(plural(len(preview.labels), "label"))
    for count, what in (
        (preview.unlabelled, "without a label"),
        (preview.left_out, "left out (hidden or system)"),
        (preview.failed, "that can't be added"),
    ):
        if count:
            facts.append(f"{count:,} {what}")
    st.markdown(markdown.plain(f"{', '.join(facts)}. {preview.rule()}"))
    if preview.labels:
        st.dataframe(
            [
                {"Label": label.name, "Images": label.pictures, "Example": label.example}
                for label in preview.labels
            ],
            # The button that adds them is in view.
            height="auto" if len(preview.labels) <= 5 else 214,
        )


def _server(context: CollectionContext) -> None:
    if settings.IMAGE_ROOT is None:
        st.info(
            "The settings of this server allow no folder. `PLAYGROUND_IMAGE_ROOT=/path/to/images make run` allows one with its "
            "subfolders; the command `playground collection add` adds any folder.",
            icon=":material/folder_off:",
        )
        return
    wanted = context.address.text(url.FOLDER)
    try:
        here = server_folders.list_folder(wanted)
    except UserError as error:
        show_error(error)
        if wanted:
            st.button("Back to the top", on_click=partial(_go, ""))
        return
    context.shown[url.FOLDER] = here.relative
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Folder",
            ["", *here.folders],
            format_func=lambda name: name or "this one, or choose one in it",
            key=f"images-folder-{here.relative}",
            on_change=lambda: _into(here),
            disabled=not here.folders,
            width=300,
        )
        st.button(
            "Up",
            icon=":material/arrow_upward:",
            on_click=partial(_go, here.relative.rpartition("/")[0]),
            disabled=not here.relative,
        )
    place = " / ".join([Path(settings.IMAGE_ROOT).name or "/", *filter(None, here.relative.split("/"))])
    st.markdown(
        f"**{markdown.plain(place)}** has {plural(here.images, 'image')} and {plural(len(here.folders), 'folder')} directly in it"
        f"{'' if here.complete else ', and more that are not listed'}."
    )
    st.caption("Subfolders are added too. The files stay where they are; *Update* reads what changed.")
    st.button(
        "Preview this folder",
        icon=":material/visibility:",
        on_click=_preview,
        args=(here.path,),
        disabled=not (here.images or here.folders),
    )
    previewed, token = st.session_state.get(_PREVIEWED, ("", ""))
    if previewed == here.path:
        _previewed(context, here, token)


def _previewed(context: CollectionContext, here: server_folders.Folder, token: str) -> None:
    """What adding a folder would store, and the button that adds it."""
    key = f"images-level-{here.path}-{token}"
    level = st.session_state.get(key)
    preview = collection_jobs.result_of(
        context.source.about,
        "Reading the folder",
        ("preview", here.path, token, level),
        lambda job: context.collection.preview([here.path], job, label_level=level),
    )
    if preview is None:
        return
    _show(preview, key)
    restore = _restore_too(context)
    if st.button(
        f"Add {plural(preview.pictures, 'image')}",
        type="primary",
        icon=":material/create_new_folder:",
        **read_only_notice.changing(disabled=not preview.pictures),
    ):
        if collection_jobs.change(
            context.name,
            f"Adding the folder {Path(here.path).name}",
            lambda opened, job: opened.add([here.path], job, restore_removed=restore, label_level=level),
        ):
            st.session_state.pop(_PREVIEWED)
            url.change({url.IMAGES_PART: "pictures", url.WAY: None, url.FOLDER: None})
        st.rerun()


def _restore_too(context: CollectionContext) -> bool:
    """Whether to add images again that were removed."""
    if not context.source.info.removed:
        return False
    return st.checkbox(
        "Also add removed images",
        key=f"images-restore-{context.name}",
        help="Images that were removed from this collection are left out otherwise.",
    )


def _preview(path: str) -> None:
    st.session_state[_PREVIEWED] = path, secrets.token_hex(4)


def _into(here: server_folders.Folder) -> None:
    if name := st.session_state[f"images-folder-{here.relative}"]:
        _go(f"{here.relative}/{name}".lstrip("/"))


def _go(relative: str) -> None:
    url.change({url.FOLDER: relative})
