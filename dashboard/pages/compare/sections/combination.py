"""Make a combination of networks and measure it on the dataset."""

import streamlit as st

from core import jobs
from core.experiments import combination_adding, runner
from core.experiments.combination_adding import Chosen
from core.experiments.store import Grid, Summary
from core.jobs import Job
from core.models import combinations, registry, weights
from core.settings import settings
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section
from dashboard.widgets import job_progress, markdown, read_only_notice

_HELP = (
    "The vectors of each network are scaled to length one, centered on their mean over this dataset if the switch is on, and concatenated. A query "
    "then costs one pass of each network."
)


def show(context: ComparisonContext) -> None:
    """The combinations that there are, and the form that makes one."""
    st.header("Combine networks", help=_HELP)
    st.markdown(
        "Join the vectors of several networks to one, and measure the result on this dataset. It then is a model as any other, on every page."
    )
    job = jobs.get(_key(context))
    if job is not None and job.running:
        job_progress.watch(job)
        return
    last = st.container()
    best = best_of_each(context.grid.summaries)
    if len(best) < 2:
        st.info(
            "This dataset has experiments with average pooling and cosine distance of fewer than two trained networks whose weights are on this machine.",
            icon=":material/info:",
        )
        return
    # What a form lacks is said alone.
    if not _form(context, best) and job is not None:
        with last:
            job_progress.watch(job)
            if job.state == "done":
                _result(context, str(job.result))


def _result(context: ComparisonContext, name: str) -> None:
    """What the combination that was measured last scores."""
    found = min(
        (one for one in context.grid.summaries if one.model == name),
        key=lambda one: one.best_first,
        default=None,
    )
    # It may have been removed since.
    if found is not None:
        st.success(
            f"{markdown.quoted(name)} is on the leaderboard, with a mean score of {found.score_10:.1f} under {found.metric}.",
            icon=":material/check:",
        )


def best_of_each(summaries: tuple[Summary, ...]) -> dict[str, Summary]:
    """Of each trained network whose weights are here, the experiment that scores highest with average pooling and cosine distance."""
    made = combinations.names()
    found: dict[str, Summary] = {}
    for one in sorted(summaries, key=lambda one: one.best_first):
        if (one.pooling, one.metric) != ("avg", "cosine") or one.model in made:
            continue
        if one.model in registry.MODELS and one.weights == weights.trained(registry.get_model(one.model)):
            found.setdefault(one.model, one)
    return {name: one for name, one in found.items() if weights.availability(registry.get_model(name))[0]}


def _form(context: ComparisonContext, best: dict[str, Summary]) -> bool:
    """The form; whether it was sent, which begins the computation or says what it lacks."""
    with st.form("combine", border=False):
        chosen = st.multiselect(
            "Networks",
            list(best),
            default=list(best)[:2],
            format_func=lambda name: _words(best[name]),
            max_selections=combinations.MOST_PARTS,
            help="Each at the layer that scores highest here, with average pooling and cosine distance.",
            key="combine-networks",
        )
        center = st.toggle("Subtract the mean of this dataset", value=True, key="combine-center")
        name = st.text_input(
            "Name",
            placeholder="lower case letters, digits, - and _",
            max_chars=63,
            width=400,
            key="combine-name",
        )
        pressed = st.form_submit_button(
            "Add and measure", icon=":material/join_inner:", **read_only_notice.changing()
        )
    if not pressed:
        return False
    if len(chosen) < 2 or not name:
        st.warning("Choose at least two networks and a name.", icon=":material/warning:")
        return True
    parts = [Chosen(best[one].model, best[one].layer, best[one].pooling) for one in chosen]
    dataset = context.grid.dataset.name

    def work(job: Job) -> str:
        adding, measuring = job.divide(1 if center else 0, 1)
        combination_adding.add(name, parts, Grid(), dataset if center else None, adding)
        request = runner.Request((name,), poolings=("avg",))
        runner.run([Grid().dataset(dataset)], request, settings.GRID_DIR, measuring)
        return name

    with job_progress.limited():
        jobs.start(_key(context), f"The experiments of {name} on {dataset}", work)
    st.rerun()


def _words(one: Summary) -> str:
    return f"{registry.get_model(one.model).title} · {one.layer} · {one.score_10:.1f}"


def _key(context: ComparisonContext) -> tuple[str, str]:
    return "combine", context.grid.dataset.name


SECTION = Section(Group.GO_ON, "combine", "Combine", 1, show)
