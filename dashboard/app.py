"""The dashboard with everything that is served beside it: ``streamlit run dashboard/app.py``.

Streamlit finds the ``app`` below and serves it with its own server; other ASGI servers can too.
"""

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.scriptrunner import script_runner

# Streamlit puts this file's folder on the path; our packages lie one above.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core import api, pictures, settings
from core.server.bodies import FORM_BYTES, Bodies, Limit
from dashboard.components import layouts, plotly_js

# Before every run of a page Streamlit clears Keras's session, as TensorFlow 1 needed. Now that only throws away
# what the networks of all users were compiled to, and the next picture waits ten times as long for its vector.
script_runner._clean_problem_modules = lambda: None

_base = st.get_option("server.baseUrlPath") or ""
_prefix = f"/{_base.strip('/')}" if _base else ""
# Where Streamlit's file uploader sends files to; maxUploadSize is in MiB.
_uploads = Limit(
    f"{_prefix}/_stcore/upload_file/",
    st.get_option("server.maxUploadSize") * 2**20 + FORM_BYTES,
    settings.UPLOAD_SECONDS,
)
app = st.App(
    Path(__file__).resolve().parent / "navigation.py",
    routes=[route for part in (api, pictures, layouts, plotly_js) for route in part.routes(_base)],
    middleware=[Middleware(Bodies, limits=[_uploads])],
)
