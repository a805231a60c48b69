"""``.venv-pipeline``, which ``make pipeline`` creates."""

import importlib.metadata
import importlib.util
import json
import re

import pytest

from tests.conftest import ROOT
from tests.pipelines import environments

pytestmark = pytest.mark.scale

PIXELS = ("pillow", "pi-heif", "numpy", "tensorflow", "keras", "openvino", "h5py", "ml_dtypes")


def test_everything_that_touches_pixels_has_the_version_of_the_app():
    here = {name: importlib.metadata.version(name) for name in PIXELS if name != "openvino"}
    if importlib.util.find_spec("openvino"):
        here["openvino"] = importlib.metadata.version("openvino")
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    assert json.loads(environments.output(".venv-pipeline", "-c", code, *here)) == here


def test_beam_finds_its_dependencies_at_versions_that_it_takes_but_for_pillow():
    code = (
        "import importlib.metadata as m\n"
        "from packaging.requirements import Requirement\n"
        "for one in map(Requirement, m.requires('apache-beam')):\n"
        "    if one.marker is None or one.marker.evaluate({'extra': ''}):\n"
        "        if m.version(one.name) not in one.specifier: print(one.name)\n"
    )
    assert environments.output(".venv-pipeline", "-c", code).split() == ["pillow"]


def test_only_what_beam_needs_otherwise_differs_from_the_app():
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE))

    app, pipeline = pins("constraints.txt"), pins("requirements-pipeline.txt")
    assert {name for name in app.keys() & pipeline.keys() if app[name] != pipeline[name]} == {
        "protobuf",
        "pyarrow",
        "python-dateutil",
    }


def test_the_project_of_this_folder_is_imported():
    code = "import core, os; print(os.path.dirname(core.__path__[0]))"
    assert environments.output(".venv-pipeline", "-c", code).strip() == str(ROOT)


def test_beam_runs_a_pipeline_in_process():
    code = (
        "import apache_beam as beam\n"
        "with beam.Pipeline(runner='apache_beam.runners.portability.fn_api_runner.FnApiRunner') as pipeline:\n"
        "    pipeline | beam.Create([1, 2]) | beam.CombineGlobally(sum) | beam.Map(print)\n"
    )
    assert environments.output(".venv-pipeline", "-c", code).strip() == "3"
