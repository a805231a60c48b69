"""Keep what Keras has compiled between runs of pages.

Streamlit clears Keras's session after every run of a page, for all users of the process, as TensorFlow 1 needed. With Keras 3 that only
throws away compiled functions: the next image waits several times as long for its vector. Streamlit 1.67 has no setting for it, so a
private function of it is replaced. The test fails when Streamlit no longer clears the session; then this module can go.
"""

from streamlit.runtime.scriptrunner import script_runner


def keep() -> None:
    """Have Streamlit leave Keras's session alone in this process."""
    # A renamed function must not go unnoticed.
    assert callable(script_runner._clean_problem_modules)
    script_runner._clean_problem_modules = lambda: None
