"""``models describe``: compute the files that describe architectures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from core.cli import output


def add(commands: Any) -> None:
    """Add the command to the group ``models``."""
    describe = output.command(
        commands, "describe", _describe, "describe the layers of models for the dashboard"
    )
    describe.add_argument("names", nargs="*", metavar="NAME", help="default: all models")
    describe.add_argument("--out", type=Path, help="folder of all models; default: where the dashboard looks")


def _describe(options: argparse.Namespace) -> None:
    from core.experiments import parquet_tables
    from core.models import architecture, registry
    from core.settings import settings

    models = [registry.get_model(name) for name in options.names or registry.MODELS]
    output.start_tensorflow()
    for model in models:
        description = architecture.describe(model.build_graph(), model)
        folder = (options.out or settings.MODELS_DIR) / model.name
        folder.mkdir(parents=True, exist_ok=True)
        parquet_tables.replace_file(folder / architecture.FILE, architecture.text(description).encode())
        print(f"{model.name}: {len(description.layers)} layers", file=sys.stderr)
