"""The page Your picture: a user's own image, and the images of a source nearest to it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.source import Capability, Source
from core.experiments.store import DatasetGrid, Grid, Summary
from core.imaging import transform
from core.models import registry, weights
from core.search import recommendation, shared_engine
from core.search.query import Answer, Vote
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.your_picture import conditions, place_in_projection, query_panel, why_similar
from dashboard.pages.your_picture.query_panel import Query
from dashboard.url import Address
from dashboard.widgets import (
    class_names,
    configuration_bar,
    configuration_name,
    download_button,
    glossary,
    image_input,
    markdown,
    page_frame,
    pickers,
    sources,
    warmup,
)
from dashboard.widgets.sources import GridSource

_MOST_VOTES, _LONGEST_LABEL = 5, 40
_ABOUT = {"why": "Which regions?", "place": "Where is it?", "api": "Use the API"}


def show() -> None:
    """The page from top to bottom."""
    page_frame.source_page(url.YOUR_PICTURE, partial(_page, page_frame.head("Your picture")), _choose)


def _choose(address: Address, grid: DatasetGrid) -> GridSource | str:
    """The experiment in the address, or the recommended one of those that an image can be searched under here."""
    found = _searchable(grid.key, grid)
    if found:
        keys = {(one.model, one.weights) for one in found}
        runs = {key: run for key, run in grid.runs.items() if key in keys}
        if why_not := _without_weights(address, grid):
            address.notices.append(why_not)
            # The recommended one instead, not another configuration of a model that can't be used.
            address = replace(
                address, asked={key: value for key, value in address.asked.items() if key not in url.PARTS}
            )
        return GridSource(
            replace(grid, summaries=found, runs=runs),
            address.configuration(found, default=lambda: _taken(grid, found)),
        )
    if all(one.weights == glossary.PUBLISHED for one in grid.summaries):
        return (
            "Of this dataset there are published results alone, without the vectors that a new image would be compared with. "
            f"This computes some: `playground grid run --dataset {grid.dataset.name} --model efficientnet-lite0`"
        )
    return "No model with weights on this machine has experiments on this dataset, so there is nothing to search under."


def _without_weights(address: Address, grid: DatasetGrid) -> str | None:
    """That the experiment in the address needs weights that are not here, in Markdown; None otherwise."""
    name, asked = address.asked.get(url.MODEL, ""), address.asked.get(url.WEIGHTS)
    if (name, asked) not in grid.runs or name not in registry.MODELS:
        return None
    model = registry.get_model(name)
    here, about = weights.availability(model)
    if here or asked != weights.trained(model):
        return None
    return f"No new image can be searched for with {markdown.plain(model.title)}, whose weights are not here. {markdown.plain(about)}"


# For a minute: installing a package with weights needs no new start.
@st.cache_data(show_spinner=False, ttl=60, max_entries=8)
def _searchable(key: str, _grid: DatasetGrid) -> tuple[Summary, ...]:
    return tuple(shared_engine.engine().searchable(_grid.dataset))


def _page(top: DeltaGenerator, address: Address, names: Sequence[str], source: Source) -> None:
    with top:
        pickers.source(names, source, hidden=True)
    notices = st.container()
    image_input.show_refused()
    several = sources.experiments(source)
    most = min(pickers.MAX_NEIGHBORS, len(source))
    k = page_frame.number_of_neighbors(address, most)
    shown = sources.entries(source) | {url.K: k}
    place = f"{source.url_key}/{source.name}"
    picture = image_input.current(address)
    loading = warmup.start(source)
    if picture is None:
        _, entries = _under(address, source, k, most)
        shown |= entries
        image_input.first(source.sample, place)
    else:
        query = Query(picture, address.region(url.CROP))
        # What is shown of the results is kept while they are computed.
        shown |= address.as_asked((url.ABOUT,)) | {url.INPUT: picture.key, url.CROP: query.box}
        with st.container(key="search"):
            with st.container(key="search-query"):
                query_panel.picture(source, query, place)
            with st.container(key="search-results"):
                where, entries = _under(address, source, k, most)
                shown |= entries
                answered = query_panel.answer(source, query, loading, k, where)
                if answered is not None:
                    _results(source, query, answered, bool(where))
        if answered is not None and answered.neighbors:
            shown[url.ABOUT] = _more(address, source, k, where, query, answered)
    page_frame.show_notices(notices, address.notices, several.grid.notices if several else ())
    url.write(url.YOUR_PICTURE, shown)


def _under(address: Address, source: Source, k: int, most: int) -> tuple[list[str], dict[url.Key, object]]:
    """What is searched under: a configuration to choose, or the one of a collection, with conditions; these, and entries of the address."""
    if several := sources.experiments(source):
        untrained = address.switch(url.SHOW_UNTRAINED)

        def more() -> None:
            pickers.neighbors(k, most)

        configuration_bar.show(several.grid, several.chosen, k, untrained, more=more)
        _recommended(several)
        return [], {url.SHOW_UNTRAINED: untrained}
    st.caption(sources.describe(source), width="stretch")
    where: list[str] = []
    entries: dict[url.Key, object] = {}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if Capability.CONDITIONS in source.capabilities:
            where, entries = conditions.show(address, source)
        pickers.neighbors(k, most)
    return where, entries


def _taken(grid: DatasetGrid, found: Sequence[Summary]) -> Summary:
    """What Home recommends, if it is among some experiments; the recommended one of those that work here otherwise, or the best."""
    whole = recommendation.of_dataset(Grid().load(grid.dataset.name))
    if whole is not None and whole in found:
        return whole
    recommended = shared_engine.engine().recommended(grid.dataset)
    return next((one for one in found if recommended and one.configuration == recommended.taken), found[0])


def _recommended(source: GridSource) -> None:
    """The way to the recommended configuration, where another one is shown."""
    taken = _taken(source.grid, source.grid.summaries)
    if source.chosen.configuration != taken.configuration:
        name = configuration_name.name(source.grid, None, taken)
        st.button(
            f"Recommended here: {markdown.plain(name)} ({taken.score_10:.1f} of 100)",
            icon=":material/recommend:",
            type="tertiary",
            key="live-recommended",
            help="The cheapest that can't be told from the best, of those that work on this machine without a download.",
            on_click=lambda: url.change(url.configuration(taken)),
        )


def _results(source: Source, asked: Query, answer: Answer, narrowed: bool) -> None:
    st.header(f"{len(answer.neighbors)} nearest")
    for note in answer.notes:
        st.caption(markdown.plain(note))
    if not answer.neighbors:
        st.info(
            "No image of the collection meets the conditions." if narrowed else "Nothing was found.",
            icon=":material/filter_alt_off:",
        )
        return
    if answer.votes:
        st.markdown(f"They vote: {_votes(answer.votes)}")
    with st.container(key=f"{gallery.amount(len(answer.neighbors))}-live-results"):
        gallery.show(
            [
                gallery.tile(
                    one.item,
                    rank=rank,
                    detail=(
                        *one.item.details,
                        *glossary.distance_lines(one.distance),
                        *([f"and {one.copies} more of the same content"] if one.copies else []),
                    ),
                )
                for rank, one in enumerate(answer.neighbors, 1)
            ],
            key="live-results",
            on_pick=lambda item: image_input.choose(f"{source.url_key}/{source.name}/{item}"),
            size=gallery.LARGE,
            narrow=gallery.LARGE_NARROW,
            columns=gallery.RESULTS,
            label=f"Images of the {source.url_key}, nearest first",
            announce=f"{len(answer.neighbors)} results for {asked.picture.name}",
        )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        query_panel.times(asked.picture, answer.features_ms, answer.search_ms)
        download_button.show(
            "Download the results (CSV)", lambda: download_button.csv(_table(answer)), "results.csv"
        )


def _votes(votes: Sequence[Vote]) -> str:
    """The labels with the most votes and their numbers, in Markdown."""
    shown = votes[:_MOST_VOTES]
    short = class_names.apart([vote.label for vote in shown], _LONGEST_LABEL)
    told = [
        f"**{markdown.plain(class_names.isolated(name))}** {vote.count}"
        for name, vote in zip(short, shown, strict=True)
    ]
    rest = len(votes) - len(shown)
    return " · ".join(told) + (f" and {rest} more" if rest else "")


def _more(
    address: Address, source: Source, k: int, where: Sequence[str], asked: Query, answer: Answer
) -> str:
    """What else there is about the results; the part that is shown."""
    placed = Capability.LAYER_PROJECTIONS in source.capabilities
    parts = [part for part in _ABOUT if placed or part != "place"]
    part = address.choice(url.ABOUT, parts, shown=_ABOUT["why"])
    titles = {one: _ABOUT[one] for one in parts}
    pickers.segments("More about this search", titles, part, url.ABOUT, "live-part")
    if part == "api":
        fields = [*source.params.items(), ("k", str(k)), *(("where", one) for one in where)]
        query_panel.snippet(fields, asked.box)
    elif part == "place":
        place_in_projection.show(source, answer)
    elif Capability.ACTIVATIONS in source.capabilities:
        items = [one.item for one in answer.neighbors]
        why_similar.show(source, items, transform.crop(asked.picture.image, asked.box), asked.key)
    else:
        st.info(
            "The regions that make images similar can't be shown for weights of your own.",
            icon=":material/info:",
        )
    return part


def _table(answer: Answer) -> pd.DataFrame:
    """The results with all that is known of them."""
    rows = []
    for rank, one in enumerate(answer.neighbors, 1):
        facts = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in one.item.facts.items()
        }
        about = {"rank": rank, "id": one.item.id, "label": one.item.label}
        rows.append({**about, **facts, "distance": one.distance})
    return pd.DataFrame(rows)


show()
