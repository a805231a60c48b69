"""The pages: the first run of the script in a fresh process, and a run after a change.

Pages are those that ``dashboard/navigation.py`` lists.
"""

import json
import subprocess
import sys

from benchmarks.measure import ROOT, Sample
from benchmarks.table import Row
from dashboard.url import PATHS

_PROCESSES = 5
# Imports only needed to compute something: a page of stored results has no use for them.
_HEAVY = ("tensorflow", "umap", "sklearn")
_FIRST_GOAL = 1.5  # seconds
_CHANGE_GOALS = {"search": 100}  # milliseconds
_CHANGE_GOAL = 200
# The most frequent change of a page; of others the first of these that they have.
_CHANGES = {
    "home": "decide-most-ms",
    "search": "pick-layer",
    "embeddings": "pick-model",
    "compare": "pick-metric",
}
_CANDIDATES = ("pick-layer", "pick-model", "pick-metric", "pick-pooling")

# Streamlit, and what is served beside the pages, are imported before the clock starts: a server has them before it answers.
_SCRIPT = """
import json, sys, time
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
import dashboard.app
from dashboard.url import PATHS
page, keys, heavy = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
test = AppTest.from_file("dashboard/pages/navigation.py", default_timeout=60)
if page != "home":
    test._page_hash = calc_hash(PATHS[page])
started = time.perf_counter()
test.run()
first = time.perf_counter() - started
assert not test.exception, test.exception
loaded = [name for name in heavy if name in sys.modules]
pickers = {box.key: len(box.options) for box in test.selectbox}
key = next((key for key in keys if pickers.get(key, 0) > 1), None)
changes = []
for turn in range(9):
    if key:
        picker = test.selectbox(key=key)
        picker.select_index((picker.index + 1) % len(picker.options))
    started = time.perf_counter()
    test.run()
    changes.append(time.perf_counter() - started)
    assert not test.exception, test.exception
print(json.dumps({"first": first, "changes": changes[1:], "key": key, "loaded": loaded}))
"""


def rows() -> list[Row]:
    """First run and change of every page, over fresh processes that take turns."""
    found: dict[str, list[dict]] = {page: [] for page in PATHS}
    for _ in range(_PROCESSES):
        for page in found:
            found[page].append(_measure(page))
    table = []
    for page, results in found.items():
        loaded = sorted({name for result in results for name in result["loaded"]})
        note = f"imports {', '.join(loaded)}" if loaded else f"none of {', '.join(_HEAVY)} is imported"
        first = Sample(tuple(result["first"] for result in results))
        changes = Sample(tuple(seconds for result in results for seconds in result["changes"])).times(1000)
        changed = results[0]["key"]
        what = f"another {changed.removeprefix('pick-').removeprefix('decide-')}" if changed else "run again"
        table += [
            Row.of(f"{page} page, first run in a fresh process", first, "s", goal=_FIRST_GOAL, note=note),
            Row.of(
                f"{page} page, {what}",
                changes,
                "ms",
                goal=_CHANGE_GOALS.get(page, _CHANGE_GOAL),
                note="server time, warm",
            ),
        ]
    return table


def _measure(page: str) -> dict:
    keys = dict.fromkeys((_CHANGES.get(page, _CANDIDATES[0]), *_CANDIDATES))
    process = subprocess.run(
        [sys.executable, "-c", _SCRIPT, page, ",".join(keys), ",".join(_HEAVY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"The {page} page failed:\n{process.stderr}")
    return json.loads(process.stdout.splitlines()[-1])
