"""The tutorial runs from top to bottom, its answers too, and its numbers are those of core."""

import ast
import itertools
import json
import re
from functools import cache

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from tests.conftest import ROOT

NOTEBOOK = ROOT / "notebooks" / "semantic_image_search.ipynb"
ANSWER = re.compile(r"<details><summary>Answer</summary>\n\n```python\n(.*?)```\n\n(.+?)\n\n</details>", re.S)
# Pairs of a number of the notebook and the same number from core, computed when all other cells have run.
PAIRS = """
import json
from core.collections.index import exact_search
from core.exact_index import Index

stored = grid.run(chosen).vectors(chosen.layer)[1]
places, nearest = Index(vectors, "cosine").search(vectors, 11)
_, found_by_hnsw = hnsw.search(part_queries, 10)
print(json.dumps({
    "precision": (precision_by_embedding, evaluation.same[:, :10].mean()),
    "score": (score, evaluation.mean),
    "low": (low, evaluation.low),
    "high": (high, evaluation.high),
    "vectors": (np.abs(vectors - stored).max() / np.abs(stored).max(), 0),
    "neighbors": ((faiss_order == places).mean(), 1),
    "distances": (np.abs(1 - faiss_similarity - nearest).max(), 0),
    "recall of HNSW": (measured["recall@10"][3], exact_search.recall(found_by_hnsw, truth)),
    "recall of re-ranked IVF-PQ": (recall_after, exact_search.recall(reranked, truth)),
}, default=float))
"""


@cache
def committed() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def code() -> list[nbformat.NotebookNode]:
    return [cell for cell in committed().cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def executed() -> nbformat.NotebookNode:
    """The notebook after a run, with a cell for each answer and, before the last code cell, one for the numbers."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = []
    for cell in notebook.cells:
        if cell is [one for one in notebook.cells if one.cell_type == "code"][-1]:
            cells.append(new_code_cell(PAIRS, metadata={"added": "pairs"}))
        cells.append(cell)
        if cell.cell_type == "markdown":
            cells += [
                new_code_cell(answer, metadata={"added": "answer"})
                for answer, _ in ANSWER.findall(cell.source)
            ]
    notebook.cells = cells
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    with pytest.MonkeyPatch.context() as patch:
        # The core beside this test, also where another checkout is installed.
        patch.setenv("PYTHONPATH", str(ROOT))
        return NotebookClient(notebook, kernel_name="python3", timeout=600, resources=place).execute()


@pytest.mark.slow
def test_its_numbers_are_those_of_core(executed: nbformat.NotebookNode) -> None:
    [cell] = [cell for cell in executed.cells if cell.metadata.get("added") == "pairs"]
    pairs = json.loads(cell.outputs[-1].text)
    of_notebook, of_core = ({name: pair[place] for name, pair in pairs.items()} for place in (0, 1))
    assert of_notebook == pytest.approx(of_core, rel=5e-3, abs=2e-3)


@pytest.mark.slow
def test_stored_outputs_are_those_of_a_run(executed: nbformat.NotebookNode) -> None:
    """Text and tables, with the same words and nearly the same numbers; not the table with times."""
    run = [cell for cell in executed.cells if cell.cell_type == "code" and "added" not in cell.metadata]
    for stored, fresh in zip(code(), run, strict=True):
        if '"speed"' in stored.source:
            continue
        old, new = _text(stored), _text(fresh)
        number = r"-?\d[\d,]*\.?\d*"
        assert re.sub(r"\s*" + number, " 0", old) == re.sub(r"\s*" + number, " 0", new), stored.source
        values = [[float(one.replace(",", "")) for one in re.findall(number, text)] for text in (old, new)]
        assert values[0] == pytest.approx(values[1], rel=0.02, abs=0.02), stored.source


@pytest.mark.slow
def test_every_answer_was_run(executed: nbformat.NotebookNode) -> None:
    answers = [cell for cell in executed.cells if cell.metadata.get("added") == "answer"]
    assert len(answers) == 8
    assert all(cell.execution_count and cell.outputs for cell in answers)


def _text(cell: nbformat.NotebookNode) -> str:
    parts = [
        output.text if output.output_type == "stream" else output.data.get("text/plain", "")
        for output in cell.outputs
        if output.get("name") != "stderr"
    ]
    return "".join(parts)


def test_outputs_are_complete_and_in_order() -> None:
    assert [cell.execution_count for cell in code()] == list(range(1, len(code()) + 1))
    outputs = [output for cell in code() for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"display_data", "execute_result", "stream"}
    assert (
        sum("image/png" in one.get("data", {}) or "image/jpeg" in one.get("data", {}) for one in outputs)
        >= 15
    )


def test_nothing_tells_about_the_machine_that_ran_it() -> None:
    text = re.sub(r'"image/(png|jpeg)": "[^"]*"', "", NOTEBOOK.read_text("utf-8"))
    assert not re.search(
        r"(?<![\w.:/])/(?:home|root|tmp|var|work|Users|opt|usr)/| at 0x|stderr|execution\"", text
    )
    assert committed().metadata.language_info == {"name": "python"}


def test_it_is_small() -> None:
    assert NOTEBOOK.stat().st_size < 3_000_000


def test_every_figure_is_explained() -> None:
    cells = committed().cells
    for cell, following in itertools.pairwise(cells):
        if cell.cell_type == "code" and any(
            "image/" in kind for one in cell.outputs for kind in one.get("data", {})
        ):
            assert following.cell_type == "markdown", cell.source


def test_every_exercise_has_a_folded_answer() -> None:
    exercises = [cell.source for cell in committed().cells if "### Exercise" in cell.source]
    assert len(exercises) == 8
    for text in exercises:
        assert len(ANSWER.findall(text)) == 1, text


def test_it_uses_public_names_only() -> None:
    for cell in code():
        for node in ast.walk(ast.parse(cell.source)):
            names = [node.attr] if isinstance(node, ast.Attribute) else []
            if isinstance(node, ast.ImportFrom):
                names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
            assert not [name for name in names if name.startswith("_")], cell.source
