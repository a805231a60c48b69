import re
import socket
import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_idle
from tests.conftest import ROOT


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_dashboard_opens_without_errors(page: Page):
    page.goto("/")
    wait_until_idle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page).to_have_title(re.compile(r"\S"))
    expect(page.get_by_role("heading").first).to_be_visible()
    assert page.errors == []


def test_a_port_in_use_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "core", "run", "--port", port]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 2
    assert port in answer.stderr
    assert "choose another, for example" in answer.stderr
    assert "Traceback" not in answer.stderr
