"""Published data that some tests compare with, when it lies beside the checkout."""

from pathlib import Path

import pytest

PUBLISHED = (
    Path(__file__).resolve().parents[2]
    / "shared"
    / "reference"
    / "convnet-playground"
    / "assets"
    / "semsearch"
)

needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published reference data is not beside this checkout"
)
