"""What the page Embeddings shows where there are no points: what computes them."""

import streamlit as st

from core import jobs
from core.data.source import Source
from core.errors import GridError
from core.experiments.store import Summary
from core.models import weights
from core.server import projections
from dashboard import url
from dashboard.widgets import glossary, job_progress, markdown
from dashboard.widgets.sources import GridSource


def compute(source: Source, method: str, dimensions: int) -> None:
    """Offer to compute a projection, and show how it goes."""
    title = projections.METHODS[method]
    # Not of its key: a computation goes on when images are added.
    key = ("projection", source.url_key, source.name, method, dimensions)
    job = jobs.get(key)
    if job is not None:
        job_progress.watch(job)
    if job is not None and job.running:
        return
    # What became of a computation says as much.
    if job is None or job.state == "done":
        st.info(
            f"{title} of the collection as it is now has not been computed yet. It is kept with the collection, so that "
            "it is there at the next visit; meanwhile you may leave this page.",
            icon=":material/scatter_plot:",
        )
    st.button(
        f"Compute {title} in {dimensions} dimensions",
        icon=":material/play_arrow:",
        type="primary",
        key="compute-layout",
        on_click=lambda: job_progress.start(
            key,
            f"{title} of {source.name}",
            lambda job: source.compute_projection(method, dimensions, job),
        ),
    )


def show(source: GridSource, method: str, dimensions: int, damage: GridError | None) -> None:
    """Say how the stored points of a configuration are computed, and what there is instead."""
    grid, chosen = source.grid, source.chosen
    if damage is not None:
        st.error(
            f"These points can't be shown: {markdown.plain(str(damage))} Everything else still works. "
            "This computes them again:",
            icon=":material/error:",
        )
        st.code(_command(chosen), language="bash", wrap_lines=True)
        return
    title = grid.run(chosen).about.title
    if chosen.weights == glossary.PUBLISHED:
        st.info(
            f"Of {markdown.plain(title)} nothing but UMAP in two dimensions was published.",
            icon=":material/info:",
        )
        st.button(
            "Show UMAP in 2-D",
            on_click=lambda: url.change({url.METHOD: None, url.DIMENSIONS: None}),
            key="show-published",
        )
        return
    st.info(
        f"There are no points of {markdown.plain(title)} with {chosen.pooling} pooling yet. This computes them:",
        icon=":material/hourglass_empty:",
    )
    st.code(_command(chosen), language="bash", wrap_lines=True)
    for pooling in _other_poolings(source, method, dimensions):
        st.button(
            f"Show {pooling} pooling instead",
            on_click=lambda pooling=pooling: _change_pooling(source, pooling),
        )


def _other_poolings(source: GridSource, method: str, dimensions: int) -> list[str]:
    """The poolings of the model that have such a projection."""
    grid, model, weights = source.grid, source.chosen.model, source.chosen.weights
    found = []
    for pooling in dict.fromkeys(
        one.pooling for one in grid.summaries if (one.model, one.weights) == (model, weights)
    ):
        try:
            if grid.projections(model, weights, pooling, method, dimensions):
                found.append(pooling)
        except GridError:
            continue
    return found


def _change_pooling(source: GridSource, pooling: str) -> None:
    chosen = source.chosen
    wanted = {"model": chosen.model, "weights": chosen.weights, "layer": chosen.layer, "pooling": pooling}
    near = url.closest(source.grid.summaries, wanted, like=chosen)
    url.change({url.LAYER: near.layer, url.POOLING: near.pooling, url.METRIC: near.metric})


def _command(chosen: Summary) -> str:
    """What computes the points of a configuration."""
    command = (
        f"playground grid run --dataset {chosen.dataset} --model {chosen.model} --pooling {chosen.pooling}"
    )
    if chosen.weights == weights.IMAGENET or weights.is_own(chosen.weights):
        return command
    return f"{command} --weights {'untrained' if chosen.weights == url.UNTRAINED else 'FILE'}"
