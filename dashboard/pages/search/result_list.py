"""The neighbors of the query under one configuration: a line for each, the rest on hover and focus, and all of it as a table."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from html import escape

import streamlit as st

from core.errors import GridError
from core.evaluation import scoring
from core.evaluation.calibration import Share
from core.experiments.query_scores import Evaluation, evaluate
from core.experiments.store import DatasetGrid, Summary
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.widgets import class_names, glossary, markdown, palette

# A class is named beside all of them where its share differs by more than this.
_NOTABLE = 0.1
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Dots:
    """Which neighbors have a dot, by id, and what it means."""

    ids: Set[int] = frozenset()
    words: str = ""


@dataclass(frozen=True)
class Results:
    """The neighbors of an image under one configuration.

    found : None where the experiment can't be read, as ``trouble`` says; row : of the query in it, None where it has no neighbors.
    """

    grid: DatasetGrid
    chosen: Summary
    k: int
    query: int
    found: Evaluation | None
    trouble: str = ""

    @property
    def row(self) -> int | None:
        return None if self.found is None else self.found.row(self.query)

    @property
    def ids(self) -> list[int]:
        """The neighbors, nearest first."""
        if self.found is None or self.row is None:
            return []
        return [int(one) for one in self.found.ids[self.row, : self.found.k]]


def read(grid: DatasetGrid, chosen: Summary, k: int, query: int) -> Results:
    """The neighbors of an image."""
    try:
        return Results(grid, chosen, k, query, evaluate(grid, chosen.configuration, k))
    except GridError as error:
        return Results(grid, chosen, k, query, None, str(error))


def show(results: Results, dots: Dots, narrow: bool = False, suffix: str = "") -> None:
    """The neighbors, nearest first.

    Parameters
    ----------
    narrow : they have half of the page.
    suffix : of the keys of its widgets.
    """
    found, row = results.found, results.row
    if found is None:
        st.header(f"{results.k} nearest")
        st.error(
            f"This experiment can't be shown: {markdown.plain(results.trouble)} All others still work; choose another above.",
            icon=":material/error:",
        )
    elif row is None:
        st.header(f"{found.k} nearest")
        st.warning("This image was left out of the experiment. Choose another.")
    else:
        st.header(f"{found.k} nearest  ·  score {found.scores[row]:.0f}", help=glossary.SCORE)
        _tiles(results, found, row, dots, narrow, suffix)


def _tiles(results: Results, found: Evaluation, row: int, dots: Dots, narrow: bool, suffix: str) -> None:
    grid, chosen = results.grid, results.chosen
    about = _about(grid, chosen, found, row)
    items = [grid.dataset.item(one) for one in results.ids]
    agree = [bool(one) for one in found.same[row, : found.k]]
    marks = [palette.mark(same) for same in agree]
    tiles = [
        gallery.tile(
            item,
            # The class of one that shares the query's would be no news, and there is no room for it in half of the page.
            title=item.name if same or narrow else f"{item.name}, {item.label}",
            rank=rank,
            mark=sign,
            detail=(f"class: {item.label}", *(f"{what} {value}" for what, value in facts.items())),
            dot=dots.words if item.id in dots.ids else "",
        )
        for rank, (item, same, sign, facts) in enumerate(zip(items, agree, marks, about, strict=True), 1)
    ]
    with st.container(key=f"{gallery.amount(found.k)}-results{suffix}"):
        gallery.show(
            tiles,
            key=f"results{suffix}",
            on_pick=lambda item: url.change({url.QUERY: item}),
            size=80 if narrow else gallery.LARGE,
            narrow=0 if narrow else gallery.LARGE_NARROW,
            columns=gallery.RESULTS,
            label=f"The {found.k} nearest images, nearest first",
            announce=f"Nearest to {grid.dataset.item(int(found.queries[row])).alt}: "
            f"{sum(agree)} of {found.k} are of its class.",
        )
    yes, no = palette.mark(True), palette.mark(False)
    legend = [f"{yes.sign} {yes.words}", f"{no.sign} {no.words}"]
    if dots.words:
        legend.append(f":violet[●] {len(dots.ids) or 'none'} {markdown.plain(dots.words)}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            "  ·  ".join(legend),
            help=glossary.DISTANCE if found.distances is not None else glossary.NO_DISTANCES,
        )
        with st.popover("As a table", type="tertiary", icon=":material/table_rows:", key=f"as-table{suffix}"):
            names = [(item.title or item.name, item.label or "") for item in items]
            st.html(_table(names, [sign.sign for sign in marks], about))


def _table(names: Sequence[tuple[str, str]], signs: Sequence[str], about: Sequence[Mapping[str, str]]) -> str:
    facts = list(dict.fromkeys(what for one in about for what in one))
    heads = ["Rank", "Image", "Class", *(what[0].upper() + what[1:].rstrip(":") for what in facts)]
    rows = (
        [str(rank), name, f"{sign} {label}", *(one.get(what, "") for what in facts)]
        for rank, ((name, label), sign, one) in enumerate(zip(names, signs, about, strict=True), 1)
    )
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    return f'<table class="results-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _about(grid: DatasetGrid, chosen: Summary, found: Evaluation, row: int) -> list[dict[str, str]]:
    """What is said of the distance of each neighbor, in words and numbers; nothing where no distances are known."""
    if found.distances is None:
        return [{}] * found.k
    try:
        quantiles = grid.pair_quantiles(chosen.configuration)
    except GridError as error:
        quantiles = None
        st.warning(markdown.plain(str(error)), icon=":material/warning:")
    about = []
    everywhere, own = found.calibrations(row) if len(found.queries) > 1 else (None, None)
    label = grid.dataset.labels[int(found.queries[row])]
    for distance in map(float, found.distances[row, : found.k]):
        facts = {"distance": glossary.distance(distance)}
        if quantiles is not None:
            farther = scoring.share_farther(distance, quantiles)
            facts["closer than"] = f"{glossary.percent(farther)} of pairs"
        if everywhere is not None:
            share = everywhere.at(distance)
            facts["same class"] = _of_100(share)
            if own is not None and abs((of_class := own.at(distance)).value - share.value) > _NOTABLE:
                facts[f"of {class_names.in_sentence(label, _LONGEST_NAME)}:"] = _of_100(of_class)
        about.append(facts)
    return about


def _of_100(share: Share) -> str:
    # A word joiner, so that no line ends at the dash.
    return f"{100 * share.value:.0f} of 100 ({100 * share.low:.0f}–\u2060{100 * share.high:.0f})"
