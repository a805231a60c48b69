import importlib.util

import pytest
from streamlit.runtime.scriptrunner import script_runner
from streamlit.testing.v1 import AppTest

from core import access

pytestmark = pytest.mark.slow


def _uids_of_two_runs() -> tuple[int, int]:
    """A number that Keras counts up, before and after a page ran: the second is 1 where the session was cleared."""
    import keras

    before = keras.backend.get_uid("kept")
    AppTest.from_string("import streamlit as st\nst.write('a page')").run()
    return before, keras.backend.get_uid("kept")


def test_the_server_keeps_the_session_of_keras(monkeypatch):
    # The module makes a server of this process.
    monkeypatch.setattr(access, "_read_only", False)
    monkeypatch.setattr(script_runner, "_clean_problem_modules", script_runner._clean_problem_modules)
    importlib.reload(importlib.import_module("dashboard.app"))
    before, after = _uids_of_two_runs()
    assert after == before + 1


def test_streamlit_by_itself_clears_it():
    # Where this fails, dashboard/keras_session.py is no longer needed.
    source = importlib.util.find_spec("streamlit.runtime.scriptrunner.script_runner")
    assert source is not None and source.loader is not None
    fresh = importlib.util.module_from_spec(source)
    source.loader.exec_module(fresh)
    import keras

    keras.backend.get_uid("kept")
    fresh._clean_problem_modules()
    assert keras.backend.get_uid("kept") == 1
