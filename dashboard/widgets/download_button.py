"""A button that downloads a file."""

from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.text import spreadsheet_safe

if TYPE_CHECKING:
    import pandas as pd

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
}


def csv(table: "pd.DataFrame") -> bytes:
    """A table as CSV whose texts no spreadsheet takes for formulas."""
    safe = table.rename(columns=spreadsheet_safe).map(
        lambda cell: spreadsheet_safe(cell) if isinstance(cell, str) else cell
    )
    return safe.to_csv(index=False).encode()


def show(label: str, content: Callable[[], bytes], file: str, **options: Any) -> None:
    """Show a button whose file is computed when it is pressed; the page does not run again."""
    media_type = _MEDIA_TYPES[PurePath(file).suffix]
    st.download_button(
        label, content, file, media_type, icon=":material/download:", on_click="ignore", **options
    )
