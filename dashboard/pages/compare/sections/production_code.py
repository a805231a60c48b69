"""The code to use a configuration on one's own images."""

import streamlit as st

from core.collections.index import engines
from core.evaluation.comparison import BYTES_PER_NUMBER
from core.experiments import vector_import
from core.experiments.store import LayerRun, Summary
from core.models import combinations, registry, weights
from dashboard import url
from dashboard.pages.compare import code_snippets
from dashboard.pages.compare.comparison_context import ComparisonContext, Group, Section, results_button
from dashboard.widgets import glossary, markdown, pickers

_LARGE = 10_000


def show(context: ComparisonContext) -> None:
    """The configuration, what it costs, and the code."""
    chosen = context.chosen
    st.header("Use this configuration")
    about = context.grid.run(chosen).about
    layer = about.layer(chosen.layer)
    size = BYTES_PER_NUMBER * chosen.dimensions
    st.markdown(
        f"An index of {_LARGE:,} images takes {markdown.plain(glossary.size(_LARGE * size))} of memory and disk. Your images differ from "
        f"those of {markdown.quoted(context.grid.dataset.title)}: measure it on some of them with the last command."
    )
    results_button(context, chosen, "use-open", "See its results")
    if chosen.weights.startswith(vector_import.SLUG):
        st.info(
            "These vectors were computed elsewhere: this configuration has no model here, so there is no code for it.",
            icon=":material/info:",
        )
        return
    _about_weights(chosen, about.title)
    if why_not := _without_code(chosen, layer):
        st.warning(why_not, icon=":material/warning:")
        return
    _code(context)


def _about_weights(chosen: Summary, title: str) -> None:
    """What to know of weights that are not the usual ones, or not here."""
    if chosen.weights == weights.IMAGENET and chosen.model in registry.MODELS:
        here, about = weights.availability(registry.MODELS[chosen.model])
        if not here:
            st.info(
                f"The weights of {markdown.plain(title)} are not on this machine. {markdown.plain(about)}.",
                icon=":material/download:",
            )
    if chosen.weights.startswith("file-"):
        st.info(
            f"This experiment used weights of your own ({markdown.quoted(chosen.weights)}): put the path of their file into the code.",
            icon=":material/info:",
        )
    if chosen.weights.startswith("onnx-"):
        st.info(
            f"{markdown.plain(title)} is an ONNX file that was added here. On another machine, add the same file with the same description "
            f"first: `playground models add FILE.onnx --name {chosen.model}`.",
            icon=":material/info:",
        )
    if chosen.model in combinations.names():
        st.info(
            f"{markdown.plain(title)} is a combination that was added here. On another machine, add it first:",
            icon=":material/info:",
        )
        st.code(
            code_snippets.combining(combinations.description(chosen.model)), language="bash", wrap_lines=True
        )
    if chosen.weights == glossary.PUBLISHED:
        st.info(
            f"The code below uses the ImageNet weights that Keras offers, with which they "
            f"should agree: `playground models fetch {chosen.model}` downloads them.",
            icon=":material/info:",
        )


def _without_code(chosen: Summary, layer: LayerRun) -> str | None:
    """Why nothing here can run a configuration, in Markdown; None where something can."""
    if layer.depth > registry.N_LAYERS:
        return f"The layer {markdown.quoted(layer.name)} was published beside the {registry.N_LAYERS} that are computed here, so there is no code for it."
    if chosen.model not in registry.MODELS:
        return f"This version does not know the model {markdown.quoted(chosen.model)}, so there is no code for it."
    return None


def _code(context: ComparisonContext) -> None:
    """The code that uses the configuration, and the command that measures it."""
    chosen = context.chosen
    st.subheader("Index your own folder and search it")
    st.markdown(
        "Run this in the project's folder. It creates a collection with this configuration, adds all images below your folder, and "
        "searches it with an image. The pages *Your picture* and *Embeddings* then show the collection too."
    )
    st.selectbox(
        "Index engine",
        engines.with_metric(chosen.metric),
        **pickers.bind("engine", context.engine, url.ENGINE),
        help=glossary.ENGINE,
        width=230,
    )
    if server := code_snippets.server(context.engine):
        st.markdown("Say first where the server is; the documentation on scale describes what it needs.")
        st.code(server, language="bash", wrap_lines=True)
    st.code(
        code_snippets.commands(chosen.configuration, engine=context.engine), language="bash", wrap_lines=True
    )
    st.markdown("The same in Python:")
    st.code(
        code_snippets.python(chosen.configuration, engine=context.engine), language="python", wrap_lines=True
    )
    st.subheader("Measure it on your own labeled images")
    st.markdown(
        "Put the images into folders named after their classes. The experiment then appears here, as a dataset of its own."
    )
    st.code(code_snippets.measuring(chosen.configuration), language="bash", wrap_lines=True)


SECTION = Section(Group.GO_ON, "use", "Use it", 2, show, configuration=True)
