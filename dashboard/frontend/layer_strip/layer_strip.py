"""The layers of a model in a row, each with its score: one click or arrow key goes to another."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from dashboard.frontend.bundle import component

_component = component(__file__, '<div class="layers" role="radiogroup"></div>')


@dataclass(frozen=True)
class Layer:
    """A layer to go to.

    depth : its place among those of the model, as text. about : its name and size in a line. score : 0..100, None where it is not known.
    """

    name: str
    depth: str
    about: str
    score: float | None


def show(layers: Sequence[Layer], shown: str, on_choose: Callable[[str], None], key: str) -> None:
    """Show the strip.

    Parameters
    ----------
    shown : the name of the layer that the page shows, which need not be one of them.
    on_choose : called with the name of another.
    """
    names = {one.name for one in layers}

    def chosen() -> None:
        # The value comes from the browser and can be anything.
        if (name := st.session_state[key].get("layer")) in names:
            on_choose(str(name))

    _component(
        key=key,
        data={"layers": [asdict(one) for one in layers], "shown": shown, "label": "Layer"},
        on_layer_change=chosen,
    )
