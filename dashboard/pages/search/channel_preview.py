"""A few feature visualizations of a layer."""

import streamlit as st

from core.experiments.store import Summary
from core.features import channel_files
from dashboard import url
from dashboard.frontend.gallery import gallery

_MOST = 6
_SIZE = 52


def show(chosen: Summary) -> None:
    """A strip of them with a link to the page Models, for a horizontal container; nothing where none ship."""
    shipped = channel_files.visualizations(chosen.model, chosen.weights, chosen.layer)[:_MOST]
    if not shipped:
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xsmall", width="content", key="glimpse"
    ):
        with st.container(width=len(shipped) * (_SIZE + 8)):
            gallery.show(
                [
                    gallery.Tile(
                        one.channel,
                        gallery.channel_source(chosen.model, chosen.weights, chosen.layer, one),
                        f"Feature visualization of channel {one.channel}",
                        fills=True,
                    )
                    for one in shipped
                ],
                key="glimpse-pictures",
                size=_SIZE,
                label=f"What channels of the layer {chosen.layer} look for",
            )
        if st.button("What it looks for", icon=":material/network_node:", type="tertiary"):
            url.open_page(
                url.MODELS,
                {
                    url.DATASET: chosen.dataset,
                    url.MODEL: chosen.model,
                    url.WEIGHTS: chosen.weights,
                    url.LAYER: chosen.layer,
                    url.MODELS_PART: "channels",
                },
            )
