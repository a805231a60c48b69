"""Threads at the end of a process."""

import subprocess
import sys
import threading

import pytest

from core.threads import NativeCalls
from tests.conftest import ROOT, needs_openvino


def test_the_end_waits_for_calls_under_way_and_lets_no_other_begin():
    calls, inside, goes_on, second = NativeCalls(), threading.Event(), threading.Event(), threading.Event()

    def call():
        with calls:
            inside.set()
            goes_on.wait(60)
        with calls:
            second.set()

    threading.Thread(target=call, daemon=True).start()
    assert inside.wait(60)
    end = threading.Thread(target=calls.end)
    end.start()
    end.join(0.1)
    assert end.is_alive()
    goes_on.set()
    end.join(60)
    assert not end.is_alive()
    assert not second.wait(0.1)


def test_the_end_has_patience_for_a_while_only():
    calls = NativeCalls()
    with calls:
        calls.end(0.01)


@needs_openvino
@pytest.mark.slow
def test_a_process_that_ends_while_a_network_is_compiled_ends_well():
    code = """
import threading
from core.models import networks, registry, runtime
model = registry.get_model("squeezenet")
network = networks.load(model, "imagenet")
compiling = threading.Event()

def work():
    while True:
        compiling.set()
        network.compile([model.layers[-1].name], lambda ops, x: [ops.mean(x)], 1)

threading.Thread(target=work, daemon=True).start()
compiling.wait()
"""
    for _ in range(4):
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
