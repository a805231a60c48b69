"""A button that downloads a file."""

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import streamlit as st

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
}


def show(label: str, content: Callable[[], bytes], file: str, **options: Any) -> None:
    """Show a button whose file is computed when it is pressed; the page does not run again."""
    media_type = _MEDIA_TYPES[PurePath(file).suffix]
    st.download_button(
        label, content, file, media_type, icon=":material/download:", on_click="ignore", **options
    )
