"""Export: the result lists as files for other tools, and the comparison as a report to hand on."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.experiments import neighbor_export
from core.experiments.store import Summary
from dashboard.pages.compare import report
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section
from dashboard.widgets import download_button


def show(context: ComparisonContext) -> None:
    """The report, and the files."""
    table, dataset = context.table, context.grid.dataset
    st.header("Report")
    st.markdown(
        "One HTML file with the verdict, charts and tables of this comparison, for someone without this dashboard. It loads nothing from anywhere."
    )
    download_button.show(
        "Download the report (HTML)", lambda: report.html(context), f"{dataset.name}-k{table.k}.html"
    )
    st.header("Neighbors")
    st.markdown(
        f"A row for each image, configuration and neighbor: rank, distance, whether the labels agree, and the score of the search at k = {table.k}."
    )
    st.markdown("**One configuration**")
    _files(context, "one", [context.chosen], f"{dataset.name}-{context.chosen.model}-{context.chosen.layer}")
    st.markdown(f"**All {len(table.experiments):,} configurations that are compared**")
    _files(context, "all", table.experiments, f"{dataset.name}-neighbors")


def _files(context: ComparisonContext, key: str, some: Sequence[Summary], name: str) -> None:
    rows = neighbor_export.count_rows(context.grid, some, context.table.k)
    if rows > neighbor_export.MOST_ROWS:
        st.caption(f"{rows:,} rows are too many for a browser. This command writes them:")
        st.code(
            f"playground grid export {name}.parquet --dataset {context.grid.dataset.name} -k {context.table.k}",
            language=None,
            wrap_lines=True,
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, title in (("parquet", "Parquet"), ("csv", "CSV")):
            download_button.show(
                f"Download {rows:,} rows ({title})",
                partial(neighbor_export.content, context.grid, some, context.table.k, kind),
                f"{name}.{kind}",
                key=f"neighbors-{key}-{kind}",
            )


SECTION = Section(Group.GO_ON, "export", "Export", 3, show, halves=True, configuration=True)
