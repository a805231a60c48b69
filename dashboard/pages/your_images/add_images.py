"""Putting pictures into a collection: sent by the reader, or from a folder of the server."""

import secrets
from functools import partial
from pathlib import Path

import streamlit as st

from core.collections import add_preview, server_folders
from core.collections.add_preview import Preview
from core.collections.folder_labels import NO_LABELS
from core.collections.uploads import Upload
from core.errors import UserError
from core.imaging import decode
from core.settings import settings
from dashboard import url
from dashboard.pages.your_images import collection_jobs
from dashboard.pages.your_images.collection_context import Scene
from dashboard.widgets import glossary, markdown, read_only_notice

# In the session: the folder of the server that is looked at, and a token of that look, so that the next one is made anew.
_LOOKED_AT = "images-looked-at"
_WAYS = {
    "files": "Pictures or a zip",
    "directory": "A folder of this computer",
    "server": "A folder of the server",
}


def show(scene: Scene) -> None:
    """The ways in; none while a change is going on."""
    if collection_jobs.changing(scene.name):
        st.info("More can be added once this has ended.", icon=":material/hourglass_top:")
        return
    usual = "server" if url.FOLDER in scene.address.asked else "files"
    way = scene.address.choice(url.WAY, list(_WAYS), usual, "uploads")
    scene.shown[url.WAY] = way
    st.session_state["images-way"] = way
    st.segmented_control(
        "Where are your pictures?",
        list(_WAYS),
        format_func=_WAYS.get,
        key="images-way",
        required=True,
        on_change=lambda: url.change({url.WAY: st.session_state["images-way"], url.FOLDER: None}),
    )
    if way == "server":
        _server(scene)
    else:
        _upload(scene, way == "directory")


def _upload(scene: Scene, directory: bool) -> None:
    # A new one after each time: the server forgets what was sent once it is on its disk.
    made = st.session_state.setdefault("images-uploads", 0)
    suffixes = [suffix.removeprefix(".") for suffix in sorted(decode.SUFFIXES)]
    sent = st.file_uploader(
        "The folder" if directory else "Pictures, or zip archives of pictures",
        type=suffixes if directory else [*suffixes, "zip"],
        accept_multiple_files="directory" if directory else True,
        key=f"images-sent-{directory}-{made}",
        **read_only_notice.changing(
            help="Pictures in class-named folders, in a zip as well, are labelled with the folders' names; you see them before anything is stored."
        ),
    )
    st.caption(
        f"A picture may have {settings.MAX_IMAGE_BYTES / 1e6:g} MB, a zip {st.get_option('server.maxUploadSize')} MB with up to "
        f"{settings.MAX_ZIP_FILES:,} files in it, {glossary.size(settings.MAX_ZIP_BYTES)} unpacked. They are kept on the server until they are "
        "deleted for good or the collection is deleted. What is there already is not added twice. All uploads of a collection together, removed ones too, may have "
        f"{glossary.size(settings.MAX_UPLOAD_BYTES)} and {settings.MAX_UPLOAD_PICTURES:,} pictures."
    )
    if not sent:
        return
    uploads = [Upload(file.name, file) for file in sent]
    key = f"images-level-{directory}-{made}"
    level = st.session_state.get(key)
    try:
        seen = add_preview.of_uploads(uploads, level)
    except UserError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        return
    _show(seen, key)
    size = glossary.size(sum(file.size for file in sent))
    restore = _restore_too(scene)
    if st.button(
        f"Add {len(sent):,} file{'s' if len(sent) > 1 else ''} ({size})",
        type="primary",
        icon=":material/add_photo_alternate:",
        **read_only_notice.changing(),
    ):
        if collection_jobs.change(
            scene.name,
            "Adding what you sent",
            lambda opened, job: opened.add_uploads(uploads, job, restore, label_level=level),
        ):
            st.session_state["images-uploads"] = made + 1
            url.change({url.IMAGES_PART: "pictures", url.WAY: None})
        st.rerun()


def _show(seen: Preview, key: str) -> None:
    """What would be stored, with a choice of the folders that are the labels under a key of the session."""
    if seen.levels:
        names = {
            level: f"the folders at level {level}: {', '.join(some)}{' …' if len(some) >= add_preview.MOST_NAMED else ''}"
            for level, some in enumerate(seen.levels, 1)
        }
        options = [None, *names, NO_LABELS]
        if st.session_state.get(key) not in options:
            # The folders that it was chosen among are gone.
            st.session_state[key] = None
        st.selectbox(
            "Labels",
            options,
            format_func=lambda level: (
                "as found from the folders" if level is None else names.get(level, "none")
            ),
            key=key,
            help="Which folders name the labels of the pictures. Level 1 is the outermost; train, test and the like are no labels by themselves.",
        )
    facts = [f"{seen.pictures:,} picture{'s' if seen.pictures != 1 else ''}"]
    if seen.labels:
        facts.append(f"{len(seen.labels):,} label{'s' if len(seen.labels) != 1 else ''}")
    for count, what in (
        (seen.unlabelled, "without a label"),
        (seen.left_out, "left out (hidden or system)"),
        (seen.failed, "that can't be taken"),
    ):
        if count:
            facts.append(f"{count:,} {what}")
    st.markdown(markdown.plain(", ".join(facts) + ". " + seen.rule()))
    if seen.labels:
        st.dataframe(
            [
                {"Label": label.name, "Pictures": label.pictures, "For example": label.example}
                for label in seen.labels
            ],
            height="auto" if len(seen.labels) <= 8 else 320,
        )


def _server(scene: Scene) -> None:
    if settings.IMAGE_ROOT is None:
        st.info(
            "No folder of the server may be taken: its settings name none. `PLAYGROUND_IMAGE_ROOT=/path/to/pictures make run` allows "
            "that one with all that is below it; the command `playground collection add` takes any folder.",
            icon=":material/folder_off:",
        )
        return
    asked = scene.address.text(url.FOLDER)
    try:
        here = server_folders.look(asked)
    except UserError as error:
        st.error(markdown.plain(str(error)), icon=":material/error:")
        if asked:
            st.button("Back to the top", on_click=partial(_go, ""))
        return
    scene.shown[url.FOLDER] = here.relative
    top = Path(settings.IMAGE_ROOT).name or "/"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Folder",
            ["", *here.folders],
            format_func=lambda name: name or "this one, or go into …",
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
    place = " / ".join([top, *here.relative.split("/")] if here.relative else [top])
    pictures = f"{here.pictures:,} picture{'s' if here.pictures != 1 else ''}"
    folders = f"{len(here.folders):,} folder{'s' if len(here.folders) != 1 else ''}"
    st.markdown(
        f"**{markdown.plain(place)}** has {pictures} and {folders} directly in it"
        f"{'' if here.whole else ', and more that are not listed'}."
    )
    st.caption(
        "A folder is added with all that is below it. Its pictures stay where they are, and *Update* looks at them again."
    )
    st.button(
        "Look at this folder",
        icon=":material/visibility:",
        on_click=_look_at,
        args=(here.path,),
        disabled=not (here.pictures or here.folders),
    )
    looked_at, token = st.session_state.get(_LOOKED_AT, ("", ""))
    if looked_at == here.path:
        _looked_at(scene, here, token)


def _looked_at(scene: Scene, here: server_folders.Folder, token: str) -> None:
    """What adding a folder would store, and the button that does it."""
    key = f"images-level-{here.path}-{token}"
    level = st.session_state.get(key)
    seen = collection_jobs.look(
        scene.source.about,
        "Looking at the folder",
        ("preview", here.path, token, level),
        lambda job: scene.collection.preview([here.path], label_level=level),
    )
    if seen is None:
        return
    _show(seen, key)
    restore = _restore_too(scene)
    if st.button(
        f"Add {seen.pictures:,} picture{'s' if seen.pictures != 1 else ''}",
        type="primary",
        icon=":material/create_new_folder:",
        **read_only_notice.changing(disabled=not seen.pictures),
    ):
        if collection_jobs.change(
            scene.name,
            f"Adding the folder {Path(here.path).name}",
            lambda opened, job: opened.add([here.path], job, restore_removed=restore, label_level=level),
        ):
            st.session_state.pop(_LOOKED_AT)
            url.change({url.IMAGES_PART: "pictures", url.WAY: None, url.FOLDER: None})
        st.rerun()


def _restore_too(scene: Scene) -> bool:
    """Whether pictures that were removed before are to be taken in again."""
    if not scene.source.info.removed:
        return False
    return st.checkbox(
        "Take in removed pictures, too",
        key=f"images-restore-{scene.name}",
        help="Pictures that were removed from this collection are left out otherwise.",
    )


def _look_at(path: str) -> None:
    st.session_state[_LOOKED_AT] = path, secrets.token_hex(4)


def _into(here: server_folders.Folder) -> None:
    if name := st.session_state[f"images-folder-{here.relative}"]:
        _go(f"{here.relative}/{name}".lstrip("/"))


def _go(relative: str) -> None:
    url.change({url.FOLDER: relative})
