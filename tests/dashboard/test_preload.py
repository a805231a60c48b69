"""What a server loads before anybody opens a page."""

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import preload
from tests.conftest import ROOT


@pytest.mark.slow
def test_home_needs_no_other_modules_and_nothing_heavy_is_loaded():
    code = """
import json, os, sys
from streamlit.testing.v1 import AppTest
from dashboard import app, preload
preload.load()
heavy = {"tensorflow", "keras", "openvino", "umap", "faiss", "sklearn"} & set(sys.modules)
before = set(sys.modules)
test = AppTest.from_file("dashboard/pages/navigation.py", default_timeout=120).run()
assert not test.exception, test.exception
ours = ("core.", "dashboard.widgets.", "dashboard.frontend.")
added = [name for name in sys.modules if name not in before and name.startswith(ours)]
print(json.dumps([sorted(heavy), added, "pandas" in before]))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == [[], [], True]


def test_a_server_loads_it_in_a_thread_when_it_starts(monkeypatch):
    loaded = threading.Event()
    monkeypatch.setattr(preload, "load", loaded.set)

    async def serve():
        async with preload.lifespan(None):
            await asyncio.to_thread(loaded.wait, 60)

    # In a thread of its own: this one may have a loop of the browser tests.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, serve()).result()
    assert loaded.is_set()
