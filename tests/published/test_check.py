"""Our results against published ones that our own code made from stand-in weights: the check finds what is equal and what is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import cli
from core.errors import UnknownNameError, UserError
from core.experiments import runner
from core.models import extractor, keras_weights, registry, runtime, weights
from core.progress import Silent
from core.published import check, convert, names
from core.published.reader import find
from tests.conftest import ROOT
from tests.published import copies

# Images go into it as into the published networks.
MODEL = replace(registry.get_model("mobilenet"), resample=names.RESAMPLE)
LAYERS = ("conv_pw_12", "conv_pw_13")


@pytest.fixture(scope="module")
def stand_in():
    """Weights that nobody else has: neither ImageNet's nor the untrained ones."""
    import keras

    # Other initial values may put close neighbors in another order.
    keras.utils.set_random_seed(0)
    graph = MODEL.build_graph()
    draw = np.random.default_rng(1)
    for layer in graph.layers:
        if layer.weights:
            layer.set_weights([draw.uniform(0.9, 1.1, w.shape) * w for w in layer.get_weights()])
    return graph


@pytest.fixture(scope="module")
def published(tmp_path_factory, stand_in) -> Path:
    """A grid whose published lists are what the stand-in computes for one metric, and random for the other."""
    folder = tmp_path_factory.mktemp("copy")
    root = copies.make(folder)
    convert.import_copy(folder, folder / "first", Silent())
    dataset = runner.store.Grid(folder / "first").dataset("shapes18")
    network = runtime.of_graph(MODEL, stand_in)
    features = runner.extract(extractor.Extractor(MODEL, network, LAYERS, ("flatten",)), dataset, Silent())
    for layer in LAYERS:
        [computed], _ = runner.compare(features, layer, "flatten", ["cosine"], 15, dataset.labels)
        lists = {
            str(query): [str(query), *map(str, ids)]
            for query, ids in zip(computed.neighbors.queries, computed.neighbors.ids.tolist(), strict=True)
        }
        copies.write(root / "similarity/shapes18/mobilenet/cosine" / f"{layer}.json", lists)
        copies.write(root / "similarity/shapes18/mobilenet/euclidean" / f"{layer}.json", random_lists())
    out = folder / "grid"
    convert.import_copy(folder, out, Silent())
    return out


def random_lists() -> dict[str, list[str]]:
    rng = np.random.default_rng(5)
    return {
        str(q): [str(q), *(str(i) for i in rng.permutation(copies.N) if i != q)][:16] for q in range(copies.N)
    }


@pytest.fixture
def imagenet_here(keras_home, stand_in):
    """The stand-in in Keras's cache, as a download would leave it."""
    stand_in.save(keras_home / "models" / keras_weights.FILES["MobileNet"].name)


def run(published, *words) -> int:
    return cli.main(["published", "check", "--grid", str(published), *words])


@pytest.mark.slow
def test_the_same_network_agrees_and_random_lists_do_as_chance_says(published, imagenet_here):
    found, _ = check.check(published, [], ["mobilenet"], [], "imagenet", Silent())
    assert [(one.layer, one.depth, one.metric) for one in found] == [
        (layer, depth, metric)
        for layer, depth in zip(LAYERS, (7, 8), strict=True)
        for metric in ("cosine", "euclidean")
    ]
    for one in found:
        assert one.queries == copies.N and one.chance == pytest.approx(10 / (copies.N - 1))
        if one.metric == "cosine":
            assert one.overlap == 1.0
        else:
            assert one.overlap == pytest.approx(one.chance, abs=0.15)


def test_another_network_agrees_less(published):
    found, _ = check.check(published, ["shapes18"], ["mobilenet"], [LAYERS[0]], "untrained", Silent())
    cosine = next(one for one in found if one.metric == "cosine")
    assert cosine.overlap < 1.0


@pytest.mark.slow
def test_the_command_prints_what_it_found_and_what_it_could_not_check(published, imagenet_here, capsys):
    assert run(published, "--json") == 0
    told = capsys.readouterr()
    rows = json.loads(told.out)
    assert {row["model"] for row in rows} == {"mobilenet"} and len(rows) == 4
    assert "resnet50 could not be checked: its ImageNet weights are not here" in told.err
    assert "models fetch densenet121" in told.err


def test_weights_that_are_not_here_are_named_and_nothing_is_downloaded(
    published, keras_home, server, monkeypatch, capsys
):
    monkeypatch.setattr(keras_weights, "BASE_URL", server.url)
    assert run(published) == 0
    told = capsys.readouterr()
    assert "Nothing could be checked." in told.out
    assert told.err.count("could not be checked") == 3
    assert not server.requests


def test_what_does_not_exist_is_refused(published, tmp_path, capsys):
    with pytest.raises(UnknownNameError):
        check.check(published, ["nothing"], [], [], "imagenet", Silent())
    with pytest.raises(UnknownNameError):
        check.check(published, [], ["nothing"], [], "imagenet", Silent())
    with pytest.raises(UserError, match="no published results here"):
        check.check(tmp_path, [], [], [], "imagenet", Silent())
    with pytest.raises(UserError, match=r"'objects200'.*iconic200"):
        check.check(ROOT / "precomputed", ["objects200"], [], [], "imagenet", Silent())


@pytest.mark.slow
def test_grid_run_computes_the_real_thing_beside_the_published(
    published, keras_home, server, stand_in, monkeypatch, capsys
):
    """Downloading included, from a server that stands in for Keras's."""
    monkeypatch.setattr(keras_weights, "BASE_URL", server.url)
    stand_in.save(server.put(keras_weights.FILES["MobileNet"].path).with_suffix(".h5"))
    words = "--dataset shapes18 --model mobilenet --weights imagenet --layer conv_pw_13 --pooling flatten --metric cosine"
    assert cli.main(["grid", "run", *words.split(), "--out", str(published)]) == 0
    assert len(server.requests) == 1
    assert cli.main(["grid", "list", "--grid", str(published), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    scores = {
        row["weights"]: row["score@10"]
        for row in rows
        if (row["model"], row["layer"], row["metric"]) == ("mobilenet", "conv_pw_13", "cosine")
    }
    assert scores.keys() == {"imagenet", "published"}
    # The images of published results were resized in another way.
    assert scores["imagenet"] == pytest.approx(scores["published"], abs=5)
    assert weights.availability(MODEL)[0] and find(published) == []
