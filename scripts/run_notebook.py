"""Run the notebook and write its outputs anew, without what tells about this machine: times, warnings and versions.

.venv/bin/python scripts/run_notebook.py
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "semantic_image_search.ipynb"


def run(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in the folder of the notebook and keep their outputs; raises CellExecutionError."""
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        resources=place,
        record_timing=False,
        coalesce_streams=True,
    ).execute()


def strip(notebook: nbformat.NotebookNode) -> None:
    """Remove what differs from machine to machine; print the warnings that are removed."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.get("name") == "stderr":
                    print(output.text, file=sys.stderr)
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


if __name__ == "__main__":
    # The core beside this script, also where another checkout is installed.
    os.environ["PYTHONPATH"] = str(ROOT)
    read = nbformat.read(NOTEBOOK, as_version=4)
    run(read)
    strip(read)
    nbformat.write(read, NOTEBOOK)
