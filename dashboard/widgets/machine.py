"""Which machine the times on a page were measured on, and switching to those of this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import GridError
from core.experiments import machine_costs
from core.experiments.machine_costs import Measured
from core.experiments.store import DatasetGrid
from core.settings import settings
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import markdown, pickers

_NAMES = {"tensorflow": "TensorFlow", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Machine:
    """What times are shown: those of this machine with a runtime, or those of the experiments where ``measured`` is None.

    runtime : empty for those of the experiments; others : the runtimes that this machine was measured with.
    """

    runtime: str
    measured: Measured | None
    others: tuple[str, ...]


def read(address: Address) -> Machine:
    """The machine of an address; a notice where what was measured can't be read."""
    try:
        found = machine_costs.read(settings.GRID_DIR)
    except GridError as error:
        address.notices.append(markdown.plain(str(error)))
        found = {}
    chosen = address.choice(
        url.MACHINE, ("", *found), shown="the times of the machine that ran the experiments"
    )
    return Machine(chosen, found.get(chosen), tuple(found))


def show(grid: DatasetGrid, machine: Machine) -> None:
    """Name the machine, and choose another one where there is one."""
    if machine.others:
        names = {"": "Of the experiments"} | {
            kind: f"This machine, {_NAMES.get(kind, kind)}" for kind in machine.others
        }
        pickers.segments("Times", names, machine.runtime, url.MACHINE, "machine")
    st.caption(markdown.plain(sentence(grid, machine)), help="`playground bench-here` measures this machine.")


def sentence(grid: DatasetGrid, machine: Machine) -> str:
    """Where the times that are shown were measured, as plain text."""
    if machine.measured is not None:
        about = describe(machine.measured.conditions)
    else:
        conditions = {describe(run.about.measured) for run in grid.runs.values() if run.about.measured}
        about = "; ".join(sorted(conditions)) or "a machine that was not named"
    return f"Times were measured on {about}."


def describe(conditions: Mapping[str, Any]) -> str:
    """The conditions of a measurement in words."""
    parts = [str(conditions.get("processor") or "a processor that was not named")]
    if cores := conditions.get("cores"):
        parts.append(f"{cores} cores")
    parts += [f"{name} {conditions[kind]}" for kind, name in _NAMES.items() if kind in conditions]
    if size := conditions.get("batch_size"):
        parts.append(f"batches of {size}")
    if date := conditions.get("date"):
        parts.append(str(date))
    return ", ".join(parts)
