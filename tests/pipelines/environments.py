"""The environments in which Apache Beam and Apache Airflow run."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


def python(environment: str) -> Path:
    """The Python of an environment, such as ``.venv-pipeline``; without it the test is skipped, in CI it fails."""
    found = ROOT / environment / "bin" / "python"
    if not found.exists():
        reason = f"There is no {environment}; make test-scale creates it."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def output(environment: str, *arguments: str) -> str:
    """What Python prints in an environment."""
    done = subprocess.run(
        [python(environment), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
