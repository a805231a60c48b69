"""Two configurations side by side: on one image, and over all of them."""

import numpy as np
import streamlit as st

from core.errors import GridError
from core.evaluation import rankings
from core.evaluation.uncertainty import Difference
from core.experiments.query_scores import Evaluation, Values, difference, evaluate, values
from core.experiments.store import Summary
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section, open_search
from dashboard.widgets import configuration_bar, glossary, markdown, palette

_MOST_DIFFERENT = 6
_RBO = (
    "Rank-biased overlap compares two ranked lists and weighs the first places most: 0 when they share nothing, 1 when "
    f"they are the same. This is RBO_EXT of Webber, Moffat and Zobel (2010) with p = {rankings.RBO_P:g}."
)


def show(context: ComparisonContext) -> None:
    """Pickers, the verdict over the dataset, one image under both, where they differ most."""
    others = [one for one in context.grid.summaries if one.configuration != context.chosen.configuration]
    if not others:
        st.info("There is only one experiment on this dataset; comparing takes two.", icon=":material/info:")
        return
    second = context.address.configuration(
        context.grid.summaries, url.SECOND, lambda: _rival(context, others)
    )
    context.shown |= url.configuration(second, url.SECOND)
    for column, letter, one, keys in zip(
        st.columns(2, gap="medium"), "AB", (context.chosen, second), (url.PARTS, url.SECOND), strict=True
    ):
        with column:
            configuration_bar.show(context.grid, one, context.k, context.untrained, keys, letter)
    st.button(
        "Swap A and B",
        icon=":material/swap_vert:",
        key="swap",
        on_click=lambda: _swap(context.chosen, second),
    )
    if second.configuration == context.chosen.configuration:
        st.info("A and B are the same configuration; change one of them.", icon=":material/info:")
        return
    try:
        k = min(context.k, context.grid.run(second).about.top)
        a = evaluate(context.grid, context.chosen.configuration, k)
        b = evaluate(context.grid, second.configuration, k)
        of_a = values(context.grid, context.chosen.configuration, k, context.by)
        of_b = values(context.grid, second.configuration, k, context.by)
    except GridError as error:
        st.error(
            f"This pair can't be compared: {markdown.plain(str(error))} Choose another above.",
            icon=":material/error:",
        )
        return
    queries, rows_a, rows_b = np.intersect1d(a.queries, b.queries, return_indices=True)
    if not len(queries):
        st.info("These two have no images in common.", icon=":material/info:")
        return
    reached_a, reached_b = of_a.values[rows_a], of_b.values[rows_b]
    overlap = rankings.rank_biased_overlap(a.ids[rows_a, : a.k], b.ids[rows_b, : b.k])
    both = rankings.shared(a.ids[rows_a, : a.k], b.ids[rows_b, : b.k])
    _over_all(of_a, difference(of_a, of_b), reached_a, reached_b, overlap, both)
    place = int(np.searchsorted(queries, context.query))
    if place < len(queries) and queries[place] == context.query:
        _one_picture(
            context,
            a,
            b,
            rows_a[place],
            rows_b[place],
            f"{glossary.capital(of_a.measure.label_at(k))}: A has **{reached_a[place]:.0f}**, B has **{reached_b[place]:.0f}** of 100",
            float(overlap[place]),
            int(both[place]),
        )
    else:
        st.warning("This image was left out of one of the experiments. Choose another below.")
    _most_different(context, queries, reached_a - reached_b, reached_a, reached_b)


def _rival(context: ComparisonContext, others: list[Summary]) -> Summary:
    """What to compare with when the address does not say: the best of another model, or else the best other."""
    if context.compared is not None:
        ranked = [context.table.experiments[place] for place in context.table.order.tolist()]
        others = [one for one in ranked if one in others] or others
    trained = [one for one in others if one.weights != url.UNTRAINED] or others
    another = [
        one for one in trained if (one.model, one.weights) != (context.chosen.model, context.chosen.weights)
    ]
    return (another or trained)[0]


def _swap(a: Summary, b: Summary) -> None:
    url.change(url.configuration(b) | url.configuration(a, url.SECOND))


def _over_all(
    asked: Values, gap: Difference, a: np.ndarray, b: np.ndarray, overlap: np.ndarray, both: np.ndarray
) -> None:
    better, worse = int((a > b + 1e-9).sum()), int((b > a + 1e-9).sum())
    st.header(f"Over all {len(a):,} images")
    with st.container(horizontal=True, gap="medium"):
        label = asked.measure.label_at(asked.k)
        st.metric(f"A: {label}", f"{a.mean():.1f}", width="content")
        st.metric(f"B: {label}", f"{b.mean():.1f}", width="content")
        st.metric(
            "A − B",
            glossary.signed(gap.mean),
            width="content",
            help="The mean over all images of the difference on the same image.",
        )
        st.metric("Neighbors shared", f"{both.mean():.1f} of {asked.k}", width="content")
        st.metric("Rank-biased overlap", f"{overlap.mean():.2f}", help=_RBO, width="content")
    st.markdown(
        f"{verdict(gap)} A is higher on {better:,} of the images, B on {worse:,}; on {len(a) - better - worse:,} they are equal.",
        help=f"{glossary.DIFFERENCE} One comparison is tested here; who tries many pairs finds some by luck.",
    )


def verdict(gap: Difference) -> str:
    """A paired difference in a sentence."""
    span = f"95% interval of the difference {glossary.signed(gap.low)} to {glossary.signed(gap.high)}"
    if gap.p is not None:
        differing = "1 image differs" if gap.differing == 1 else f"{gap.differing} images differ"
        span += f"; only {differing}, so the exact sign-flip test decides: p = {gap.p:.2g}"
    if not gap.certain:
        return f"**No difference beyond chance** ({span})."
    winner = "A" if gap.mean > 0 else "B"
    return f"**{winner} is better by {abs(gap.mean):.1f} points, more than chance explains** ({span})."


def _one_picture(
    context: ComparisonContext,
    a: Evaluation,
    b: Evaluation,
    row_a: int,
    row_b: int,
    reached: str,
    overlap: float,
    both: int,
) -> None:
    item = context.grid.dataset.item(context.query)
    st.header("On one image")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(width=150):
            gallery.show(
                [gallery.tile(item, title=item.name, lines=(item.label,))],
                key="pair-query",
                on_pick=lambda picked: open_search(context, context.chosen, picked),
                size=110,
                columns=1,
                label="The image that is searched for",
            )
        with st.container(width="stretch"):
            st.markdown(
                f"The lists share **{both} of {a.k}** images; their rank-biased overlap is **{overlap:.2f}**. "
                f"{reached}.",
                help=_RBO,
            )
            yes, no = palette.mark(True), palette.mark(False)
            st.caption(
                f"{yes.sign} {yes.words}  ·  {no.sign} {no.words}  ·  Click a neighbor to search for it here; click the "
                "image on the left to open it on the Search page."
            )
    ids_a, ids_b = a.ids[row_a, : a.k], b.ids[row_b, : b.k]
    left, right = st.columns(2, gap="medium")
    with left:
        _list(context, "A", ids_a, a.same[row_a], ids_b, "B")
    with right:
        _list(context, "B", ids_b, b.same[row_b], ids_a, "A")


def _list(
    context: ComparisonContext,
    letter: str,
    ids: np.ndarray,
    same: np.ndarray,
    others: np.ndarray,
    other: str,
) -> None:
    st.markdown(f"**{letter}**")
    there = {int(item): rank for rank, item in enumerate(others, 1)}
    gallery.show(
        [
            gallery.tile(
                context.grid.dataset.item(int(item)),
                rank=rank,
                mark=palette.mark(bool(same[rank - 1])),
                lines=(f"{other}: rank {there[int(item)]}" if int(item) in there else f"only in {letter}",),
            )
            for rank, item in enumerate(ids, 1)
        ],
        key=f"pair-{letter}",
        on_pick=lambda picked: url.change({url.QUERY: picked}),
        size=88,
        columns=5,
        label=f"The nearest images under {letter}, nearest first",
    )


def _most_different(
    context: ComparisonContext, queries: np.ndarray, gaps: np.ndarray, a: np.ndarray, b: np.ndarray
) -> None:
    st.header("Where they differ most")
    left, right = st.columns(2, gap="medium")
    for place, sign, words, key in ((left, 1, "A is better", "a"), (right, -1, "B is better", "b")):
        order = np.argsort(-sign * gaps, kind="stable")[:_MOST_DIFFERENT]
        order = order[sign * gaps[order] > 1e-9]
        with place:
            st.markdown(f"**{words}**")
            if not len(order):
                st.caption("On no image.")
                continue
            gallery.show(
                [
                    context.tile(
                        int(queries[i]),
                        lines=(f"A {a[i]:.0f}, B {b[i]:.0f}",),
                        selected=int(queries[i]) == context.query,
                    )
                    for i in order
                ],
                key=f"differ-{key}",
                on_pick=lambda picked: url.change({url.QUERY: picked}),
                size=88,
                columns=6,
                label=f"Images on which {words}, largest difference first",
            )
    st.caption("Click an image to see both lists for it above.", help=glossary.MEASURES[context.by])


SECTION = Section(Group.CLOSER, "pair", "Side by side", 1, show)
