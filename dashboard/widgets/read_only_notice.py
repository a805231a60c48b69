"""What a read-only server shows: a line on every page, and controls that change something disabled."""

from typing import Any

import streamlit as st

from core import access

HELP = (
    "This server is read-only. Whoever runs it can allow changes with the setting `PLAYGROUND_ACCESS=full`."
)


def notice() -> None:
    """Say that nothing can be changed, where that is so."""
    if access.is_read_only():
        st.caption(
            ":material/lock: Read-only: collections, experiments and models can be looked at and searched, not changed.",
            help=HELP,
        )


def changing(disabled: bool = False, help: str | None = None) -> dict[str, Any]:
    """Arguments of a widget that changes something: disabled, with the reason as its help, on a read-only server.

    Parameters
    ----------
    disabled, help : what the widget has otherwise.
    """
    if access.is_read_only():
        return {"disabled": True, "help": HELP}
    return {"disabled": disabled, "help": help}
