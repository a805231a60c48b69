"""Browser components of this package: a Python module with its script and style sheet beside it."""

import re
from pathlib import Path
from typing import Any

import streamlit as st

_IMPORT = re.compile(r'^import [^;"]* from "(\.{1,2}/[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)", re.MULTILINE)


def component(file: str, html: str | None = None, isolate_styles: bool = True) -> Any:
    """The component of a module: the ``.js`` and, where there is one, the ``.css`` beside its file."""
    path = Path(file)
    css = path.with_suffix(".css")
    return st.components.v2.component(
        f"playground_{path.stem}",
        html=html,
        css=css.read_text("utf-8") if css.is_file() else None,
        js=bundle(path.with_suffix(".js")),
        isolate_styles=isolate_styles,
    )


def bundle(entry: Path) -> str:
    """The module at a path after those that it imports, since Streamlit takes a component's script as one text.

    They share one scope: no two may define the same name.
    """
    scripts: dict[Path, str] = {}

    def add(path: Path) -> None:
        if path in scripts:
            return
        text = path.read_text("utf-8")
        for name in _IMPORT.findall(text):
            add((path.parent / name).resolve())
        scripts[path] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(entry.resolve())
    return "\n".join(scripts.values())
