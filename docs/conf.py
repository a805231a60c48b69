"""How Sphinx builds the documentation: ``make docs``."""

import sys
from pathlib import Path

# Before autodoc sets TYPE_CHECKING, with which it fails.
import fastapi  # noqa: F401
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

project = "Embedding Playground"
copyright = "the authors of Embedding Playground"
html_title = project
html_theme = "furo"
html_logo = html_favicon = "../dashboard/icon.svg"
html_show_sphinx = False
html_copy_source = False

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# Headings of Markdown get the anchors that GitHub gives them, so that links work in both places.
myst_heading_anchors = 3

apidoc_modules = [
    {
        "path": "../core",
        "destination": "api",
        # Imported where Apache Beam or Apache Airflow is installed.
        "exclude_patterns": ["../core/pipelines"],
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
]
# A name belongs to the module that defines it, not to the package that exports it.
autodoc_default_options = {"ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False


# Where pages of the documentation are that include a file from elsewhere in the repository.
_INCLUDED = {
    "../docs/": "",
    "docs/": "",
    "dashboard/": "../dashboard/",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "precomputed/README.md": "datasets.md",
    "notebooks/": "../notebooks/",
}


def _relink(app: Sphinx, path: Path, parent: str, source: list[str]) -> None:
    for start, replacement in _INCLUDED.items():
        source[0] = source[0].replace(f"]({start}", f"]({replacement}")


def setup(app: Sphinx) -> None:
    """Let links of included files lead to pages."""
    app.connect("include-read", _relink)
