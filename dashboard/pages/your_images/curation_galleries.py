"""What looks wrong in a collection: near-duplicates, outliers, labels that the neighbors contradict."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import pandas as pd
import streamlit as st

from core.collections import Collection, curation, image_sources
from core.collections.curation import Finding
from core.jobs import Job
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_images import collection_jobs
from dashboard.pages.your_images.browse_images import details, pick, short_name
from dashboard.pages.your_images.collection_context import Scene
from dashboard.widgets import glossary, markdown

_MOST, _MOST_GROUPS = 500, 1_000
_MOST_NAMED = 10
# This share of the pictures is shown as outliers, a page of them at least and _MOST at most.
_OUTLYING = 0.05
_PER_PAGE, _GROUPS_PER_PAGE, _PER_GROUP = 48, 8, 24
# Thresholds to choose from, as shares of the largest one.
_STEPS = 40
# A title and the lines below it.
_Words = tuple[str, tuple[str, ...]]


def duplicates(scene: Scene) -> None:
    """Groups of pictures that are nearly the same."""
    st.caption(
        "Pictures that are nearer to each other than the threshold, or connected by such ones. Files of the same content have the "
        "distance 0. Click a picture to see what is known of it, or to remove it."
    )
    if _too_few(scene):
        return
    threshold = _threshold(scene)
    groups = _found(
        scene,
        "Looking for near-duplicates",
        ("duplicates", threshold),
        lambda collection, job: curation.near_duplicates(collection, threshold, job)[:_MOST_GROUPS],
    )
    if groups is None:
        return
    if not groups:
        st.success(f"No two pictures are within {threshold:g} of each other.", icon=":material/check_circle:")
        return
    count = sum(map(len, groups))
    _head(
        f"**{len(groups):,} group{'s' if len(groups) > 1 else ''}**{' (the closest ones)' if len(groups) == _MOST_GROUPS else ''} "
        f"of {count:,} pictures in all.",
        f"{scene.name}-near-duplicates.csv",
        lambda: _table(
            scene,
            [one for group in groups for one in group],
            "distance",
            group=[n for n, group in enumerate(groups, 1) for _ in group],
        ),
    )
    shown, first = scene.page(groups, _GROUPS_PER_PAGE)
    for number, group in enumerate(shown, first + 1):
        more = f", the first {_PER_GROUP} of them here" if len(group) > _PER_GROUP else ""
        st.markdown(f"**Group {number:,}**: {len(group):,} pictures{more}")
        _gallery(
            scene,
            group[:_PER_GROUP],
            f"images-group-{number - first}",
            f"Group {number}",
            lambda one: _named(one, f"distance {glossary.distance(one.value)}"),
        )
    details(scene)


def outliers(scene: Scene) -> None:
    """Pictures that are far from all others."""
    neighbors = min(curation.NEIGHBORS, scene.source.info.images - 1)
    st.caption(
        f"The pictures with the largest mean distance to their {f'{neighbors} nearest neighbors' if neighbors > 1 else 'nearest neighbor'}, the farthest "
        "first: what does not belong here, is broken, or is of a kind that the collection has little of."
    )
    if _too_few(scene):
        return
    most = min(_MOST, max(_PER_PAGE, round(_OUTLYING * scene.source.info.images)))
    found = _found(
        scene,
        "Looking for outliers",
        ("outliers",),
        lambda collection, job: curation.outliers(collection, most, job),
    )
    if found is None:
        return
    _ranked(
        scene,
        found,
        "outliers",
        "mean distance",
        lambda one: _named(one, f"mean distance {glossary.distance(one.value)}"),
    )


def label_errors(scene: Scene) -> None:
    """Pictures whose neighbors have another label."""
    st.caption(
        "Pictures whose content is filed under several labels, then pictures most of whose nearest labelled neighbors have another label, the "
        f"clearest first. Up to {curation.NEIGHBORS} neighbors vote, in a small class only as many as it has other pictures. Below each picture is "
        "its label, then the suggested one. Some of these labels are right: a model that does not tell two classes apart errs too."
    )
    if len(scene.source.info.labels) < 2:
        st.info(
            "Label errors can be looked for when pictures have at least two labels: add a folder or a zip with one folder of pictures per "
            "class, or a list with a column of labels on the command line.",
            icon=":material/label_off:",
        )
        return
    found = _found(
        scene,
        "Looking for label errors",
        ("label errors",),
        lambda collection, job: curation.label_errors(collection, _MOST, job),
    )
    if found is None:
        return
    if found.too_small:
        st.caption(_too_small(found.too_small))
    if not found.found:
        st.success(
            "Every picture has the label of most of its neighbors, or of as many as any other.",
            icon=":material/check_circle:",
        )
        return
    _ranked(
        scene,
        found.found,
        "label-errors",
        "share of neighbors with another label",
        lambda one: (
            one.label or "",
            (
                f"{one.suggestion}?",
                f"{short_name(one)}, also filed under {one.suggestion}"
                if one.same_content
                else f"{glossary.percent(one.value)} of neighbors disagree",
            ),
        ),
    )


def _too_small(labels: Sequence[str]) -> str:
    named = ", ".join(markdown.quoted(label) for label in labels[:_MOST_NAMED])
    more = f" and {len(labels) - _MOST_NAMED:,} more" if len(labels) > _MOST_NAMED else ""
    return f"Too small to judge, with one picture each: {named}{more}."


def _too_few(scene: Scene) -> bool:
    few = scene.source.info.images < 2
    if few:
        st.info("There is nothing to compare before there are two pictures.", icon=":material/photo_library:")
    return few


def _found(scene: Scene, title: str, asked: tuple, work: Callable[[Collection, Job], Any]) -> Any:
    """What was found; computed once for each state of the collection."""
    return collection_jobs.look(
        scene.source.about,
        title,
        (scene.source.version, *asked),
        lambda job: work(scene.collection, job),
    )


def _threshold(scene: Scene) -> float:
    """The largest distance of near-duplicates, of a few that make sense for these vectors."""
    largest = _largest(scene.source.about.uuid, scene.source.version, scene.source.metric, scene.collection)
    place = scene.address.number(url.THRESHOLD, 0, _STEPS, _STEPS // 5)
    scene.shown[url.THRESHOLD] = place
    st.session_state["images-threshold"] = place
    st.select_slider(
        "Threshold",
        range(_STEPS + 1),
        format_func=lambda step: f"{largest * step / _STEPS:.3g}",
        key="images-threshold",
        on_change=lambda: url.change({url.THRESHOLD: st.session_state["images-threshold"], url.AT: None}),
        help="The largest distance at which two pictures count as nearly the same.",
        width=480,
    )
    return float(f"{largest * place / _STEPS:.4g}")


# Of the same collection the same: a threshold in the address means the same until the collection changes.
@st.cache_data(show_spinner=False, max_entries=64)
def _largest(uuid: str, version: int, metric: str, _collection: Collection) -> float:
    return 0.25 if metric == "cosine" else curation.usual_distance(_collection)


def _ranked(
    scene: Scene, found: Sequence[Finding], name: str, value: str, words: Callable[[Finding], _Words]
) -> None:
    most = " (the first ones)" if len(found) == _MOST else ""
    _head(
        f"**{len(found):,} picture{'s' if len(found) > 1 else ''}**{most}",
        f"{scene.name}-{name}.csv",
        lambda: _table(scene, found, value),
    )
    shown, first = scene.page(found, _PER_PAGE)
    _gallery(
        scene, shown, f"images-{name}", f"{name.replace('-', ' ')}, from {first + 1:,}", words, first + 1
    )
    details(scene)


def _head(sentence: str, file: str, table: Callable[[], pd.DataFrame]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(sentence)
        st.download_button(
            "Download the list (CSV)",
            lambda: table().to_csv(index=False).encode(),
            file,
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _named(one: Finding, line: str) -> _Words:
    return short_name(one), (*([one.label] if one.label else []), line)


def _gallery(
    scene: Scene,
    found: Sequence[Finding],
    key: str,
    label: str,
    words: Callable[[Finding], _Words],
    rank: int | None = None,
) -> None:
    tiles = []
    for place, one in enumerate(found):
        title, lines = words(one)
        number = None if rank is None else rank + place
        tiles.append(gallery.tile(scene.source.of_row(one), title=title, lines=lines, rank=number))
    gallery.show(tiles, key=key, on_pick=pick, size=130, label=label)


def _table(scene: Scene, found: Sequence[Finding], value: str, **others: list) -> pd.DataFrame:
    known = scene.source.info.sources
    rows = [
        {
            "id": one.id,
            "name": image_sources.told_path(one.path, one.metadata, known),
            "label": one.label,
            **({"suggested": one.suggestion} if one.suggestion else {}),
            value: one.value,
            "sha256": one.hash,
        }
        for one in islice(found, 100_000)
    ]
    return pd.DataFrame(
        {**{name: values[: len(rows)] for name, values in others.items()}, **pd.DataFrame(rows)}
    )
