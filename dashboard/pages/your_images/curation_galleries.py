"""Sections that show near-duplicates, outliers and likely label errors."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import pandas as pd
import streamlit as st

from core.collections import Collection, curation
from core.collections.curation import Finding
from core.jobs import Job
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_images.browse_images import details, pick
from dashboard.pages.your_images.collection_context import (
    CollectionContext,
    download_csv,
    short_name,
)
from dashboard.widgets import collection_jobs, glossary, markdown, pickers
from dashboard.widgets.glossary import plural

_MOST, _MOST_GROUPS, _MOST_ROWS = 500, 1_000, 100_000
_MOST_NAMED = 10
# This share of the images is shown as outliers: at least one page, at most _MOST.
_OUTLYING = 0.05
_PER_PAGE, _GROUPS_PER_PAGE, _PER_GROUP = 48, 8, 24
# The number of thresholds to choose from.
_STEPS = 40
# A title and the lines below it.
_Words = tuple[str, tuple[str, ...]]


def duplicates(context: CollectionContext) -> None:
    """Groups of images that are nearly the same."""
    st.caption("Groups of images connected by distances up to the threshold. Click one for its details.")
    if _too_few(context):
        return
    threshold = _threshold(context)
    groups = _result(
        context,
        "Searching near-duplicates",
        ("duplicates", threshold),
        lambda collection, job: curation.near_duplicates(collection, threshold, job)[:_MOST_GROUPS],
    )
    if groups is None:
        return
    if not groups:
        st.success(f"No two images are within {threshold:g} of each other.", icon=":material/check_circle:")
        return
    some = " (the closest ones)" if len(groups) == _MOST_GROUPS else ""
    _head(
        f"**{plural(len(groups), 'group')}**{some} of {sum(map(len, groups)):,} images in all.",
        f"{context.name}-near-duplicates.csv",
        lambda: _table(
            context,
            [one for group in groups for one in group],
            "distance",
            group=[n for n, group in enumerate(groups, 1) for _ in group],
        ),
    )
    page = context.page(len(groups), _GROUPS_PER_PAGE)
    for place in page:
        group, number = groups[place], place + 1
        more = f", the first {_PER_GROUP} of them here" if len(group) > _PER_GROUP else ""
        st.markdown(f"**Group {number:,}**: {len(group):,} images{more}")
        _gallery(
            context,
            group[:_PER_GROUP],
            f"images-group-{place - page.start + 1}",
            f"Group {number}",
            lambda one: _named(one, f"distance {glossary.distance(one.value)}"),
        )
    details(context)


def outliers(context: CollectionContext) -> None:
    """Images that are far from all others."""
    if _too_few(context):
        return
    neighbors = plural(min(curation.NEIGHBORS, context.source.info.images - 1), "nearest neighbor")
    st.caption(f"The images with the largest mean distance to their {neighbors}.")
    most = min(_MOST, max(_PER_PAGE, round(_OUTLYING * context.source.info.images)))
    found = _result(
        context,
        "Searching outliers",
        ("outliers",),
        lambda collection, job: curation.outliers(collection, most, job),
    )
    if found is None:
        return
    _ranked(
        context,
        found,
        "outliers",
        "mean distance",
        lambda one: _named(one, f"distance {glossary.distance(one.value)}"),
    )


def label_errors(context: CollectionContext) -> None:
    """Images whose neighbors have another label."""
    st.caption(
        f"Images whose content has several labels, then images most of whose nearest labeled neighbors (up to {curation.NEIGHBORS}) "
        "have another label. Each shows its label, then the suggested one. Some of these labels are right. Click one to see how its label "
        "is changed.",
    )
    if len(context.source.info.labels) < 2:
        st.info(
            "This needs images with at least two labels: add a folder or a zip with one folder per class, or a list with a column "
            "of labels on the command line.",
            icon=":material/label_off:",
        )
        return
    found = _result(
        context,
        "Searching label errors",
        ("label errors",),
        lambda collection, job: curation.label_errors(collection, _MOST, job),
    )
    if found is None:
        return
    if found.too_small:
        names = ", ".join(markdown.quoted(label) for label in found.too_small[:_MOST_NAMED])
        more = len(found.too_small) - _MOST_NAMED
        st.caption(
            f"Too small to judge, with one image each: {names}{f' and {more:,} more' if more > 0 else ''}."
        )
    if not found.found:
        st.success(
            "No image has another label than most of its neighbors.",
            icon=":material/check_circle:",
        )
        return
    _ranked(
        context,
        found.found,
        "label-errors",
        "share of neighbors with another label",
        lambda one: (
            one.label or "",
            (
                f"{one.suggestion}?",
                f"{short_name(one)}, also labeled {one.suggestion}"
                if one.same_content
                else f"{glossary.percent(one.value)} disagree",
            ),
        ),
    )


def _too_few(context: CollectionContext) -> bool:
    few = context.source.info.images < 2
    if few:
        st.info("This needs at least two images.", icon=":material/photo_library:")
    return few


def _result(
    context: CollectionContext,
    title: str,
    query: tuple[Any, ...],
    work: Callable[[Collection, Job], Any],
) -> Any:
    """The result of a computation, done once for each state of the collection; None until then."""
    return collection_jobs.result_of(
        context.source.about,
        title,
        (context.source.version, *query),
        lambda job: work(context.collection, job),
    )


def _threshold(context: CollectionContext) -> float:
    """The largest distance of near-duplicates, chosen on a scale for these vectors."""
    source = context.source
    largest = _largest(source.about.uuid, source.version, source.metric, context.collection)
    place = context.address.number(url.THRESHOLD, 0, _STEPS, _STEPS // 5)
    context.shown[url.THRESHOLD] = place
    st.select_slider(
        "Threshold",
        range(_STEPS + 1),
        **pickers.bind("images-threshold", place, lambda to: url.change({url.THRESHOLD: to, url.AT: None})),
        format_func=lambda step: f"{largest * step / _STEPS:.3g}",
        help="The largest distance between two images that count as nearly the same. Files with the same content have distance 0.",
        width=480,
    )
    return float(f"{largest * place / _STEPS:.4g}")


# Cached, so that a threshold in the URL means the same until the collection changes.
@st.cache_data(show_spinner=False, max_entries=64)
def _largest(uuid: str, version: int, metric: str, _collection: Collection) -> float:
    return 0.25 if metric == "cosine" else curation.usual_distance(_collection)


def _ranked(
    context: CollectionContext,
    found: Sequence[Finding],
    name: str,
    value: str,
    words: Callable[[Finding], _Words],
) -> None:
    most = " (the first ones)" if len(found) == _MOST else ""
    _head(
        f"**{plural(len(found), 'image')}**{most}",
        f"{context.name}-{name}.csv",
        lambda: _table(context, found, value),
    )
    page = context.page(len(found), _PER_PAGE)
    first = page.start + 1
    label = f"{name.replace('-', ' ')}, from {first:,}"
    _gallery(context, found[page.start : page.stop], f"images-{name}", label, words, first)
    details(context)


def _head(sentence: str, file: str, table: Callable[[], pd.DataFrame]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(sentence)
        download_csv(table, file)


def _named(one: Finding, line: str) -> _Words:
    return short_name(one), (*([one.label] if one.label else []), line)


def _gallery(
    context: CollectionContext,
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
        tiles.append(gallery.tile(context.source.of_row(one), title=title, lines=lines, rank=number))
    gallery.show(tiles, key=key, on_pick=pick, size=130, label=label)


def _table(
    context: CollectionContext, found: Sequence[Finding], value: str, **others: list[int]
) -> pd.DataFrame:
    rows = [
        {
            "id": one.id,
            "name": context.public_path(one.path, one.metadata),
            "label": one.label,
            **({"suggested": one.suggestion} if one.suggestion else {}),
            value: one.value,
            "sha256": one.hash,
        }
        for one in islice(found, _MOST_ROWS)
    ]
    return pd.DataFrame(
        {**{name: values[: len(rows)] for name, values in others.items()}, **pd.DataFrame(rows)}
    )
