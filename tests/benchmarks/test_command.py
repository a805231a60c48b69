import importlib
import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import browser, pages
from benchmarks.measure import LeftOut
from tests.conftest import ROOT


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def files() -> dict[str, int]:
    """What is in the repository beside caches."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in ROOT.rglob("*")
        if path.is_file()
        and not {".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv"} & set(path.parts)
    }


@pytest.mark.slow
def test_a_part_is_measured_for_real_and_saved_where_asked(tmp_path):
    before = files()
    answer = run("--only", "reading", "--json", "--save", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    table = json.loads(answer.stdout)
    assert table["head"]["date"] and table["head"]["versions"]["python"]
    (row,) = table["rows"]
    assert row["part"] == "reading" and row["unit"] == "ms"
    assert 0.01 < row["low"] <= row["figure"] <= row["high"]
    (saved,) = tmp_path.iterdir()
    assert saved.name.startswith(table["head"]["date"][:10]) and saved.suffix == ".json"
    assert saved.read_text() == answer.stdout
    assert files() == before


@pytest.mark.slow
def test_without_save_nothing_is_written():
    before = files()
    answer = run("--only", "reading")
    assert answer.returncode == 0, answer.stderr
    assert "reading one experiment" in answer.stdout and "FORWARD" not in answer.stdout
    assert files() == before


def test_an_unknown_part_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "nonsense"])
    assert "'reading'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_part_that_fails_or_can_not_be_measured_costs_no_other(monkeypatch, capsys):
    def unavailable() -> list:
        raise LeftOut("No browser here.")

    def broken() -> list:
        raise ValueError("broken on purpose")

    monkeypatch.setattr(browser, "rows", unavailable)
    monkeypatch.setattr(pages, "rows", broken)
    assert command.main(["--only", "pages", "--only", "browser", "--only", "reading"]) == 1
    text = capsys.readouterr().out
    assert "browser left out: No browser here." in text
    assert "pages left out: failed: broken on purpose" in text
    assert "reading one experiment" in text


def test_every_part_is_a_module_with_rows():
    for part in command.PARTS:
        assert callable(importlib.import_module(f"benchmarks.{part}").rows)
