"""Compute the grid on the labeled images of a collection, and link to its results."""

import tempfile

import streamlit as st

from core import access, jobs
from core.collections import labelled_dataset
from core.errors import UserError
from core.experiments.query_scores import evaluate
from core.experiments.store import DatasetGrid, Grid
from core.jobs import Job
from core.models import extractor, registry, weights
from core.search import recommendation, shared_engine
from core.settings import settings
from dashboard import url
from dashboard.widgets import glossary, job_progress, markdown, pickers, read_only_notice, sources
from dashboard.widgets.glossary import plural

# Experiments are ranked by their score at this k, if there are so many neighbors.
_K = 10
_PAGES = (
    ("search", "Search", ":material/image_search:"),
    ("embeddings", "Embeddings", ":material/scatter_plot:"),
    ("compare", "Compare", ":material/compare:"),
)


def show(name: str) -> None:
    """The form to compute the grid, the running job, and links to the results."""
    try:
        source = sources.load(name)
        labelled = sources.labelled(source)
    except UserError as error:
        st.info(markdown.plain(str(error)), icon=":material/label_off:")
        return
    st.markdown(
        f"Compares models, layers and distances on {plural(len(labelled.dataset), 'labeled image')} in {len(labelled.dataset.classes):,} "
        "classes. " + markdown.plain(" ".join(labelled.left_out))
    )
    job = jobs.get(_key(name))
    if job is not None:
        job_progress.watch(job)
    grid = _grid(name)
    changed = grid is not None and grid.dataset.fingerprint != labelled.dataset.fingerprint
    if grid is not None and grid.runs and not changed:
        _results(grid)
    if job is not None and job.running:
        return
    if changed:
        st.warning(
            "The collection has changed since the grid was computed, and the pages show the old results. Run it again to update them.",
            icon=":material/update:",
        )
        if grid is not None and grid.runs:
            _links(grid.dataset.name)
    if not access.is_read_only() and not _writable():
        st.info(
            "The folder of the grid can't be written; set PLAYGROUND\\_GRID\\_DIR to one that can.",
            icon=":material/lock:",
        )
        return
    _form(name, source.about.model, grid, changed)


def _form(name: str, model: str, grid: DatasetGrid | None, changed: bool) -> None:
    here = [one for one, definition in registry.MODELS.items() if weights.availability(definition)[0]]
    usual = [model] if model in here else here[:1]
    if changed and grid is not None:
        usual = [one for one in dict.fromkeys(key[0] for key in grid.runs) if one in here] or usual
    with st.form(f"grid-form-{name}", border=False):
        chosen = st.multiselect(
            "Models",
            here,
            default=usual,
            format_func=lambda one: registry.MODELS[one].title,
            help=glossary.MODEL,
            key=f"grid-models-{name}",
        )
        poolings = st.multiselect(
            "Poolings",
            extractor.POOLINGS,
            default=["avg"],
            help=glossary.POOLING,
            key=f"grid-poolings-{name}",
        )
        pressed = st.form_submit_button(
            "Run the grid", icon=":material/grid_on:", **read_only_notice.changing()
        )
    if not pressed:
        return
    if not chosen or not poolings:
        st.warning("Choose at least one model and one pooling.", icon=":material/warning:")
        return
    with job_progress.limited():
        jobs.start(
            _key(name), f"The grid on {name}", lambda job: _run(name, tuple(chosen), tuple(poolings), job)
        )
    st.rerun()


def _run(name: str, models: tuple[str, ...], poolings: tuple[str, ...], job: Job) -> None:
    from core.experiments import runner

    job.stage("Starting TensorFlow", 0)
    dataset = labelled_dataset.dataset(shared_engine.engine().collection(name)).dataset
    runner.run([dataset], runner.Request(models, poolings=poolings), settings.GRID_DIR, job)


def _results(grid: DatasetGrid) -> None:
    titles = ", ".join(pickers.model_name(run.about) for run in grid.runs.values())
    trained = [one for one in grid.summaries if one.weights != url.UNTRAINED] or [*grid.summaries]
    found = recommendation.recommend([grid], [one.configuration for one in trained])
    taken = url.closest(grid.summaries, {}).configuration if found is None else found.taken
    # Few images have fewer than k neighbors.
    scores = evaluate(grid, taken, _K)
    highest = ""
    if found is not None and found.taken != found.best:
        highest = f" It is the cheapest that can't be told from the highest, which is {found.best_mean:.1f}."
    st.markdown(
        f"Computed: {markdown.plain(titles)}. Take {markdown.plain(grid.run(taken).about.title)}, {markdown.plain(taken.layer)}, {taken.pooling}, "
        f"{taken.metric}: a mean score of **{scores.mean:.1f}** of 100 at k = {scores.k} (95% interval {scores.low:.1f} to {scores.high:.1f})."
        f"{highest} *Compare* has all of them.",
        help=f"{glossary.SCORE}\n\n{glossary.BEST}",
    )
    if (most := float(scores.attainable.mean())) < 100:
        st.caption(glossary.attainable(most, scores.k))
    _links(grid.dataset.name)


def _links(dataset: str) -> None:
    with st.container(horizontal=True):
        for page, title, icon in _PAGES:
            if st.button(title, icon=icon, key=f"grid-open-{page}-{dataset}"):
                url.open_page(url.PAGES[page], {url.DATASET: dataset})


def _grid(name: str) -> DatasetGrid | None:
    """The stored grid of the collection."""
    if labelled_dataset.name(name) not in Grid().dataset_names():
        return None
    try:
        return Grid().load(labelled_dataset.name(name))
    except UserError:
        return None


def _writable() -> bool:
    try:
        settings.GRID_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.GRID_DIR):
            return True
    except OSError:
        return False


def _key(name: str) -> tuple[str, str, str]:
    return "collection-grid", str(settings.GRID_DIR), name
