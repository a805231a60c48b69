import csv
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from core.data import datasets
from core.experiments.store import Grid
from dashboard.pages.compare import comparison_context, report, report_charts
from dashboard.pages.compare.sections import exports
from dashboard.widgets import download_button
from tests.dashboard.conftest import DATASET, MODELS, write_run


def context(name: str = DATASET, **asked: str) -> comparison_context.ComparisonContext:
    grid = Grid().load(name)
    return comparison_context.make_context(comparison_context.Address(asked), grid, exports.SECTION)


class Parts(HTMLParser):
    """The tags, the text and what an HTML file would load."""

    def __init__(self, document: str):
        super().__init__()
        self.tags, self.loaded, self.words = [], [], []
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loaded += [
            value for name, value in attributes if name in ("src", "href") or name.startswith("on")
        ]

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_says_what_the_page_says_and_loads_nothing(grid_dir):
    shown = context()
    document = report.html(shown).decode()
    parts = Parts(document)
    words = " ".join(parts.words)
    table = shown.table
    assert f", with {table.means[table.best]:.1f} of 100" in words
    assert f"{len(table.experiments)} configurations compared by 24 searches" in words
    assert {"script", "img", "link", "iframe", "object"}.isdisjoint(parts.tags) and parts.loaded == []
    assert "default-src 'none'" in document
    assert parts.tags.count("svg") == 3
    for svg in re.findall(r"<svg.*?</svg>", document, re.S):
        ElementTree.fromstring(svg)
    for place in table.order[:3]:
        assert shown.name(table.experiments[place]) in words
        assert f"{table.means[place]:.4f}".rstrip("0") in words


def test_the_report_has_robustness_where_it_was_measured(measured):
    document = report.html(context()).decode()
    assert "Robustness" in Parts(document).words and document.count("<svg") == 4


def test_the_report_of_one_half_says_so(grid_dir):
    words = " ".join(Parts(report.html(context(halves="1")).decode()).words)
    assert "Chosen on one half of the images" in words and "which had no part in the choice" in words


def test_names_are_text_and_no_markup(own_grid_dir, monkeypatch):
    hostile = "<script>alert(1)</script>"
    path = own_grid_dir / DATASET / "dataset.json"
    dataset = datasets.load(own_grid_dir / DATASET)
    path.write_text(
        datasets.describe(
            datasets.Dataset(
                dataset.name,
                hostile,
                "",
                dataset.classes,
                dataset.items,
                dataset.fingerprint,
                dataset.images,
            ),
            "images",
        )
    )
    strength, _, poolings = MODELS["good", "imagenet"]
    write_run(own_grid_dir, dataset, "odd", "imagenet", strength, ("<b>&\"'", "second", "third"), poolings)
    document = report.html(context()).decode()
    parts = Parts(document)
    assert "script" not in parts.tags and "b" not in parts.tags
    assert hostile in " ".join(parts.words)


def test_charts_place_values_where_they_belong():
    svg = ElementTree.fromstring(
        report_charts.intervals(["a", "b"], [50.0, 40.0], [45.0, 30.0], [55.0, 50.0], [True, False], "d")
    )
    dots = [float(dot.get("cx")) for dot in svg.iter("circle")]
    lines = [line for line in svg.iter("line") if line.get("stroke-width") == "3"]
    scale = (dots[0] - dots[1]) / 10
    assert scale > 0
    ends = [(float(line.get("x1")), float(line.get("x2"))) for line in lines]
    np.testing.assert_allclose([end - start for start, end in ends], [10 * scale, 20 * scale], atol=0.2)
    svg = ElementTree.fromstring(
        report_charts.scatter(
            np.array([10.0, 100.0, 1000.0]), np.array([1.0, 3.0, 2.0]), np.array([0, 1]), "x", "y", "d"
        )
    )
    places = sorted((float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.iter("circle"))
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y1 < y2 < y0
    svg = ElementTree.fromstring(
        report_charts.heat_map(np.array([[0.0, np.nan], [50.0, 100.0]]), ["r", "s"], ["c", "d"], "d")
    )
    assert [one.text for one in svg.iter("text") if one.text.isdigit()] == ["0", "50", "100"]
    assert len(list(svg.iter("rect"))) == 3


def test_long_names_beside_charts_are_whole_or_shortened_and_differ():
    model = "two (EfficientNet-Lite 0 + SqueezeNet 1.1)"
    names = [f"{model} · 1 combined · {pooling} · cosine" for pooling in ("avg", "flatten")]
    svg = ElementTree.fromstring(
        report_charts.intervals(names, [50.0, 40.0], [45.0, 30.0], [55.0, 50.0], [True, False], "d")
    )
    first, second = [one.text for one in svg.iter("text") if one.get("text-anchor") == "end"][::2]
    assert first.endswith("· avg · cosine") and second.endswith("· flatten · cosine")
    # As wide as the place for them.
    assert max(map(len, (first, second))) < 60
    svg = ElementTree.fromstring(report_charts.heat_map(np.ones((1, 1)), [model], ["c"], "d"))
    assert len(next(one.text for one in svg.iter("text") if one.text.startswith("two"))) < 35


def test_the_page_offers_the_files_or_the_command(grid_dir, open_page, monkeypatch):
    page = open_page("compare", section="export")
    assert not page.exception
    labels = [button.label for button in page.get("download_button")]
    assert labels[0] == "Download the report (HTML)"
    assert labels[1:3] == ["Download 240 rows (Parquet)", "Download 240 rows (CSV)"] and len(labels) == 5
    monkeypatch.setattr("core.experiments.neighbor_export.MOST_ROWS", 1000)
    page = open_page("compare", section="export")
    assert f"playground grid export {DATASET}-neighbors.parquet --dataset {DATASET} -k 10" in [
        code.value for code in page.code
    ]


def test_downloaded_tables_hold_no_formula():
    frame = pd.DataFrame({"=name": ["=1+1", "plain", None], "n": [-1.5, 2.0, 3.0], "k": [1, 2, 3]})
    rows = list(csv.reader(io.StringIO(download_button.csv(frame).decode())))
    assert rows == [["'=name", "n", "k"], ["'=1+1", "-1.5", "1"], ["plain", "2.0", "2"], ["", "3.0", "3"]]
