"""Images worth a look: the hardest, those on which configurations disagree, and hubs."""

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import GridError
from core.evaluation import rankings
from core.experiments.query_scores import evaluate
from dashboard.frontend.gallery import gallery
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section, open_search
from dashboard.widgets import markdown, plotly_charts

_SHOWN = 10
_HUBNESS = (
    "The k-occurrence of an image is the number of result lists that it is in; its mean is k. Its skewness is the usual measure of hubness "
    "(Radovanović, Nanopoulos and Ivanović, 2010): near 0 all images are found about equally often, above 1 a few are "
    "in very many lists."
)


def show(context: ComparisonContext) -> None:
    """Three galleries."""
    _hardest(context)
    if len(context.table.experiments) > 1:
        _dividing(context)
    _hubs(context)


def _hardest(context: ComparisonContext) -> None:
    table = context.table
    means = table.scores.mean(axis=0)
    best = table.scores.max(axis=0)
    order = np.argsort(means, kind="stable")[:_SHOWN]
    nobody = int((best[order] == 0).sum())
    st.header("The hardest images")
    st.markdown(
        f"Lowest {context.label} on average over all {len(table.experiments)} configurations. Look for odd images and for doubtful "
        "labels." + (f" Of these, {nobody} have 0 under every configuration." if nobody else "")
    )
    _gallery(
        context,
        "hardest",
        f"Images with the lowest {context.label}, lowest first",
        [(int(table.queries[i]), (f"mean {means[i]:.0f}", f"at best {best[i]:.0f}")) for i in order],
    )


def _dividing(context: ComparisonContext) -> None:
    table = context.table
    spread = rankings.disagreement(table.scores)
    order = np.argsort(-spread, kind="stable")[:_SHOWN]
    low, high = table.scores.min(axis=0), table.scores.max(axis=0)
    st.header("Images on which configurations disagree")
    st.markdown(
        f"Largest standard deviation of the {context.label} over configurations: here the choice of a configuration matters most."
    )
    _gallery(
        context,
        "dividing",
        "Images on which configurations disagree most, the most first",
        [
            (int(table.queries[i]), (f"from {low[i]:.0f} to {high[i]:.0f}", f"deviation {spread[i]:.0f}"))
            for i in order
        ],
    )


def _hubs(context: ComparisonContext) -> None:
    table, chosen = context.table, context.chosen
    st.header("Hubs: images in very many result lists")
    try:
        found = evaluate(context.grid, chosen.configuration, context.k)
    except GridError as error:
        st.error(f"Its hubs can't be shown: {markdown.plain(str(error))}", icon=":material/error:")
        return
    counts = rankings.k_occurrence(found.ids[None, :, : found.k], len(context.grid.dataset))[0]
    mine = counts[found.queries]
    skew = float(rankings.skewness(mine))
    others = table.hubness
    never = int((mine == 0).sum())
    # An image can't be in more lists than there are other images.
    often = mine >= 2 * found.k
    st.markdown(
        f"On average an image is in {found.k} result lists, as many as it has neighbors itself. Under this configuration "
        f"**{int(often.sum())}** of {len(mine):,} images are in at least twice as many, {never} in none; the skewness is "
        f"**{skew:.2f}** (over all configurations {others.min():.2f} to {others.max():.2f}, median {np.median(others):.2f}).",
        help=_HUBNESS,
    )
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    _gallery(
        context,
        "hubs",
        "Images in the most result lists, the most first",
        [
            (int(i), (f"in {counts[i]} lists", f"{counts[i] / found.k:.1f} × its share"))
            for i in order
            if counts[i]
        ],
    )
    _hubness(context)


def _hubness(context: ComparisonContext) -> None:
    table, chosen = context.table, context.chosen
    places = [
        place
        for place, one in enumerate(table.experiments)
        if (one.pooling, one.metric) == (chosen.pooling, chosen.metric)
    ]
    if len(places) < 2:
        return
    titles = [context.model_title(table.experiments[p]) for p in places]
    models = list(dict.fromkeys(titles))
    depths = sorted({table.experiments[p].depth for p in places})
    values = np.full((len(models), len(depths)), np.nan)
    texts, hover = ([["" for _ in depths] for _ in models] for _ in range(2))
    clicks: list[list[int | None]] = [[None for _ in depths] for _ in models]
    for place, title in zip(places, titles, strict=True):
        r, c = models.index(title), depths.index(table.experiments[place].depth)
        values[r, c] = table.hubness[place]
        texts[r][c] = f"{table.hubness[place]:.1f}"
        hover[r][c] = (
            f"<b>{plotly_charts.words(title)}</b><br>{plotly_charts.words(context.name(table.experiments[place], model=False))}"
            f"<br>skewness {values[r, c]:.2f}"
        )
        clicks[r][c] = place
    figure = plotly_charts.heat_map(
        values,
        [plotly_charts.words(title) for title in models],
        [str(depth) for depth in depths],
        texts,
        hover,
        clicks,
        "skewness",
        across="layer, from the first (1) to the last",
        low=min(0.0, float(np.nanmin(values))),
    )

    def numbers() -> pd.DataFrame:
        return pd.DataFrame(
            {
                "configuration": [context.name(table.experiments[p]) for p in places],
                "skewness": table.hubness[places],
            }
        )

    clicked = plotly_charts.show(
        figure,
        "hubness",
        f"Skewness of the k-occurrence of each model (row) and layer (column) with {chosen.pooling} pooling and "
        f"{chosen.metric} distance, from {np.nanmin(values):.1f} to {np.nanmax(values):.1f}; the higher, the more hubs. "
        "Click a cell to look at its results. The leaderboard has the numbers of all configurations.",
        numbers,
        {"skewness": st.column_config.NumberColumn(format="%.2f")},
    )
    if clicked is not None:
        context.open(table.experiments[int(clicked)])


def _gallery(
    context: ComparisonContext, key: str, label: str, tiles: list[tuple[int, tuple[str, ...]]]
) -> None:
    gallery.show(
        [context.tile(item, lines=lines) for item, lines in tiles],
        key=key,
        on_pick=lambda picked: open_search(context, context.chosen, picked),
        size=112,
        label=label,
    )


SECTION = Section(Group.CLOSER, "pictures", "Images", 2, show, configuration=True)
