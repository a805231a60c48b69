"""The dashboard with everything that is served beside it: ``streamlit run dashboard/app.py``.

Streamlit finds the ``app`` below and serves it with its own server; other ASGI servers can too.
"""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this file's folder on the path; our packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core import api, pictures
from dashboard.components import layouts, plotly_js

_base = st.get_option("server.baseUrlPath") or ""
app = st.App(
    Path(__file__).resolve().parent / "navigation.py",
    routes=[route for part in (api, pictures, layouts, plotly_js) for route in part.routes(_base)],
)
