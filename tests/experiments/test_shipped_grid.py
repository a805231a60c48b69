"""The grid in precomputed/: complete, sound, and what the code computes today."""

import itertools

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_distances
from sklearn.model_selection import StratifiedKFold, cross_val_score

from core.evaluation import scoring, ties
from core.evaluation.linear_probe import PROBE
from core.evaluation.whole_ranking import MAP, MRR
from core.experiments import robustness_file, runner, store
from core.imaging import decode, transform
from core.imaging.changes import CHANGES
from core.metrics import METRICS
from core.models import extractor, networks, registry
from core.models.package_weights import PackageWeights
from core.progress import Silent
from core.settings import settings

pytestmark = pytest.mark.slow

DATASETS = ("objects200", "emoji200", "fashion1000")
SHIPPED = store.Grid(settings.GRID_DIR)
# Of keras.applications, with ImageNet weights from a package: the vectors of these are not stored.
ORIGINALS = ("mobilenet", "xception", "vgg16")
SMALL = tuple(name for name, model in registry.FAMILIES.items() if isinstance(model.weights, PackageWeights))
UNTRAINED = tuple(name for name in registry.FAMILIES if name not in SMALL)
EXPECTED = {
    (name, weights, layer.name, pooling, metric)
    for names, weights, poolings, metrics in (
        (SMALL + ORIGINALS, "imagenet", ("avg", "flatten"), tuple(METRICS)),
        (UNTRAINED, "untrained", ("avg",), ("cosine", "euclidean")),
    )
    for name in names
    for layer in registry.get_model(name).layers
    for pooling, metric in itertools.product(poolings, metrics)
}


class Strict(Silent):
    """Fails at what the user should read."""

    def say(self, sentence):
        raise AssertionError(sentence)


@pytest.mark.parametrize("name", DATASETS)
def test_every_configuration_is_there(name):
    grid = SHIPPED.load(name)
    assert grid.notices == ()
    found = {(s.model, s.weights, s.layer, s.pooling, s.metric) for s in grid.summaries}
    assert found >= {one for one in EXPECTED if name != "fashion1000" or _few(*one)}


def _few(model, weights, layer, pooling, metric):
    """Whether the larger dataset has it too."""
    return weights == "imagenet" and pooling == "avg" and metric in ("cosine", "euclidean")


@pytest.mark.parametrize("name", DATASETS)
def test_every_file_reads_and_agrees_with_its_summary(name):
    grid = SHIPPED.load(name)
    for run in grid.runs.values():
        contents = run.read_all()
        for experiment in contents.experiments:
            neighbors = experiment.neighbors
            assert neighbors.ids.shape == (len(grid.dataset), 20)
            assert (np.diff(neighbors.distances, axis=1) >= 0).all()
            assert not (neighbors.ids == neighbors.queries[:, None]).any()
            same = scoring.same_label(neighbors.queries, neighbors.ids, grid.dataset.labels)
            own = scoring.class_codes(grid.dataset.labels)[neighbors.queries]
            tied = ties.find(neighbors.distances, same, neighbors.beyond, own)
            chance = same if tied is None else tied.chance
            assert experiment.facts["score_10"] == pytest.approx(scoring.score(chance, 10).mean())
            assert (np.diff(experiment.pair_quantiles) >= 0).all()
        poolings = {e.pooling for e in contents.experiments}
        assert {(one.method, one.dimensions, one.pooling) for one in contents.projections} == set(
            itertools.product(("umap", "pca"), (2, 3), poolings)
        )
        # Long vectors of the larger dataset would take too much room.
        most = 1000 if name == "fashion1000" else np.inf
        stored = [one.name for one in run.about.layers if run.about.model in SMALL and one.shape[-1] <= most]
        assert set(contents.vectors) == {(layer, "avg") for layer in stored}


@pytest.mark.parametrize("name", ("objects200", "emoji200"))
def test_saturated_distances_score_as_chance_does(name):
    grid = SHIPPED.load(name)
    # The largest difference of two outputs of a rectifier that is cut off at 6, over all places of the first layer.
    lists = SHIPPED.run(grid.dataset, "efficientnet-lite0", "imagenet").neighbors(
        "stem_activation", "flatten", "chebyshev"
    )
    assert (lists.distances == 6.0).all()
    # All others are at that distance.
    assert lists.beyond is not None
    assert (lists.beyond.sum(axis=1) == len(grid.dataset) - 1 - 20).all()
    [found] = [
        one
        for one in grid.summaries
        if one.configuration
        == store.Configuration("efficientnet-lite0", "imagenet", "stem_activation", "flatten", "chebyshev")
    ]
    assert found.score_10 == pytest.approx(100 * 19 / 199)


@pytest.mark.parametrize("name", DATASETS)
def test_every_layer_says_what_it_costs(name):
    for run in SHIPPED.load(name).runs.values():
        assert len(run.about.layers) == 8
        for layer in run.about.layers:
            assert layer.ms_per_image > 0
            defined = registry.get_model(run.about.model).layer(layer.name)
            assert (layer.shape, layer.parameters) == (defined.shape, defined.parameters)


@pytest.mark.parametrize("name", DATASETS)
def test_robustness_of_the_trained_networks_is_there(name):
    dataset = SHIPPED.dataset(name)
    found = robustness_file.by_configuration(robustness_file.read(SHIPPED.folder, dataset))
    measured = (*SMALL, "mobilenet")
    assert {(one.model, one.layer, one.pooling, one.metric) for one in found} == {
        (model, layer, pooling, metric)
        for model, weights, layer, pooling, metric in EXPECTED
        if model in measured and (weights, pooling, metric) == ("imagenet", "avg", "cosine")
    }
    for one, rows in found.items():
        if one.layer == registry.get_model(one.model).layers[-1].name:
            # Early layers take some images for the same.
            assert rows[robustness_file.UNCHANGED, 0].recall > 0.95
    for strength in (1, 2):
        # Over all configurations, what is changed more is recognized less.
        weaker, stronger = (
            np.mean([rows[change, one].recall for rows in found.values() for change in CHANGES])
            for one in (strength, strength + 1)
        )
        assert weaker > stronger


def test_recomputed_from_the_images_the_robustness_is_the_same():
    dataset = SHIPPED.dataset("emoji200")
    model = registry.get_model("squeezenet")
    layer = model.layers[-1].name
    network = extractor.Extractor(model, networks.load(model, "imagenet"), [layer])
    images = [decode.read(dataset.path(item)) for item in range(len(dataset))]

    def vectors(change):
        pixels = [transform.resize(change(image), model.input_size, model.resample) for image in images]
        batches = [np.stack(pixels[start : start + 8]) for start in range(0, len(pixels), 8)]
        return np.concatenate([network(batch)[layer, "avg"] for batch in batches])

    distances = cosine_distances(
        vectors(lambda image: CHANGES["rotate"](image, 3)), vectors(lambda image: image)
    )
    recall = (distances.argmin(axis=1) == np.arange(len(dataset))).mean()
    found = robustness_file.by_configuration(robustness_file.read(SHIPPED.folder, dataset))
    shipped = found[store.Configuration("squeezenet", "imagenet", layer, "avg", "cosine")]
    assert shipped["rotate", 3].recall == pytest.approx(recall, abs=0.01)


def test_everything_together_is_small():
    folders = [settings.GRID_DIR / name for name in (*DATASETS, "models")]
    total = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    assert total <= 64e6


@pytest.mark.parametrize("name", DATASETS)
def test_recomputed_from_the_images_the_neighbors_are_the_same(name):
    dataset = SHIPPED.dataset(name)
    model = registry.get_model("efficientnet-lite0")
    layer = "block6_output"
    network = extractor.Extractor(model, networks.load(model, "imagenet"), [layer], ("avg",))
    features = runner.extract(network, dataset, Strict())
    [fresh], _ = runner.compare(features, layer, "avg", ["cosine"], 20, dataset.labels)
    shipped = SHIPPED.run(dataset, model.name, "imagenet").neighbors(layer, "avg", "cosine")
    np.testing.assert_allclose(fresh.neighbors.distances, shipped.distances, rtol=1e-3, atol=1e-5)
    # Another processor may round otherwise, which swaps neighbors at equal distance and nothing else.
    assert (fresh.neighbors.ids == shipped.ids).mean() > 0.99


@pytest.mark.parametrize("name", DATASETS)
def test_experiments_of_trained_networks_have_all_measures(name):
    for (_, weights), run in SHIPPED.load(name).runs.items():
        wanted = {(s.layer, s.pooling, s.metric) for s in run.summaries if weights == "imagenet"}
        for measure in (MAP, MRR, PROBE):
            assert wanted <= run.measures(measure).keys()


@pytest.mark.parametrize("name", DATASETS)
def test_measures_are_those_of_scikit_learn(name):
    dataset = SHIPPED.dataset(name)
    run = SHIPPED.run(dataset, "efficientnet-lite1", "imagenet")
    ids, rows = run.vectors("block6_output")
    vectors, codes = rows.astype(np.float64), scoring.class_codes(dataset.labels)[ids]
    distances = cosine_distances(vectors)
    key = ("block6_output", "avg", "cosine")
    precisions = run.measures(MAP)[key].values
    reciprocals = run.measures(MRR)[key].values
    for query in range(0, len(ids), 25):
        others = np.arange(len(ids)) != query
        good, near = (codes == codes[query])[others], distances[query][others]
        assert precisions[query] == pytest.approx(average_precision_score(good, -near), abs=2e-3)
        first = good & (near == near[good].min())
        assert reciprocals[query] == pytest.approx(1 / rankdata(near)[first][0], rel=2e-3)
    vectors -= vectors.mean(axis=0)
    vectors /= np.sqrt(np.square(vectors).sum(axis=1).mean())
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    accuracy = cross_val_score(LogisticRegression(C=100, max_iter=300), vectors, codes, cv=folds).mean()
    assert run.measures(PROBE)[key].values.mean() == pytest.approx(accuracy, abs=0.01)
