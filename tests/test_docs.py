"""The documentation builds, and what it says about commands, settings and files is so."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_builds_without_a_warning(tmp_path: Path) -> None:
    """Warnings are errors: broken links, pages that no contents list, docstrings that are no valid markup."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    built = subprocess.run([*command, ROOT / "docs", tmp_path], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "api" / "core.metrics.html").is_file()
