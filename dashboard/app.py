"""The dashboard with everything that is served beside it: ``streamlit run dashboard/app.py``.

Streamlit finds the ``app`` below and serves it with its own server; other ASGI servers can too. Those do not say what they listen
on, so the dashboard is read-only behind them unless ``PLAYGROUND_ACCESS=full``.
"""

from collections.abc import Iterable
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp
from streamlit import config

from core import access
from core.server import redirect, routes
from core.server.bodies import FORM_BYTES, Bodies, Limit
from core.server.hosts import Guard
from core.settings import settings
from dashboard import keras_session, preload, url
from dashboard.page_head import PageHead

keras_session.keep()


def _allow_hosts() -> None:
    """Have Streamlit, which checks websockets itself, accept the hosts that our own check accepts."""
    # Streamlit compares only names, of origins as well.
    origins = [f"https://{f'[{host}]' if ':' in host else host}" for host in settings.ALLOWED_HOSTS]
    _extend("server.corsAllowedOrigins", origins)
    # Empty, it accepts all hosts that our own check accepts.
    if st.get_option("server.allowedHosts"):
        _extend("server.allowedHosts", settings.ALLOWED_HOSTS)


def _extend(option: str, values: Iterable[str]) -> None:
    there = st.get_option(option)
    config.set_option(option, [*there, *(value for value in values if value not in there)])


_allow_hosts()
# Again whenever Streamlit has read a changed file of its settings.
config.on_config_parsed(_allow_hosts, force_connect=True)

_address = st.get_option("server.address")
access.serve(_address)

_base = st.get_option("server.baseUrlPath") or ""
# Where Streamlit's file uploader sends files to; maxUploadSize is in MiB.
_uploads = Limit(
    f"{routes.prefix(_base)}/_stcore/upload_file/",
    st.get_option("server.maxUploadSize") * 2**20 + FORM_BYTES,
    settings.UPLOAD_SECONDS,
)
app: ASGIApp = st.App(
    # Not beside the folder pages: Streamlit would take every file there for a page.
    Path(__file__).resolve().parent / "pages/navigation.py",
    # Streamlit knows the default page as / alone.
    routes=[*routes.page_routes(_base), redirect.to_parent(f"{routes.prefix(_base)}/{url.HOME.path}")],
    middleware=[
        Middleware(Bodies, limits=[_uploads]),
        Middleware(PageHead, base=routes.prefix(_base)),
        # Search was at / once: addresses with keys that Home does not have are of that page.
        Middleware(
            redirect.Moved,
            path=f"{routes.prefix(_base)}/",
            keys=set(url.SEARCH.keys) - set(url.HOME.keys),
            to=url.SEARCH.path,
        ),
    ],
    lifespan=preload.lifespan,
)
# Around all of it, the answers to errors included.
app = Guard(app, _address)
