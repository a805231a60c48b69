"""Combinations of configurations: what is joined, what is refused, and that they are used as any other model."""

import json

import numpy as np
import pytest

from core import cli
from core.collections import Collection
from core.errors import CombinationError, UnknownNameError, UserError, WeightsError
from core.experiments import combination_adding, runner, store
from core.experiments.combination_adding import Chosen
from core.experiments.store import Grid
from core.imaging import decode
from core.models import architecture, combinations, extractor, image_embedder, networks, registry, weights
from core.models.combined_weights import joined
from core.progress import Silent
from core.search.engine import Engine
from core.settings import settings
from tests.experiments.synthetic import draw_dataset

SMALL = Chosen("squeezenet", "fire9_concat"), Chosen("mobilenetv2", "block6_output")
RESNET = registry.get_model("resnet50").layers[-1].name
SHIPPED = Grid(settings.GRID_DIR)


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", tmp_path / "models")
    return tmp_path / "models"


def add(name="both", parts=SMALL, center=None):
    return combination_adding.add(name, parts, SHIPPED, center)


def test_it_is_a_model_with_one_layer():
    made = add()
    assert list(registry.MODELS)[-1] == "both" and registry.get_model("both") == made
    dimensions = [registry.get_model(one.model).layer(one.layer).shape[2] for one in SMALL]
    assert [layer.shape for layer in made.layers] == [(1, 1, sum(dimensions))]
    assert weights.trained(made) == made.weights.slug and made.weights.slug.startswith("combined-")
    assert weights.availability(made)[0]
    assert weights.provenance(made, "imagenet").fingerprint == made.weights.fingerprint
    described = architecture.read("both")
    parts = [architecture.read(one.model).layer(one.layer) for one in SMALL]
    assert described.layer("combined").multiply_adds == sum(part.multiply_adds for part in parts)
    with pytest.raises(WeightsError, match="untrained"):
        weights.provenance(made, "untrained")


def test_other_parts_are_other_weights():
    first = add()
    combination_adding.remove("both")
    second = add(parts=SMALL[::-1])
    assert first.weights.slug != second.weights.slug


def vectors(parts, size):
    """Of the same images from each network alone, at its own size."""
    found = []
    for part in parts:
        embedder = image_embedder.load(part.model, "imagenet", part.layer, part.pooling)
        found.append(image_embedder.embed(embedder, images()))
    return found


def images():
    dataset = SHIPPED.dataset("objects200")
    return [decode.read(dataset.path(item)) for item in (3, 70, 150)]


@pytest.mark.slow
@pytest.mark.parametrize("center", [None, "objects200"])
def test_its_vectors_are_those_of_its_networks_joined(center):
    made = add(center=center)
    embedder = image_embedder.load("both", "imagenet", "combined", "avg")
    means = [part.mean for part in made.weights.parts]
    assert all((mean is None) == (center is None) for mean in means)
    expected = joined(vectors(SMALL, made.input_size), means)
    np.testing.assert_allclose(image_embedder.embed(embedder, images()), expected, atol=2e-5)
    if center:
        run = SHIPPED.run(SHIPPED.dataset(center), "squeezenet", "imagenet")
        _, rows = run.vectors("fire9_concat")
        unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        np.testing.assert_allclose(means[0], unit.mean(axis=0), atol=1e-5)


def test_vectors_to_center_on_are_computed_where_none_are_stored(tmp_path):
    dataset = draw_dataset(tmp_path / "shapes", 2, 2)
    store.write_dataset(tmp_path / "grid", dataset)
    combination_adding.add("both", SMALL, Grid(tmp_path / "grid"), "shapes")
    for part in combinations.description("both").parts:
        embedder = image_embedder.load(part.model, "imagenet", part.layer, part.pooling)
        rows = image_embedder.embed(embedder, [decode.read(dataset.path(item.id)) for item in dataset.items])
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(part.mean, unit.mean(axis=0), atol=1e-5)


@pytest.mark.slow
def test_images_have_the_size_of_the_largest_network():
    parts = SMALL[0], Chosen("efficientnet-lite1", "block6_output")
    made = add(parts=parts)
    assert made.input_size == 240
    found = image_embedder.embed(image_embedder.load("both", "imagenet", "combined", "avg"), images())
    small, large = joined(vectors(parts[:1], 240), [None]), joined(vectors(parts[1:], 240), [None])
    np.testing.assert_allclose(found[:, small.shape[1] :], large, atol=2e-5)
    # Scaled down twice, which changes them a little.
    similar = (found[:, : small.shape[1]] * small).sum(axis=1)
    assert (similar > 0.99).all() and not np.allclose(found[:, : small.shape[1]], small, atol=2e-5)


@pytest.mark.slow
def test_grids_collections_and_searches_take_it(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    made = add()
    dataset = draw_dataset(tmp_path / "shapes", 2, 3)
    request = runner.Request(("both",), poolings=("avg",), metrics=("cosine",))
    runner.run([dataset], request, tmp_path / "grid", Silent())
    grid = Grid(tmp_path / "grid")
    [summary] = grid.load("shapes").summaries
    assert (summary.model, summary.weights) == ("both", made.weights.slug)
    assert grid.run(dataset, "both", made.weights.slug).about.layers[0].ms_per_image > 0
    engine = Engine(grid)
    assert engine.searchable(dataset) == [summary]
    ids, distances = engine.nearest(
        engine.index(dataset, summary), engine.embed(decode.read(dataset.path(4)), summary), 1
    )
    assert ids[0] == 4 and distances[0] < 1e-3
    with Collection.create("pets", model="both", layer="combined") as pets:
        pets.add([str(dataset.images)])
        [[hit, *_]] = pets.search([decode.read(dataset.path(4))], k=1)
        assert hit.path == str(dataset.path(4))
    # All poolings of one position are the same.
    network = extractor.Extractor(
        made, networks.load(made, "imagenet"), ["combined"], list(extractor.POOLINGS)
    )
    found = network(np.zeros((2, 224, 224, 3), np.uint8))
    for pooling in extractor.POOLINGS:
        assert found["combined", pooling].shape == (2, summary.dimensions)
    np.testing.assert_array_equal(found["combined", "avg"], found["combined", "flatten"])


def test_a_lost_model_or_other_weights_are_named(empty, monkeypatch):
    add()
    path = empty / "both" / "combination.json"
    stored = json.loads(path.read_text())
    stored["parts"][0]["fingerprint"] = "0" * 64
    path.write_text(json.dumps(stored))
    with pytest.raises(WeightsError, match=r"SqueezeNet 1\.1 has other weights"):
        weights.provenance(registry.get_model("both"), "imagenet")
    stored["parts"][0]["model"] = "gone"
    path.write_text(json.dumps(stored))
    with pytest.raises(CombinationError, match="'gone'"):
        registry.get_model("both")
    path.write_text('{"format": 1}')
    assert "both" not in list(registry.MODELS)
    with pytest.raises(CombinationError, match="'both' is damaged"):
        registry.get_model("both")
    combination_adding.remove("both")
    assert combinations.names() == []


@pytest.mark.parametrize(
    ("name", "parts", "center", "reason"),
    [
        ("both", SMALL[:1], None, "2 to 8"),
        ("both", SMALL[:1] * 2, None, "different"),
        ("squeezenet", SMALL, None, "named 'squeezenet' already"),
        ("A b", SMALL, None, "can't be named"),
        ("both", (SMALL[0], Chosen("nothing", "x")), None, "Unknown model"),
        ("both", (SMALL[0], Chosen("mobilenetv2", "x")), None, "Unknown layer"),
        ("both", (SMALL[0], Chosen("mobilenetv2", "block6_output", "x")), None, "Unknown pooling"),
        ("both", (SMALL[0], Chosen("resnet50", RESNET)), None, "not on this machine"),
        ("both", (SMALL[0], Chosen("mobilenetv2", "stem_activation", "flatten")), None, "at most 65,536"),
        ("both", SMALL, "nothing", "Unknown dataset"),
    ],
)
def test_what_can_t_be_combined_gives_a_sentence_and_leaves_nothing(
    empty, name, parts, center, reason, keras_cache
):
    with pytest.raises(UserError, match=reason):
        add(name, parts, center)
    assert combinations.names() == []


@pytest.fixture
def keras_cache(tmp_path, monkeypatch):
    """Without downloads."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def test_a_combination_is_no_part_of_another_one():
    add()
    with pytest.raises(CombinationError, match="name its parts"):
        add("more", (Chosen("both", "combined"), SMALL[0]))


def test_the_command_line_adds_lists_and_removes(tmp_path, capsys):
    of = [f"--of={one.model}:{one.layer}" for one in SMALL]
    assert cli.main(["combinations", "add", "both", *of, "--center", "objects200"]) == 0
    assert cli.main(["combinations", "add", "both", *of]) == 2
    capsys.readouterr()
    assert cli.main(["combinations", "list", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["name"], row["centered on"]) == ("both", "objects200")
    dataset = draw_dataset(tmp_path / "shapes", 2, 2)
    table = np.eye(4, dtype=np.float32)
    assert store.write_dataset(tmp_path / "grid", dataset)
    np.save(tmp_path / "both.npy", table)
    words = [
        "vectors",
        "import",
        str(tmp_path / "both.npy"),
        "--dataset",
        "shapes",
        "--grid",
        str(tmp_path / "grid"),
    ]
    assert cli.main(words) == 2
    assert "'both'" in capsys.readouterr().err
    assert cli.main(["combinations", "remove", "both"]) == 2
    assert cli.main(["combinations", "remove", "other", "--yes"]) == 2
    assert cli.main(["combinations", "remove", "both", "--yes"]) == 0
    with pytest.raises(UnknownNameError):
        registry.get_model("both")


@pytest.mark.parametrize("word", ["squeezenet", "squeezenet:", "squeezenet::max"])
def test_a_part_without_a_layer_is_refused(word, capsys):
    assert cli.main(["combinations", "add", "both", "--of", word, "--of", word]) == 2
    assert "MODEL:LAYER" in capsys.readouterr().err


def test_the_configuration_of_a_part_may_have_colons():
    from core.cli.combinations import _chosen

    assert _chosen("mine:NAME:cls") == Chosen("mine", "NAME:cls")
    assert _chosen("mine:NAME:cls:max") == Chosen("mine", "NAME:cls", "max")
