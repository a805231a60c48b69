"""Kinds of index compared on a collection: what each costs, and what it costs the labels of what is found."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.collections import Collection, index_tuning
from core.collections.index_tuning import Limits, MeasuredIndex
from core.jobs import Job
from dashboard.pages.your_images.collection_context import CollectionContext, download_csv
from dashboard.widgets import collection_jobs, glossary, markdown, read_only_notice

_HELP = (
    "Up to 200 stored images are searched for with each kind of index, each without itself. **Recall** is the share of the ten nearest images "
    "that the index finds. **Label precision** is how many of the ten images found have the label of the query, among those with a label. "
    "**Loss** is how much lower that is than with exact search on the same queries, with its 95% interval for searches with other images of this collection. "
    "An index that misses neighbors may lose no label: what it finds instead is often as good."
)


def show(context: CollectionContext, busy: bool) -> None:
    """The button that measures, the table and its sentence."""
    st.subheader("Compare kinds of index")
    st.caption(
        "Builds each kind beside the one in use, measures it and removes it. Nothing in the collection changes.",
        help=_HELP,
    )
    pressed = st.button(
        "Measure them",
        icon=":material/speed:",
        **read_only_notice.changing(disabled=busy or not context.source.info.images),
    )
    found = collection_jobs.result_on_request(
        context.source.about,
        "tune",
        "Measuring kinds of index",
        pressed,
        context.source.version,
        lambda job: _measure(context.name, job),
    )
    if found is not None:
        st.markdown(markdown.plain(verdict(found)))
        numbers = table(found)
        st.dataframe(numbers, hide_index=True, column_config=_columns())
        download_csv(lambda: numbers, f"{context.name}-index.csv")


def _measure(name: str, job: Job) -> list[MeasuredIndex]:
    with Collection.open(name) as opened:
        return index_tuning.measure(opened, (), job)


def verdict(found: Sequence[MeasuredIndex]) -> str:
    """Which kind to take, and what it costs, in a sentence."""
    limits = Limits()
    best = index_tuning.choose(found, limits)
    if best is None:
        return f"No kind of index finds {limits.min_recall:.0%} of the nearest images here."
    loss = best.label_loss
    if loss is None:
        labels = "Without labels, the label precision can't be measured."
    elif loss.certain and loss.mean > 0:
        labels = (
            f"It loses {100 * loss.mean:.1f} points of label precision (95% interval {glossary.signed(100 * loss.low)} to {glossary.signed(100 * loss.high)}), "
            "more than chance explains."
        )
    else:
        labels = (
            f"It loses no label precision beyond chance: {glossary.signed(100 * loss.mean)} points (95% interval {glossary.signed(100 * loss.low)} "
            f"to {glossary.signed(100 * loss.high)})."
        )
    return (
        f"Of those that find at least {limits.min_recall:.0%} of the nearest images, {best.kind} is the fastest: recall@10 {best.recall:.3f}, "
        f"{best.median_ms:.2f} ms for a query, {best.bytes_per_vector:,.0f} bytes for a vector. {labels}"
    )


def table(found: Sequence[MeasuredIndex]) -> pd.DataFrame:
    """The candidates in numbers, as they are shown and downloaded."""
    rows = []
    for one in found:
        loss = one.label_loss
        rows.append(
            {
                "index": one.kind,
                "factory": one.factory,
                "recall@10": one.recall,
                "label_precision@10": one.label_precision,
                # Rounding errors around 0 would be shown as minus zero.
                "label_loss": None if loss is None else round(loss.mean, 6) + 0.0,
                "loss_low_95": None if loss is None else round(loss.low, 6) + 0.0,
                "loss_high_95": None if loss is None else round(loss.high, 6) + 0.0,
                "median_ms": one.median_ms,
                "p95_ms": one.p95_ms,
                "bytes_per_vector": round(one.bytes_per_vector),
                "megabytes": one.megabytes,
                "build_seconds": one.build_seconds,
            }
        )
    return pd.DataFrame(rows)


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "recall@10": number("recall", format="percent", width=75),
        "label_precision@10": number("label precision", format="percent", width=110),
        "label_loss": number("loss", format="percent", width=65),
        "loss_low_95": number("95% from", format="percent", width=80),
        "loss_high_95": number("to", format="percent", width=65),
        "median_ms": number("ms", format="%.2f", width=60),
        "p95_ms": number("ms in 95%", format="%.2f", width=85),
        "bytes_per_vector": number("bytes per vector", format="localized", width=115),
        "megabytes": number("MB", format="%.1f", width=60),
        "build_seconds": number("s to build", format="%.1f", width=80),
    }
