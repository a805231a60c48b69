"""The pages: the first run of the script in a fresh process, and a run after a change."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.table import Row

_ROOT = Path(__file__).resolve().parent.parent
_PROCESSES = 5
# Imports only needed to compute something: a page of stored results has no use for them.
_HEAVY = ("tensorflow", "umap", "sklearn")
_PAGES = {
    # page: what is changed, goal of the first run in seconds, of a change in milliseconds
    "search": ("layer", 1.5, 100),
    "embeddings": ("model", 1.5, 200),
    "compare": ("metric", 1.5, 200),
}

# Streamlit itself is imported before the clock starts: the server has it long before a page is opened.
_SCRIPT = """
import json, statistics, sys, time
from streamlit.testing.v1 import AppTest
page, part, heavy = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
test = AppTest.from_file("dashboard/navigation.py", default_timeout=60)
if page != "search":
    test.switch_page(f"views/{page}.py")
started = time.perf_counter()
test.run()
first = time.perf_counter() - started
assert not test.exception, test.exception
loaded = [name for name in heavy if name in sys.modules]
changes = []
options = test.selectbox(key=f"pick-{part}").options
for turn in range(9):
    picker = test.selectbox(key=f"pick-{part}")
    picker.select_index((picker.index + 1) % len(options))
    started = time.perf_counter()
    test.run()
    changes.append(time.perf_counter() - started)
    assert not test.exception, test.exception
print(json.dumps({"first": first, "change": statistics.median(changes[1:]) * 1000, "loaded": loaded}))
"""


def rows() -> list[Row]:
    """First run and change of every page, each the median of fresh processes."""
    found: dict[str, list[dict]] = {page: [] for page in _PAGES if _exists(page)}
    for _ in range(_PROCESSES):
        for page in found:
            found[page].append(_measure(page))
    table = []
    for page, results in found.items():
        part, first_goal, change_goal = _PAGES[page]
        loaded = sorted({name for result in results for name in result["loaded"]})
        note = f"imports {', '.join(loaded)}" if loaded else f"none of {', '.join(_HEAVY)} imported"
        first = statistics.median(result["first"] for result in results)
        change = statistics.median(result["change"] for result in results)
        table += [
            Row(f"{page} page, first run in a fresh process", first, "s", first_goal, note),
            Row(f"{page} page, another {part}", change, "ms", change_goal, "server time, warm"),
        ]
    return table


def _exists(page: str) -> bool:
    return (_ROOT / "dashboard" / "views" / f"{page}.py").is_file()


def _measure(page: str) -> dict:
    process = subprocess.run(
        [sys.executable, "-c", _SCRIPT, page, _PAGES[page][0], ",".join(_HEAVY)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"The {page} page failed:\n{process.stderr}")
    return json.loads(process.stdout.splitlines()[-1])
