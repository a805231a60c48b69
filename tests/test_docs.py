"""The documentation builds, and what it says about commands, settings, numbers and files is so."""

import argparse
import doctest
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from core import cli
from core.server import api
from core.settings import settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "precomputed/README.md")),
    ]
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.mark.slow
def test_builds_without_a_warning(tmp_path: Path) -> None:
    """Warnings are errors: broken links, pages that no contents list, docstrings that are no valid markup."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    built = subprocess.run([*command, ROOT / "docs", tmp_path], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "api" / "core.metrics.html").is_file()


@every_page
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@every_page
def test_examples_run(page: Path) -> None:
    assert doctest.testfile(str(page), module_relative=False).failed == 0


@every_page
def test_commands_parse(page: Path) -> None:
    for words in re.findall(r"^ *\.venv/bin/playground (.*[a-zA-Z].*)$", page.read_text("utf-8"), re.M):
        if not words.isupper():
            cli._parser().parse_args(shlex.split(words, comments=True))


@every_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:^ +|`|PATH\S+ |\w=\S+ )make ([a-z-]+)", page.read_text("utf-8"), re.M):
        assert f"\n{target}:" in makefile, target


@every_page
def test_settings_exist(page: Path) -> None:
    for name in re.findall(r"PLAYGROUND_([A-Z_]*[A-Z])", page.read_text("utf-8")):
        assert hasattr(settings, name), name


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", text, re.M))
    source = (ROOT / "core" / "settings.py").read_text("utf-8")
    assert documented.keys() == set(re.findall(r"^ *([A-Z][A-Z_]+): ", source, re.M))
    for name, default in documented.items():
        match getattr(settings, name):
            case None | ():
                assert default == "none", name
            case bool(value):
                assert default == str(int(value)), name
            case int(value):
                assert default == f"{value:,}", name
            case Path() as value:
                assert default == f"`{value.relative_to(ROOT)}`", name
            case tuple(value):
                assert default == ",".join(map(str, value)), name


def test_readme_counts_models_and_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)
    text = (ROOT / "README.md").read_text("utf-8")
    [counts] = re.findall(
        r"(\d+) models with (\d+) layers each, (\d+) of them with ImageNet weights included", text
    )
    n_models, n_layers, n_included = map(int, counts)
    assert len(models) == n_models
    assert {len(model["layers"]) for model in models} == {n_layers}
    # Other packages with weights are installed on request.
    installed = {
        line.split(" ")[0]
        for name in ("requirements.txt", "requirements-extra.txt")
        for line in (ROOT / name).read_text("utf-8").splitlines()
    }
    origins = (model["file"]["origin"].split() for model in models)
    assert sum(kind == "package" and "==".join(name) in installed for kind, *name in origins) == n_included


def test_where_is_names_files_that_hold_the_answer() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+\?) \| `([^`]+)` \| `([^`]+)` \|$", text, re.M)
    assert len(rows) >= 40
    for question, file, name in rows:
        assert name in (ROOT / file).read_text("utf-8"), question


def test_architecture_lists_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for marker in (ROOT / "core").glob("*/__init__.py"):
        assert f"\n      {marker.parent.name}/ " in text, marker.parent.name


def test_rest_api_page_lists_every_route() -> None:
    text = (ROOT / "docs" / "rest-api.md").read_text("utf-8")
    documented = {(verb.lower(), path) for verb, path in re.findall(r"`(GET|POST) /api(/v1/\w+)", text)}
    paths = api.create().openapi()["paths"]
    assert documented == {(verb, path) for path, verbs in paths.items() for verb in verbs}


def test_rest_api_page_lists_every_field() -> None:
    text = (ROOT / "docs" / "rest-api.md").read_text("utf-8")
    [table] = re.findall(r"^\| field \|.*?\n\n", text, re.M | re.S)
    documented = {name for row in table.split("\n|") for name in re.findall(r"`(\w+)`", row.split("|")[0])}
    assert documented == set(api.SearchRequest.model_fields)


def test_command_line_page_lists_every_command() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    [groups] = [action for action in cli._parser()._actions if action.choices]
    for name in {parser.prog.split()[-1] for parser in groups.choices.values()}:
        assert f"\n| `{name}" in text, name


def test_every_option_and_name_of_a_command_has_a_help_text() -> None:
    def without_help(parser: argparse.ArgumentParser) -> list[str]:
        found = []
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [name for one in action.choices.values() for name in without_help(one)]
            elif not action.help:
                found.append(f"{parser.prog} {action.dest}")
        return found

    assert without_help(cli._parser()) == []


def test_user_guide_lists_the_pages_in_their_order() -> None:
    text = (ROOT / "docs" / "user-guide.md").read_text("utf-8")
    [table] = re.findall(r"^\| page \|.*?\n\n", text, re.M | re.S)
    navigation = (ROOT / "dashboard" / "pages" / "navigation.py").read_text("utf-8")
    places = [navigation.index(f'"{title}"') for title in re.findall(r"^\| ([A-Z].*?) \|", table, re.M)]
    assert places == sorted(places)
    assert len(places) == navigation.count(":material/")
