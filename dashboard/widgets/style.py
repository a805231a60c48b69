"""What Streamlit's theme has no setting for, as CSS; :mod:`dashboard.page_head` adds it to every page.

``style.css`` beside this file has the scale and what all pages share. What belongs to one widget or page is in a style sheet beside its module.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_SHARED = (_HERE / "style.css").read_text("utf-8")
_WIDGETS = sorted(path for path in _HERE.glob("*.css") if path.name != "style.css")
_PAGES = sorted((_HERE.parent / "pages").glob("*/page.css"))

SCALE = _SHARED[: _SHARED.index("}") + 1]
"""Sizes of text, distances and the radius, as custom properties."""

RULES = "\n".join((_SHARED, *(path.read_text("utf-8") for path in (*_WIDGETS, *_PAGES))))
