"""Sizes of text and distances are those of the scale, in style sheets and in the HTML that pages write."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.widgets import style
from tests.conftest import ROOT

DASHBOARD = ROOT / "dashboard"
SHEETS = sorted(DASHBOARD.rglob("*.css"))
DISTANCE = re.compile(r"(margin|padding|gap|row-gap|column-gap)(-(top|right|bottom|left|inline|block))?")
# One pixel joins or separates lines; everything else is a step.
ALLOWED = re.compile(
    r"0|auto|-?1px|var\(--space(-half|-double|-triple)?\)|calc\(-?\d+ \* var\(--space(-half)?\)\)"
)


def declarations(text: str) -> Iterator[tuple[str, str]]:
    """Each property with its value."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for name, value in re.findall(r"(?<![\w-])([a-z-]+)\s*:\s*([^;{}\"'`]+)(?=[;}\"'`])", text):
        yield name, value.strip()


def off_scale(text: str) -> list[str]:
    """The declarations that are not on the scale."""
    found = []
    for name, value in declarations(text):
        if name == "font-size":
            fits = re.fullmatch(r"inherit|var\(--text-(small|normal|large|title)\)", value)
        elif DISTANCE.fullmatch(name):
            fits = all(map(ALLOWED.fullmatch, re.findall(r"(?:\w+\((?:[^()]|\([^()]*\))*\)|[^\s]+)", value)))
        elif name == "border-radius":
            fits = re.fullmatch(r"(0|50%|999px|2px|var\(--radius\))( (0|2px|var\(--radius\)))*", value)
        else:
            continue
        if not fits:
            found.append(f"{name}: {value}")
    return found


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_style_sheets_keep_to_the_scale(sheet: Path):
    assert off_scale(sheet.read_text()) == []


def test_html_and_scripts_keep_to_the_scale():
    wrong = {}
    for suffix in ("*.py", "*.js", "*.html"):
        for path in DASHBOARD.rglob(suffix):
            styled = "\n".join(re.findall(r"style=\\?[\"'][^\"']*[\"']|\bcss=\"[^\"]*\"", path.read_text()))
            if found := off_scale(styled):
                wrong[path.name] = found
    assert wrong == {}


@pytest.mark.parametrize(
    "text",
    ["a { font-size: 0.8rem; }", "a { padding: 0 0.3rem; }", "a { gap: 12px; }", "a { border-radius: 0.5rem; }", '<i style="margin:3px">'],
)  # fmt: skip
def test_what_is_off_the_scale_is_found(text):
    assert off_scale(text)


def test_every_sheet_of_a_page_or_widget_is_in_the_style_of_all_pages():
    assert style.SCALE in style.RULES
    for sheet in SHEETS:
        # Those of components and of the report are in these alone.
        everywhere = "widgets" in sheet.parts or sheet.name == "page.css"
        assert (sheet.read_text() in style.RULES) == everywhere, sheet
    assert re.findall(r"--[a-z-]+(?=:)", style.SCALE) == [
        *(f"--text-{name}" for name in ("small", "normal", "large", "title")),
        *(f"--space{name}" for name in ("-half", "", "-double", "-triple")),
        "--radius",
    ]
