"""Completes the address in the browser without a step in its history."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

NAME = "playground_address"
_component = st.components.v2.component(NAME, js=(Path(__file__).parent / "address.js").read_text("utf-8"))


def complete(asked: Sequence[tuple[str, str]], shown: Sequence[tuple[str, str]]) -> None:
    """Replace the entries of an address, unless the browser has gone on to another one meanwhile."""
    _component(key="address", data={"asked": asked, "shown": shown})
