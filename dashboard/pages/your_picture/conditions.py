"""The label and conditions that results must meet."""

from collections.abc import Sequence

import streamlit as st

from core.data.source import Source
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import class_names, pickers

_MOST, _LONGEST = 10, 200
_LONGEST_NAME = 28
_HELP = (
    "Only images that meet all of these are searched. A condition compares one of the metadata, `label` or `size` (in bytes) with "
    "a value: `price<20`, `year>=2010`, `taken>2023-05`, `camera!=X100`. Numbers are compared with numbers and dates with dates; images "
    "without the name are left out."
)


def show(address: Address, source: Source) -> tuple[list[str], dict[url.Key, object]]:
    """Choose them; the conditions, that on the label among them, and the entries of the address."""
    label = address.choice(url.LABEL, ("", *source.labels), shown="all labels")
    conditions = _read(address)
    if source.labels:
        _label(source, label)
    _conditions(conditions)
    where = ([f"label={label}"] if label else []) + conditions
    return where, {url.LABEL: label, url.WHERE: conditions}


def _read(address: Address) -> list[str]:
    """The conditions in the address, a line each."""
    asked = [line.strip() for line in address.asked.get(url.WHERE, "").split(url.WHERE.separator)]
    usable = [line for line in dict.fromkeys(asked) if 0 < len(line) <= _LONGEST][:_MOST]
    if len(usable) < len({line for line in asked if line}):
        address.notices.append(
            f"Conditions may be {_MOST}, of at most {_LONGEST} characters each; the others are left out."
        )
    return usable


def _label(source: Source, shown: str) -> None:
    labels = list(source.labels)
    short = dict(zip(labels, class_names.apart(labels, _LONGEST_NAME), strict=True))

    def told(label: str) -> str:
        return f"{class_names.isolated(short[label])} · {source.labels[label]:,}" if label else "All labels"

    st.selectbox(
        "Label",
        ("", *labels),
        **pickers.bind("pick-label", shown, url.LABEL),
        format_func=told,
        help="Only images with this label are found.",
        width=300,
    )


def _conditions(shown: Sequence[str]) -> None:
    st.multiselect(
        "Conditions",
        list(shown),
        **pickers.bind("pick-where", list(shown), url.WHERE),
        accept_new_options=True,
        max_selections=_MOST,
        placeholder="such as price<20",
        help=_HELP,
        width=300,
    )
