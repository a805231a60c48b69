"""The project as an installed package: the code that pages hand out runs in any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.experiments.store import Configuration
from dashboard.pages.compare import code_snippets
from tests.conftest import ROOT
from tests.experiments.synthetic import draw_dataset

pytestmark = pytest.mark.slow

CONFIGURATION = Configuration("efficientnet-lite0", "imagenet", "block6_output", "avg", "cosine")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the project is installed into; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    # Setuptools keeps what it builds, and would ship files that are no longer in the checkout.
    (folder / "build.cfg").write_text(f"[build]\nbuild_base={folder}/build\n[egg_info]\negg_base={folder}\n")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", folder / "site", ROOT]
    subprocess.run(
        [sys.executable, "-m", "pip", *install],
        env={**os.environ, "DIST_EXTRA_CONFIG": str(folder / "build.cfg")},
        check=True,
    )
    return folder / "site"


@pytest.fixture
def run(installed: Path, tmp_path: Path):
    """Run a command in a folder elsewhere; returns what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLAYGROUND_")}
    environment = {
        **inherited,
        "PYTHONPATH": str(installed),
        "PATH": f"{installed}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_code_of_a_page_indexes_and_searches_a_folder(run, installed, tmp_path):
    pictures = draw_dataset(tmp_path / "pictures", 2, 3)
    own = str(pictures.path(0))
    program = code_snippets.python(CONFIGURATION, str(tmp_path / "pictures"), own, "by-program")
    counted, nearest, *_ = run(sys.executable, "-c", program).splitlines()
    assert counted == "6 added, 0 left out" and nearest.endswith(own)
    commands = code_snippets.commands(CONFIGURATION, str(tmp_path / "pictures"), own, "by-command")
    assert own in run("sh", "-ec", commands)
    assert {path.name for path in tmp_path.glob("data/*/collections/by-*")} == {"by-program", "by-command"}
    assert not (installed / "collections").exists()


def test_the_shipped_results_and_pages_come_along(run, installed):
    assert "emoji200" in run("playground", "datasets")
    for folder in ("dashboard", "precomputed"):
        files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.*") if path.is_file()}
        assert {path for path in files if path.suffix != ".pyc" and not (installed / path).exists()} == set()
