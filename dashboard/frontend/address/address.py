"""Completes the address in the browser without a step in its history."""

from collections.abc import Sequence

from dashboard.frontend.bundle import component

_component = component(__file__)


def complete(asked: Sequence[tuple[str, str]], shown: Sequence[tuple[str, str]]) -> None:
    """Replace the entries of an address, unless the browser has gone on to another one meanwhile."""
    _component(key="address", data={"asked": asked, "shown": shown})
