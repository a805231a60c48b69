import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from core import cli
from core.collections import Collection
from core.collections.index import engines
from core.data import datasets
from core.evaluation import comparison as compare
from core.evaluation import scoring
from core.evaluation.rankings import Neighbors
from core.evaluation.uncertainty import Difference
from core.experiments import combination_adding, experiment_table
from core.experiments.combination_adding import Chosen
from core.experiments.query_scores import evaluate
from core.experiments.runner import Request
from core.experiments.store import Configuration, Grid, StoredRun, Summary
from core.metrics import METRICS, pairwise
from core.models import combinations, registry
from core.settings import load as load_settings
from core.settings import settings
from dashboard.pages.compare import code_snippets, comparison_context
from dashboard.pages.compare.sections import configuration_pair, cost_tradeoff, overview
from tests.conftest import ROOT
from tests.dashboard.conftest import DATASET, app, gallery_of, write_run
from tests.experiments.synthetic import draw_dataset

SECTIONS = (
    "overview",
    "leaderboard",
    "cost",
    "factors",
    "pair",
    "pictures",
    "classes",
    "robustness",
    "carry",
    "combine",
    "use",
    "export",
)


def words(page) -> str:
    """All that the page says in sentences."""
    kinds = (page.markdown, page.caption, page.info, page.warning, page.error)
    return "\n".join(part.value for kind in kinds for part in kind).replace("\\", "")


def address(page) -> dict[str, str]:
    return {key: value if isinstance(value, str) else value[0] for key, value in page.query_params.items()}


def charts(page) -> list[dict]:
    return [json.loads(part.proto.spec) for part in page.get("plotly_chart")]


def only(folder, *kept: str) -> None:
    """Remove the experiments of all other models."""
    for run in (folder / DATASET).glob("*.*"):
        if run.is_dir() and run.name not in kept:
            shutil.rmtree(run)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_without_complaint(grid_dir, open_page, section):
    page = open_page("compare", section=section)
    assert not page.exception
    # The models of this grid are made up, so there is no code for them.
    assert len(page.warning) == (1 if section == "use" else 0)
    assert not page.error
    assert address(page).get("section", "overview") == section


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("kept", ["plain.imagenet", "good.untrained"])
def test_every_section_is_sensible_with_one_model_or_without_trained_ones(
    own_grid_dir, open_page, section, kept
):
    only(own_grid_dir, kept)
    page = open_page("compare", section=section)
    assert not page.exception
    assert not page.error


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_sensible_with_a_single_experiment(own_grid_dir, open_page, section, monkeypatch):
    only(own_grid_dir, "plain.imagenet")
    monkeypatch.setattr(StoredRun, "summaries", property(lambda run: _first_summary(run)))
    page = open_page("compare", section=section)
    assert not page.exception
    assert not page.error


def _first_summary(run):
    layer = run.about.layers[0]
    facts = {"dimensions": 6, "score_10": 50.0, "score_15": 50.0, "precision_1": 0.5}
    place = {
        "dataset": DATASET,
        "model": "plain",
        "weights": "imagenet",
        "layer": layer.name,
        "depth": 1,
        "pooling": "avg",
        "metric": "cosine",
    }
    return [Summary(**place, **facts)]


def test_a_dataset_without_experiments_says_how_to_compute_some(grid_dir, open_page):
    page = open_page("compare", dataset="empty")
    assert not page.exception
    assert "grid run --dataset empty" in page.code[0].value


# What is claimed


def test_the_best_and_its_rivals_are_true(grid_dir, open_page):
    grid = Grid(grid_dir)
    summaries = [s for s in grid.load(DATASET).summaries if s.weights == "imagenet"]
    best = max(summaries, key=lambda one: one.score_10)
    said = words(open_page("compare"))
    assert f"with **{best.score_10:.1f}** of 100" in said and "Highest mean score at k = 10" in said
    assert f"of the other {len(summaries) - 1} can't be told from it" in said or "by more than chance" in said
    table = experiment_table.load(grid.load(DATASET), 10, untrained=False)
    assert table.certainty.alike[table.best]
    assert f"such a winner has about {table.certainty.optimism:.1f} points too many" in said


@pytest.mark.parametrize(
    ("alike", "others", "words"),
    [
        (0, 1, "The other one is lower"),
        (1, 1, "the other one is not lower"),
        (0, 7, "All 7 others are lower"),
        (2, 7, "2 of the other 7 can't be told from it"),
    ],
)
def test_one_other_configuration_is_named_as_one(alike, others, words):
    assert words in overview.rivals(alike, others)


def test_a_winner_is_lucky_by_some_points_or_not_at_all():
    def said(optimism: float) -> str:
        certainty = SimpleNamespace(probability=[1.0], optimism=optimism)
        return overview.luck(SimpleNamespace(chosen_on=None, best=0, certainty=certainty))

    assert "about 0.1 points too many" in said(0.12)
    assert all("points" not in said(optimism) for optimism in (0.0, 0.04, -0.04, -0.3))


def test_the_best_may_be_chosen_on_one_half_and_scored_on_the_other(grid_dir, open_page):
    grid = Grid(grid_dir).load(DATASET)
    whole = experiment_table.load(grid, 10, untrained=False)
    half = experiment_table.load(grid, 10, untrained=False, halves=True)
    other = np.setdiff1d(whole.queries, half.queries)
    assert abs(len(half.queries) - len(other)) <= len(set(half.labels))
    columns = np.searchsorted(whole.queries, other)
    np.testing.assert_allclose(half.chosen_on, whole.scores[:, columns].mean(axis=1))
    columns = np.searchsorted(whole.queries, half.queries)
    np.testing.assert_allclose(half.scores, whole.scores[:, columns])
    assert half.best == int(half.chosen_on.argmax())
    assert half.attainable == pytest.approx(whole.attainable)
    said = words(open_page("compare", halves=1))
    assert f"with **{half.means[half.best]:.1f}** of 100" in said
    assert f"{half.chosen_on[half.best]:.1f} there" in said


def test_untrained_controls_are_compared_only_on_request(grid_dir, open_page):
    said = words(open_page("compare", section="leaderboard"))
    assert "**18** of 18 configurations" in said
    page = open_page("compare", section="leaderboard", untrained=1)
    assert "**24** of 24 configurations" in words(page)
    assert address(page)["untrained"] == "1"


def test_the_leaderboard_has_the_scores_of_the_command_line(grid_dir):
    grid = Grid().load(DATASET)
    table = experiment_table.load(grid, 10, untrained=False)
    for place, one in enumerate(table.experiments):
        assert table.means[place] == pytest.approx(one.score_10)
        assert table.quality["nearest"][place] == pytest.approx(100 * one.precision_1)
    low, high = table.intervals
    place = next(place for place, one in enumerate(table.experiments) if one.model == "plain")
    found = evaluate(grid, table.experiments[place], 10)
    assert (low[place], high[place]) == pytest.approx((found.low, found.high), abs=1e-3)


@pytest.mark.slow
def test_recall_and_ndcg_follow_from_the_lists(open_page):
    shown = open_page("compare", dataset="emoji200", section="leaderboard").dataframe[0].value
    grid = Grid().load("emoji200")
    one = next(one for one in grid.summaries if one.weights == "imagenet")
    found = evaluate(grid, one.configuration, 10)
    chance = found.same if found.ties is None else found.ties.chance
    [row] = shown[
        (shown["model"] == grid.run(one).about.title)
        & (shown["layer"] == f"{one.depth} {one.layer}")
        & (shown["pooling"] == one.pooling)
        & (shown["metric"] == one.metric)
    ].to_dict("records")
    relevant = np.full(200, 19)
    assert row["recall@10"] == pytest.approx(100 * chance[:, :10].sum(axis=1).mean() / 19, abs=0.01)
    assert row["nDCG@10"] == pytest.approx(100 * scoring.ndcg_at_k(chance, 10, relevant).mean(), abs=0.01)


@pytest.mark.slow
def test_intervals_of_classes_contain_their_means_and_are_longer_than_those_of_all():
    table = experiment_table.load(Grid().load("objects200"), 10, untrained=False)
    low, high = (float(end[table.best]) for end in table.intervals)
    labels = np.array(table.labels)[table.queries]
    lengths = []
    for label in set(table.labels):
        start, end = table.class_interval(table.best, label)
        mean = table.scores[table.best, labels == label].mean()
        assert start <= mean <= end
        lengths.append(end - start)
    assert np.mean(lengths) > high - low


def test_a_limit_leaves_costlier_configurations_out_of_the_leaderboard(grid_dir, open_page):
    page = open_page("compare", section="leaderboard")
    limit = page.selectbox(key="most-time")
    assert limit.value == 0.0
    page = limit.select(1.5).run()
    # The first of three layers: four experiments of the good model, two of the plain one.
    assert "**6** of 18 configurations" in words(page)
    shown = page.dataframe[0].value
    assert set(shown["ms_per_image"]) == {1.5}
    assert shown["precision@1"].max() > 1.0


def test_what_is_said_of_cost_follows_from_the_numbers(grid_dir):
    context = _context()
    table = context.table
    for kind, cost in table.costs.items():
        said = cost_tradeoff.verdict(context, kind)
        best, cheap = compare.cheapest_within(table.means, cost, 1.0)
        if cost[cheap] < cost[table.best]:
            assert context.name(table.experiments[cheap]) in said.replace("\\", "")
            assert table.means[cheap] >= table.means[table.best] - 1.0
        else:
            assert said.startswith("Nothing within 1 point")
        assert best is not None


def _context() -> comparison_context.ComparisonContext:
    grid = Grid().load(DATASET)
    address = comparison_context.Address({})
    return comparison_context.make_context(address, grid, cost_tradeoff.SECTION)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.5, "about half"), (0.26, "about a quarter of"), (0.29, "29% of"), (0.0001, "less than 0.001 of")],
)
def test_ratios_are_put_in_words_only_where_they_fit(share, said):
    assert comparison_context.ratio(share) == said


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (Difference(3.0, 1.0, 5.0, 40, None), "A is better by 3.0 points, more than chance"),
        (Difference(-3.0, -5.0, -1.0, 40, None), "B is better by 3.0 points, more than chance"),
        (Difference(1.0, -1.0, 3.0, 40, None), "No difference"),
        (
            Difference(1.0, 0.1, 1.9, 4, 0.125),
            "only 4 images differ, so the exact sign-flip test decides: p = 0.12",
        ),
    ],
)
def test_a_difference_is_called_certain_only_when_its_interval_leaves_zero_out(gap, said):
    assert said in configuration_pair.verdict(gap)


@pytest.mark.slow
def test_what_another_choice_costs_follows_from_the_scores(open_page):
    page = open_page("compare", dataset="objects200", section="factors")
    shown = page.dataframe[0].value.set_index("choice")
    table = experiment_table.load(Grid().load("objects200"), 10, untrained=False)
    best = table.experiments[table.best]
    scores = {one.configuration: table.means[place] for place, one in enumerate(table.experiments)}
    for name, part in {
        "Model": "model",
        "Layer (depth)": "layer",
        "Pooling": "pooling",
        "Distance": "metric",
    }.items():
        others = [
            scores[one.configuration]
            for one in table.experiments
            if (one.depth != best.depth if part == "layer" else getattr(one, part) != getattr(best, part))
            and all(
                (one.depth == best.depth if other == "layer" else getattr(one, other) == getattr(best, other))
                for other in ("model", "layer", "pooling", "metric")
                if other != part
            )
        ]
        row = shown.loc[name]
        assert row["others"] == len(others)
        assert row["least"] == pytest.approx(table.means[table.best] - max(others))
        assert row["most"] == pytest.approx(table.means[table.best] - min(others))
    assert "hold for these settings" in words(page)


def test_the_front_says_how_often_each_is_on_it(open_page):
    page = open_page("compare", dataset="emoji200", section="cost")
    table = experiment_table.load(Grid().load("emoji200"), 10, untrained=False)
    probability = 100 * table.front_probability("time")
    on, near = (frame.value["probability"].to_numpy() for frame in page.dataframe[:2])
    front = compare.pareto_front(table.means, table.costs["time"])
    np.testing.assert_allclose(on, probability[front])
    assert (near >= 20).all() and len(near)
    # The cheapest can't be beaten by a cheaper one.
    assert on[0] > 40


def test_shares_of_the_variance_add_up(grid_dir, open_page):
    (chart,) = charts(open_page("compare", section="factors"))
    values = _numbers(chart["data"][0]["x"])
    assert sum(values) == pytest.approx(100.0)


def _numbers(value) -> list[float]:
    """A list in a chart, which Plotly may have packed."""
    if isinstance(value, dict):
        return np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"]).tolist()
    return value


def test_every_row_of_the_confusion_adds_up_to_100(grid_dir, open_page):
    page = open_page("compare", section="classes", model="plain", layer="first")
    confusion = charts(page)[1]["data"][0]
    rows = np.array(_numbers(confusion["y"]))
    shares = np.array(_numbers(confusion["marker"]["color"]))
    assert [shares[rows == row].sum() for row in np.unique(rows)] == pytest.approx([100.0] * 3)


# The address


def test_two_configurations_stand_in_the_address(grid_dir, open_page):
    page = open_page("compare", section="pair", model="plain", layer="second", model2="good", layer2="late")
    params = address(page)
    assert (params["model"], params["layer"], params["model2"], params["layer2"]) == (
        "plain",
        "second",
        "good",
        "late",
    )
    assert (params["pooling2"], params["weights2"]) == ("avg", "imagenet")


def test_the_second_configuration_is_kept_while_other_sections_are_shown(grid_dir, open_page):
    page = open_page("compare", section="cost", model2="good", layer2="late")
    assert address(page)["layer2"] == "late"


def test_side_by_side_starts_with_the_best_of_another_model(grid_dir, open_page):
    page = open_page("compare", section="pair", model="good")
    assert address(page)["model2"] == "plain"


def test_swapping_turns_the_two_around(grid_dir, open_page):
    page = open_page("compare", section="pair", model="plain", layer="second", model2="good", layer2="late")
    page.button(key="swap").click().run()
    assert address(page)["layer"] == "late"
    assert address(page)["layer2"] == "second"


def test_a_configuration_is_not_compared_with_itself(grid_dir, open_page):
    page = open_page(
        "compare", section="pair", model="plain", layer="second", model2="plain", layer2="second"
    )
    assert len(page.info) == 1 and not page.metric


def test_both_lists_say_where_the_other_has_the_same_image(grid_dir, open_page):
    page = open_page(
        "compare", section="pair", model="plain", layer="second", metric="cosine", metric2="euclidean", model2="plain", layer2="second", query=3
    )  # fmt: skip
    query, a, b = (gallery_of(page, place)["tiles"] for place in range(3))
    assert [tile["id"] for tile in query] == [3]
    places = {tile["id"]: tile["rank"] for tile in b}
    for tile in a:
        expected = f"B: rank {places[tile['id']]}" if tile["id"] in places else "only in A"
        assert tile["lines"] == [expected]


def test_invalid_values_in_the_address_give_a_notice_each(grid_dir, open_page):
    page = open_page("compare", section="nowhere", cost="love", model2="gone", k="99")
    assert not page.exception
    said = words(page)
    assert "`nowhere`" in said
    assert "`99`" in said
    page = open_page("compare", section="cost", cost="love")
    assert "`love`" in words(page)


def test_keys_of_other_sections_are_checked_and_kept(grid_dir, open_page):
    page = open_page("compare", cost="love", view="none")
    assert "`love`" in words(page) and "`none`" in words(page)
    page = open_page("compare", cost="size", view="layers")
    assert not page.warning
    assert (address(page)["cost"], address(page)["view"]) == ("size", "layers")


def test_use_of_the_configuration_to_take_goes_to_its_code(grid_dir):
    page = app("compare")
    page.query_params.update(model="plain", layer="first")
    page.run().button(key="decision-taken-1").click().run()
    assert address(page)["section"] == "use"
    assert address(page)["model"] == "good"


# What is missing


def test_a_damaged_model_costs_a_sentence_and_nothing_else(own_grid_dir, open_page):
    for path in (own_grid_dir / DATASET / "good.imagenet").glob("neighbors-*.parquet"):
        path.write_bytes(path.read_bytes()[:-200])
    page = open_page("compare", section="leaderboard")
    assert not page.exception
    assert "**6** of 6 configurations" in words(page)
    assert len(page.warning) == 1


def test_a_damaged_experiment_costs_a_sentence_and_nothing_else(own_grid_dir, open_page):
    (path,) = (own_grid_dir / DATASET / "good.imagenet").glob("neighbors-*.parquet")
    broken = bytearray(path.read_bytes())
    broken[40:60] = b"\0" * 20
    path.write_bytes(broken)
    page = open_page("compare", section="leaderboard")
    assert not page.exception
    assert "**17** of 17 configurations" in words(page)
    assert len(page.warning) == 1


def test_experiments_with_shorter_lists_are_left_out_with_a_sentence(own_grid_dir, monkeypatch):
    grid = Grid().load(DATASET)
    found = grid.runs["plain", "imagenet"]
    full = found.neighbors
    monkeypatch.setattr(
        found,
        "neighbors",
        lambda *key: Neighbors(full(*key).queries, full(*key).ids[:, :5], full(*key).distances[:, :5]),
    )
    table = experiment_table.load(grid, 10, untrained=False)
    assert len(table.experiments) == 12
    assert "6 experiments hold fewer than 10 neighbors" in table.notices[0]


@pytest.mark.slow
def test_class_names_are_shown_literally(own_grid_dir, open_page):
    described = own_grid_dir / DATASET / "dataset.json"
    text = described.read_text().replace("class-0", "<b>*a*</b> $x$")
    described.write_text(text)
    page = open_page("compare", section="classes")
    assert not page.exception
    assert "&lt;b&gt;*a*" in json.dumps(charts(page)[0])
    assert not any("<b>*a*" in part.value for part in page.caption)


@pytest.mark.slow
def test_opening_the_page_imports_nothing_heavy(grid_dir):
    code = """
import sys
from types import SimpleNamespace
from streamlit.testing.v1 import AppTest
for section in sys.argv[1:]:
    page = AppTest.from_file("dashboard/pages/compare/page.py", default_timeout=60)
    page.query_params["section"] = section
    assert not page.run().exception
print(sorted({"tensorflow", "keras", "umap", "sklearn", "scipy", "faiss", "torch"} & set(sys.modules)))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code, *SECTIONS],
        cwd=ROOT,
        env={**os.environ, "PLAYGROUND_GRID_DIR": str(grid_dir), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.stdout.strip() == "[]", answer.stderr


# Using it


def configuration(metric: str, weights: str = "untrained") -> Configuration:
    return Configuration(
        "squeezenet", weights, registry.get_model("squeezenet").layers[-1].name, "avg", metric
    )


@pytest.mark.slow
def test_the_python_shown_makes_a_collection_and_searches_it_under_every_metric_and_with_every_engine(
    tmp_path, monkeypatch, pgvector_url, milvus_uri
):
    monkeypatch.setattr(settings, "CATALOG_URL", None)
    monkeypatch.setattr(settings, "MILVUS_URI", milvus_uri)
    pictures = draw_dataset(tmp_path / "pictures", 2, 3)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    cases = [(name, name, "faiss") for name in METRICS] + [
        (name, "cosine", name) for name in ("pgvector", "milvus")
    ]
    urls = {"pgvector": pgvector_url}
    programs = {
        name: (
            code_snippets.python(
                configuration(metric), str(tmp_path / "pictures"), str(pictures.path(0)), name, engine
            ),
            urls.get(engine),
        )
        for name, metric, engine in cases
    }
    (tmp_path / "programs.json").write_text(json.dumps(programs))
    # The programs stand as they are shown; what they have made is looked at afterwards.
    code = """
import contextlib, io, json, pathlib
from core.settings import settings
answers = {}
for name, (program, settings.CATALOG_URL) in json.loads(pathlib.Path("programs.json").read_text()).items():
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(program, name, "exec"), {})
    answers[name] = said.getvalue()
pathlib.Path("answers.json").write_text(json.dumps(answers))
"""
    places = {
        "PYTHONPATH": str(ROOT),
        "PLAYGROUND_COLLECTIONS_DIR": str(tmp_path / "collections"),
        "PLAYGROUND_MILVUS_URI": milvus_uri,
    }
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **places, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        timeout=120,
        capture_output=True,
    )
    answers = json.loads((tmp_path / "answers.json").read_text())
    for name, metric, engine in cases:
        counted, *lines = answers[name].splitlines()
        assert counted == "6 added, 1 left out"
        settings.CATALOG_URL = urls.get(engine)
        with Collection.open(name, tmp_path / "collections") as made:
            rows = {image.path: image.faiss_id for image in made.images()}
            vectors = made.snapshot().stored.astype(np.float32)
            assert made.state.engine == engine
        own = str(pictures.path(0))
        expected = pairwise(metric, vectors)[rows[own]]
        assert [float(line.split()[0]) for line in lines] == pytest.approx(
            sorted(expected), abs=2e-3, rel=2e-3
        )
        assert lines[0].split(maxsplit=1)[1] == own


@pytest.mark.parametrize("engine", engines.names())
def test_the_code_of_an_engine_names_its_setting_and_its_command_creates_it(
    engine, collections_dir, monkeypatch, pgvector_url, milvus_uri
):
    example = code_snippets.server(engine)
    if example is not None:
        name, value = example.removeprefix("export PLAYGROUND_").split("=")
        assert getattr(load_settings(), name) is None and value
        monkeypatch.setattr(settings, name, {"CATALOG_URL": pgvector_url, "MILVUS_URI": milvus_uri}[name])
    create, *_ = (
        code_snippets.commands(configuration("cosine"), engine=engine).replace("\\\n", "").split("\n")
    )
    assert cli.main(shlex.split(create)[1:]) == 0
    with Collection.open(code_snippets.NAME) as made:
        assert made.state.engine == engine


@pytest.mark.parametrize("weights", ["imagenet", "untrained"])
def test_the_commands_shown_are_ones_the_command_line_takes(weights, collections_dir):
    parts = configuration("euclidean", weights)
    shown = code_snippets.measuring(parts, folder="my pictures")
    arguments = shlex.split(shown.replace("\\\n", ""))
    assert arguments[0] == "playground"
    options = cli._parser().parse_args(arguments[1:])
    assert (options.dataset, options.weights) == (["my pictures"], weights)
    Request(
        tuple(options.model),
        options.weights,
        tuple(options.layer),
        tuple(options.pooling),
        tuple(options.metric),
    ).check()
    create, add, search = (
        code_snippets.commands(parts, "my pictures", "my picture.jpg").replace("\\\n", "").split("\n")
    )
    assert cli.main(shlex.split(create)[1:]) == 0
    with Collection.open(code_snippets.NAME) as made:
        about = made.about
        assert (
            Configuration(about.model, about.weights, about.layer, about.pooling, made.state.metric) == parts
        )
    assert cli._parser().parse_args(shlex.split(add)[1:]).paths == ["my pictures"]
    assert [path.name for path in cli._parser().parse_args(shlex.split(search)[1:]).images] == [
        "my picture.jpg"
    ]


@pytest.mark.parametrize("center", [None, "objects200"])
def test_the_command_shown_for_a_combination_adds_the_same_one(center, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", tmp_path / "models")
    parts = Chosen("squeezenet", "fire9_concat"), Chosen("mobilenetv2", "block6_output")
    made = combination_adding.add("both", parts, Grid(settings.GRID_DIR), center)
    shown = code_snippets.combining(combinations.description("both"))
    combination_adding.remove("both")
    assert cli.main(shlex.split(shown.replace("\\\n", ""))[1:]) == 0
    again = registry.get_model("both")
    assert again.weights.fingerprint == made.weights.fingerprint


def test_own_weights_are_named_by_a_path_to_fill_in(grid_dir):
    own = configuration("cosine", "file-0123abcd")
    assert code_snippets.WEIGHTS_FILE in code_snippets.python(own)
    assert code_snippets.WEIGHTS_FILE in code_snippets.commands(own)
    assert code_snippets.WEIGHTS_FILE in code_snippets.measuring(own)


def test_the_page_shows_the_code_of_the_chosen_configuration(own_grid_dir, open_page):
    dataset = datasets.load(own_grid_dir / DATASET)
    write_run(own_grid_dir, dataset, "squeezenet", "imagenet", 1.0, ("fire9_concat",), ("avg",))
    page = open_page("compare", section="use", model="squeezenet", metric="euclidean")
    chosen = Configuration("squeezenet", "imagenet", "fire9_concat", "avg", "euclidean")
    assert [part.value for part in page.code] == [
        code_snippets.commands(chosen),
        code_snippets.python(chosen).strip(),
        code_snippets.measuring(chosen),
    ]
    page = page.selectbox(key="engine").select("milvus").run()
    assert [part.value for part in page.code][:2] == [
        code_snippets.server("milvus"),
        code_snippets.commands(chosen, engine="milvus"),
    ]


def test_weights_that_are_not_here_are_named_with_the_command_that_brings_them(
    own_grid_dir, open_page, monkeypatch
):
    dataset = datasets.load(own_grid_dir / DATASET)
    for model, layer in (("squeezenet", "fire9_concat"), ("xception", "block14_sepconv2_act")):
        write_run(own_grid_dir, dataset, model, "imagenet", 1.0, (layer,), ("avg",))
    monkeypatch.setenv("KERAS_HOME", str(own_grid_dir / "nothing"))
    page = open_page("compare", section="use", model="xception")
    assert "playground models fetch xception" in page.info[0].value and page.code
    assert not open_page("compare", section="use", model="squeezenet").info


@pytest.mark.slow
def test_engines_without_the_distance_have_no_code(open_page):
    page = open_page("compare", section="use", dataset="objects200", metric="manhattan", engine="milvus")
    assert page.selectbox(key="engine").options == ["faiss", "pgvector"] and "milvus" in words(page)
    assert not any("milvus" in part.value for part in page.code)


def test_a_model_that_this_version_does_not_know_has_no_code(grid_dir, open_page):
    page = open_page("compare", section="use")
    assert not page.code
    assert "does not know the model `good`" in words(page)


@pytest.mark.slow
def test_what_classes_allow_is_said_where_it_is_less_than_all(grid_dir, open_page):
    def said(k: int) -> list[str]:
        return [one.value for one in open_page("compare", k=k).caption if "can be reached" in one.value]

    # Classes of eight pictures leave three of ten places to others.
    [sentence] = said(10)
    assert "At most 89.1 of 100" in sentence and "fewer than 11" in sentence
    assert said(7) == []
