"""The live page on a collection: its configuration is given, what may be found can be narrowed."""

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.collections import Collection, image_sources, labelled_dataset
from core.imaging import decode as images
from core.models import weights
from core.search import query, shared_engine
from core.search.collection_source import CollectionSource
from core.search.query import Answer
from dashboard import url
from dashboard.frontend.gallery import gallery as galleries
from dashboard.pages.your_picture import query_panel, why_similar
from dashboard.pages.your_picture.query_panel import Question
from dashboard.url import Address
from dashboard.widgets import collection_view, glossary, image_input, markdown, page_frame, pickers, warmup
from dashboard.widgets.collection_view import Overview

_MOST_CONDITIONS, _LONGEST_CONDITION = 10, 200
_WHERE = (
    "Only pictures that fulfil all of these are found. A condition compares one of the metadata, `label` or `size` (in bytes) with "
    "a value: `price<20`, `year>=2010`, `taken>2023-05`, `camera!=X100`. Numbers are compared with numbers and dates with dates; pictures "
    "without the name are left out."
)


def show(address: Address, names: Sequence[str], collection: Collection, overview: Overview) -> None:
    """The page below its title."""
    name = overview.about.name
    most = min(pickers.MAX_NEIGHBORS, overview.images)
    k = page_frame.number_of_neighbors(address, most)
    label = address.choice(url.LABEL, ("", *overview.labels), shown="all labels")
    conditions = _conditions(address)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        pickers.dataset(names, labelled_dataset.PREFIX + name)
        if overview.labels:
            _label(overview, label)
        _where(conditions)
        pickers.neighbors(k, most)
    st.caption(overview.describe(), width="stretch")
    source = CollectionSource(shared_engine.engine(), collection, overview.info)
    loading = warmup.start(source)
    notices = st.container()
    image_input.show(lambda: _samples(collection))
    picture = image_input.current()
    if picture is None:
        st.info(
            "Nothing to search with yet: bring a picture of your own, or begin with one of these.",
            icon=":material/add_photo_alternate:",
        )
        _samples(collection)
    else:
        where = ([f"label={label}"] if label else []) + conditions
        answered = query_panel.show(
            picture,
            loading,
            overview.about.model,
            (overview.about.uuid, overview.version, k, *where),
            lambda question: query.search(source, picture.image, k, question.box, where),
            lambda question, answer: _results(collection, overview, question, answer, bool(where)),
        )
        if answered is not None and answered[1].neighbors:
            _more(collection, overview, k, where, *answered)
    page_frame.tell(notices, address.notices, ())
    url.write(url.YOUR_PICTURE, {url.COLLECTION: name, url.K: k, url.LABEL: label, url.WHERE: conditions})


def _conditions(address: Address) -> list[str]:
    """What the address asks for, a line each."""
    asked = [line.strip() for line in address.asked.get(url.WHERE, "").split(url.WHERE.separator)]
    usable = [line for line in dict.fromkeys(asked) if 0 < len(line) <= _LONGEST_CONDITION][:_MOST_CONDITIONS]
    if len(usable) < len({line for line in asked if line}):
        address.notices.append(
            f"Conditions may be {_MOST_CONDITIONS}, of at most {_LONGEST_CONDITION} characters each; the others are left out."
        )
    return usable


def _label(overview: Overview, shown: str) -> None:
    st.session_state["pick-label"] = shown
    st.selectbox(
        "Label",
        ("", *overview.labels),
        format_func=lambda label: f"{label} · {overview.labels[label]:,}" if label else "All labels",
        key="pick-label",
        on_change=lambda: url.change({url.LABEL: st.session_state["pick-label"]}),
        help="Only pictures with this label are found.",
        width=200,
    )


def _where(shown: Sequence[str]) -> None:
    st.session_state["pick-where"] = list(shown)
    st.multiselect(
        "Conditions",
        list(shown),
        key="pick-where",
        accept_new_options=True,
        max_selections=_MOST_CONDITIONS,
        placeholder="such as price<20",
        on_change=lambda: url.change({url.WHERE: st.session_state["pick-where"]}),
        help=_WHERE,
        width=300,
    )


def _samples(collection: Collection) -> None:
    images = {image.id: image for image in collection_view.sample(collection, image_input.SAMPLES)}
    image_input.samples(
        [
            collection_view.tile(collection, image, title=image_sources.title(image.path, image.metadata))
            for image in images.values()
        ],
        lambda image_id: collection_view.search_with(collection, images[image_id]),
    )


def _results(
    collection: Collection, overview: Overview, question: Question, answer: Answer, narrowed: bool
) -> None:
    hits = {one.item.id: one.item for one in answer.neighbors}
    st.header(f"The {len(hits)} nearest" if len(hits) > 1 else "The nearest")
    for note in answer.notes:
        st.caption(markdown.plain(note))
    if not hits:
        st.info(
            "No picture of the collection meets the conditions." if narrowed else "Nothing was found.",
            icon=":material/filter_alt_off:",
        )
        return
    if answer.votes:
        votes = " · ".join(f"**{markdown.plain(vote.label)}** {vote.count}" for vote in answer.votes)
        st.markdown(f"They vote: {votes}")
    tiles = [
        galleries.tile_of(
            one.item,
            rank=rank,
            lines=(
                *one.item.details,
                f"distance {glossary.distance(one.distance or 0.0)}",
                *([f"and {one.copies} more of the same content"] if one.copies else []),
            ),
        )
        for rank, one in enumerate(answer.neighbors, 1)
    ]
    galleries.show(
        tiles,
        key="live-results",
        on_pick=lambda item: image_input.search_with(hits[item]),
        columns=5,
        label="Pictures of the collection, nearest first",
        announce=f"{len(hits)} results for {question.picture.name}",
    )
    query_panel.times(question.picture, answer.features_ms, answer.search_ms)


def _more(
    collection: Collection,
    overview: Overview,
    k: int,
    where: Sequence[str],
    question: Question,
    answer: Answer,
) -> None:
    table = pd.DataFrame(
        [
            {
                "rank": rank,
                "id": one.item.id,
                "label": one.item.label,
                "path": one.item.facts["path"],
                "metadata": json.dumps(one.item.facts["metadata"], ensure_ascii=False),
                "distance": one.distance,
            }
            for rank, one in enumerate(answer.neighbors, 1)
        ]
    )
    st.download_button(
        "Download the results (CSV)",
        table.to_csv(index=False),
        "results.csv",
        "text/csv",
        icon=":material/download:",
    )
    parts = ["Why these?", "Use the API"]
    if st.session_state.get("live-part") not in parts:
        st.session_state["live-part"] = parts[0]
    part = st.segmented_control("More about this search", parts, key="live-part", required=True)
    if part == parts[1]:
        fields = {url.COLLECTION: overview.about.name, "k": str(k)}
        query_panel.snippet([*fields.items(), *(("where", one) for one in where)], question.box)
    elif overview.about.weights not in (weights.IMAGENET, weights.UNTRAINED):
        st.info(
            "The regions that made pictures similar can't be shown for weights of your own.",
            icon=":material/info:",
        )
    else:
        why_similar.show(
            [
                why_similar.Result(one.item.content, one.item.title, one.item.title, one.item.file)
                for one in answer.neighbors
            ],
            overview.configuration,
            images.crop(question.picture.image, question.box),
            question.key,
        )
