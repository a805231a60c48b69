"""Models from ONNX files: what is proposed, what is refused, and that their vectors are those of the graph."""

import importlib.util
import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from PIL import Image

from core import cli
from core.collections import Collection
from core.errors import OnnxError, UnknownNameError, UserError, WeightsError
from core.experiments import runner, store, vector_import
from core.experiments.store import Configuration, Grid
from core.features import channel_files, compute, visualize
from core.models import (
    added_models,
    architecture,
    extractor,
    networks,
    onnx_adding,
    onnx_check,
    onnx_description,
    registry,
    weights,
)
from core.models.onnx_description import LayerChoice
from core.progress import Silent
from core.search.engine import Engine
from core.settings import settings
from tests.experiments.synthetic import draw_dataset
from tests.models import onnx_graphs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="ONNX files need OpenVINO"),
]

GRAPHS = {
    "conv": (onnx_graphs.convolutions, "torchvision"),
    "nhwc": (lambda: onnx_graphs.convolutions("NHWC"), "keras"),
    "vit": (onnx_graphs.transformer, "dinov2"),
    "siglip": (lambda: onnx_graphs.transformer(class_token=False), "siglip"),
    "single": (lambda: onnx_graphs.transformer(batch=1), "clip"),
}
PIXELS = np.random.default_rng(0).integers(0, 256, (3, onnx_graphs.SIZE, onnx_graphs.SIZE, 3), np.uint8)


def add(path, like, layers=None, name=None):
    found = onnx_adding.inspect(path, name or path.stem, onnx_description.describe(like, None))
    return onnx_adding.add(found, layers or found.choices)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {name: onnx_graphs.save(make(), folder / f"{name}.onnx") for name, (make, _) in GRAPHS.items()}


@pytest.fixture(scope="module")
def _added(files, tmp_path_factory):
    """A folder of all models, added once."""
    folder = tmp_path_factory.mktemp("added")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "ADDED_MODELS_DIR", folder)
        for name, (_, like) in GRAPHS.items():
            add(files[name], like)
    return folder


@pytest.fixture
def added(_added, monkeypatch):
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", _added)
    return _added


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No model is added."""
    monkeypatch.setattr(settings, "ADDED_MODELS_DIR", tmp_path / "added")
    return tmp_path / "added"


@pytest.fixture
def copied(_added, empty):
    """Two of the added models, to be damaged."""
    for name in ("conv", "nhwc"):
        shutil.copytree(_added / name, empty / name)
    return empty


def nothing_was_added(folder) -> bool:
    return not [path for path in folder.glob("*/*") if path.name != ".lock"]


# Vectors


@pytest.mark.parametrize("name", GRAPHS)
def test_vectors_are_those_of_the_onnx_reference(added, files, name):
    model = registry.get_model(name)
    tensors = {tap.layer: tap for tap in model.weights.taps}
    network = extractor.Extractor(
        model,
        networks.load(model, "imagenet"),
        [layer.name for layer in model.layers],
        ("avg", "max", "flatten"),
        4,
    )
    found = network(PIXELS)
    graph = onnx.load(files[name])
    graph.graph.output.extend(onnx.ValueInfoProto(name=tensors[layer.name].tensor) for layer in model.layers)
    reference = ReferenceEvaluator(graph)
    for place, pixels in enumerate(PIXELS):
        x = np.asarray(model.preprocessing(pixels[None].astype(np.float32)), np.float32)
        x = x if name == "nhwc" else x.transpose(0, 3, 1, 2)
        values = dict(zip(reference.output_names, reference.run(None, {"image": x}), strict=True))
        for layer in model.layers:
            tap = tensors[layer.name]
            activation = values[tap.tensor][0]
            if tap.layout == "NCHW":
                activation = activation.transpose(1, 2, 0)
            elif tap.token is not None:
                activation = activation[tap.token]
            else:
                # The first token is the class token, where there is one.
                activation = activation[-16:]
            activation = activation.reshape(layer.shape)
            expected = {
                "avg": activation.mean((0, 1)),
                "max": activation.max((0, 1)),
                "flatten": activation.ravel(),
            }
            for pooling, vector in expected.items():
                np.testing.assert_allclose(
                    found[layer.name, pooling][place], vector, atol=2e-4, err_msg=layer.name
                )


@pytest.mark.parametrize("name", GRAPHS)
def test_a_batch_gives_the_vectors_of_each_image_alone(added, name):
    model = registry.get_model(name)
    layer = model.layers[-1].name
    loaded = networks.load(model, model.weights.slug)
    together = extractor.Extractor(model, loaded, [layer], ["avg"], 4)(PIXELS)[layer, "avg"]
    alone = extractor.Extractor(model, loaded, [layer], ["avg"], 1)
    for pixels, vector in zip(PIXELS, together, strict=True):
        np.testing.assert_allclose(alone(pixels[None])[layer, "avg"][0], vector, atol=1e-4)
    assert model.weights.batched == (name != "single")


# What is proposed


def test_layers_after_activations_are_proposed_and_no_classifier(added):
    for name in ("conv", "nhwc"):
        layers = registry.get_model(name).layers
        assert [(one.name, one.shape) for one in layers] == [
            ("relu0", (16, 16, 4)),
            ("relu1", (8, 8, 8)),
            ("relu2", (4, 4, 16)),
        ]
        assert layers[0].parameters == 3 * 4 * 9 + 4


def test_patches_and_the_class_token_of_transformers_are_proposed(added):
    names = ["block0.attended", "block0.output", "block1.attended", "block1.output", "last_hidden_state"]
    assert [one.name for one in registry.get_model("siglip").layers] == names
    layers = registry.get_model("vit").layers
    assert [one.name for one in layers] == [*names, "last_hidden_state:cls"]
    assert [one.shape for one in layers[-2:]] == [(4, 4, 32), (1, 1, 32)]


def test_of_many_layers_eight_are_proposed_the_last_included(tmp_path, empty):
    path = onnx_graphs.save(onnx_graphs.transformer(blocks=12), tmp_path / "deep.onnx")
    found = onnx_adding.inspect(path, "deep", onnx_description.describe("dinov2", None))
    names = [one.layer for one in found.choices]
    assert len(names) == 8
    assert names[-2:] == ["last_hidden_state", "last_hidden_state:cls"]
    assert all(name.endswith(".output") for name in names[:-2])


def test_any_tensor_can_be_chosen(tmp_path, files, empty):
    chosen = [
        LayerChoice(tensor="embedding"),
        LayerChoice(tensor="block0.relu", name="wide"),
        LayerChoice(tensor="block0.output", tokens="cls"),
    ]
    model = add(files["vit"], "dinov2", chosen)
    assert [(one.name, one.shape) for one in model.layers] == [
        ("wide", (4, 4, 64)),
        ("block0.output:cls", (1, 1, 32)),
        ("embedding", (1, 1, 32)),
    ]
    rows = architecture.read("vit").grid_layers
    assert [(row.name, row.depth, row.spatial) for row in rows] == [
        ("wide", 1, True),
        ("block0.output:cls", 2, False),
        ("embedding", 3, False),
    ]


def test_the_architecture_has_costs_and_receptive_fields(added):
    rows = architecture.read("conv")
    relu1 = rows.layer("relu1")
    assert (relu1.receptive_field, relu1.spacing, relu1.depth) == ((7, 7), (4, 4), 2)
    assert rows.layer("conv1").own_multiply_adds == 8 * 8 * 8 * 4 * 9
    tokens = architecture.read("vit").layer("block0.output")
    assert (tokens.receptive_field, tokens.spacing, tokens.sees_all) == ((8, 8), (8, 8), True)
    assert not architecture.read("vit").layer("tokens").sees_all


# What works with them


def test_a_model_has_a_grid_a_collection_searches_and_activations(added, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    dataset = draw_dataset(tmp_path / "shapes", 3, 4)
    model = registry.get_model("vit")
    layer = "last_hidden_state:cls"
    request = runner.Request(("vit", "single"), layers=(layer,), poolings=("avg",), metrics=("cosine",))
    runner.run([dataset], request, tmp_path / "grid", Silent())
    grid = Grid(tmp_path / "grid")
    stored = grid.load("shapes").runs["vit", model.weights.slug]
    assert stored.about.weights_fingerprint == model.weights.fingerprint
    assert "openvino" in stored.about.measured and stored.about.layer(layer).ms_per_image > 0
    assert stored.about.layer(layer).depth == 6

    engine = Engine(grid)
    configuration = Configuration("vit", model.weights.slug, layer, "avg", "cosine")
    assert configuration in {
        Configuration(o.model, o.weights, o.layer, o.pooling, o.metric) for o in engine.searchable(dataset)
    }
    image = Image.open(dataset.path(5)).convert("RGB")
    ids, vectors = stored.vectors(layer, "avg")
    np.testing.assert_allclose(engine.embed(image, configuration), vectors[list(ids).index(5)], atol=2e-2)
    other = replace(configuration, layer="block0.output")
    assert engine.activation(image, other).shape == (4, 4, 32)
    with Collection.create("pets", model="vit", layer=layer) as pets:
        assert pets.about.weights == model.weights.slug
        assert pets.add([str(tmp_path / "shapes")]).added == 12
        hits = pets.search([image], k=1)[0]
        assert hits[0].distance < 1e-3


def test_top_activating_images_are_found_and_visualizations_are_refused(added, tmp_path, monkeypatch):
    dataset = draw_dataset(tmp_path / "shapes", 2, 2)
    model = registry.get_model("conv")
    compute.compute(model, "imagenet", [dataset], Silent())
    found = channel_files.top_images(dataset, "conv", model.weights.slug, "relu2", 3)
    assert found is not None
    # The network sees the middle square of 40 x 50 pixels, 0.875 of the shorter side.
    for one in (one for one in found):
        assert 0.14 < one.box[0] < one.box[2] < 0.86 and 0.06 < one.box[1] < one.box[3] < 0.94
    assert channel_files.visualizations("conv", model.weights.slug, "relu2") == []
    with pytest.raises(WeightsError, match="no graph that can be trained"):
        weights.load(model, "imagenet")


def test_other_weights_are_refused(added):
    model = registry.get_model("conv")
    assert weights.provenance(model, "imagenet") == weights.provenance(model, model.weights.slug)
    for name in ("untrained", "mine.weights.h5", "onnx-00000000"):
        with pytest.raises(WeightsError, match="has its own weights"):
            weights.provenance(model, name)


# What is refused


def test_a_file_that_changes_after_it_was_added_is_refused(copied):
    model = registry.get_model("conv")
    with (copied / "conv" / "conv.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="has changed since it was added"):
        networks.load(model, "imagenet")
    (copied / "conv" / "conv.onnx").unlink()
    with pytest.raises(WeightsError, match="is missing"):
        networks.load(model, "imagenet")


def test_a_damaged_description_hides_one_model_and_can_be_removed(copied):
    (copied / "conv" / "model.json").write_text('{"format": 1}')
    assert list(registry.MODELS)[-1] == "nhwc"
    with pytest.raises(OnnxError, match="'conv' is damaged"):
        registry.get_model("conv")
    onnx_adding.remove("conv")
    assert added_models.names() == ["nhwc"]


def hostile(tmp_path):
    """Name -> a file that can't be used, and a word of the reason."""
    broken = tmp_path / "broken"
    conv = onnx_graphs.convolutions()
    save = onnx_graphs.save
    cut = broken / "cut.onnx"
    save(conv, cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    yield cut, "cut short"

    build = onnx_graphs.Builder()
    build.node("Conv", ["image", build.weight("w", 4, 3, 3, 3)], "conv")
    build.node("Invented", ["conv"], "out")
    yield save(build.model(["out"], [1, 3, 32, 32]), broken / "operator.onnx"), "OpenVINO can't read"

    build = onnx_graphs.Builder()
    build.whole("size", [1, 300_000, 300_000, 30])
    build.node("ConstantOfShape", ["size"], "huge")
    build.node("ReduceSum", ["huge"], "sum", keepdims=1)
    build.node("Conv", ["image", build.weight("w", 4, 3, 3, 3)], "conv")
    build.node("Add", ["conv", "sum"], "out")
    yield save(build.model(["out"], [1, 3, 32, 32]), broken / "huge.onnx"), ""

    build = onnx_graphs.Builder()
    build.node("Conv", ["image", build.weight("w", 4, 3, 3, 3)], "conv")
    build.node("Sqrt", ["conv"], "out")
    yield save(build.model(["out"], [1, 3, 32, 32]), broken / "roots.onnx"), "not finite"

    build = onnx_graphs.Builder()
    build.node("Conv", ["image", build.weight("w", 4, 1, 3, 3)], "out")
    yield save(build.model(["out"], [1, 1, 32, 32]), broken / "gray.onnx"), "takes 1 x 1 x 32 x 32"

    build = onnx_graphs.Builder()
    build.node("Conv", ["image", build.weight("w", 4, 3, 3, 3)], "out")
    yield save(build.model(["out"], [1, 3, 32, 48]), broken / "oblong.onnx"), "square images"


def test_a_broken_or_hostile_file_gives_a_sentence_and_leaves_nothing(tmp_path, empty, capsys, monkeypatch):
    # Room for the libraries, and for nothing that a graph could ask for.
    monkeypatch.setattr(settings, "ONNX_MEMORY_BYTES", 6_000_000_000)
    for path, reason in hostile(tmp_path):
        assert cli.main(["models", "add", str(path), "--like", "timm"]) == 2, path
        printed = capsys.readouterr().err
        assert printed.startswith("error: ") and reason in printed, (path, printed)
        assert "Traceback" not in printed and printed.count("\n") == 1
        assert nothing_was_added(empty), path


def test_a_process_that_takes_too_long_is_ended(files, empty, monkeypatch):
    monkeypatch.setattr(settings, "ONNX_SECONDS", 1)
    monkeypatch.setattr(onnx_check, "_COMMAND", ("sleep", "30"))
    with pytest.raises(OnnxError, match="more than the 1 s allowed"):
        add(files["conv"], "timm")
    assert nothing_was_added(empty)


def test_a_graph_that_crashes_with_several_images_runs_one_by_one(tmp_path, files, empty, monkeypatch):
    asked = onnx_check._asked

    def crashes(name, request, reply):
        if request.get("images", 1) > 1:
            raise OnnxError("the process had to be stopped")
        return asked(name, request, reply)

    monkeypatch.setattr(onnx_check, "_asked", crashes)
    assert not add(files["conv"], "timm").weights.batched


@pytest.mark.parametrize("name", ["Upper", "../up", "a b", "", "x" * 64, "vgg16", "-x"])
def test_names_that_can_t_be_are_refused(files, empty, name):
    with pytest.raises(OnnxError):
        onnx_adding.check_name(name, tuple(registry.FAMILIES))


def test_wrong_choices_are_refused(files, empty):
    found = onnx_adding.inspect(files["vit"], "vit", onnx_description.describe("dinov2", None))
    with pytest.raises(UnknownNameError, match="'none'"):
        onnx_adding.add(found, [LayerChoice(tensor="none")])
    with pytest.raises(OnnxError, match="no class token"):
        onnx_adding.add(found, [LayerChoice(tensor="patches", tokens="cls")])
    with pytest.raises(OnnxError, match="different names"):
        onnx_adding.add(found, [LayerChoice(tensor="tokens")] * 2)
    assert nothing_was_added(empty)


def test_without_openvino_a_sentence_says_what_to_install(added, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = registry.get_model("conv")
    assert weights.availability(model)[0] is False
    with pytest.raises(WeightsError, match="pip install --no-deps openvino"):
        networks.load(model, "imagenet")


# The command line


def test_the_command_line_adds_lists_and_removes(files, empty, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(settings, "COLLECTIONS_DIR", tmp_path / "collections")
    beside = {
        "like": "timm",
        "title": "My net",
        "crop": None,
        "layers": [{"tensor": "relu2", "name": "last"}],
        "license": "MIT",
    }
    file = tmp_path / "mine.onnx"
    file.write_bytes(files["conv"].read_bytes())
    file.with_suffix(".json").write_text(json.dumps(beside))
    assert cli.main(["models", "add", str(file)]) == 0
    assert "1  last  4 x 4 x 16" in capsys.readouterr().out
    model = registry.get_model("mine")
    assert (model.title, model.resample) == ("My net", "bicubic")
    assert cli.main(["models", "list", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[-1]
    assert (row["model"], row["license"]) == ("mine", "MIT")
    assert "License: MIT." in weights.provenance(model, "imagenet").source
    assert cli.main(["models", "add", str(file)]) == 2
    assert "already" in capsys.readouterr().err

    dataset = draw_dataset(tmp_path / "shapes", 2, 2)
    runner.run(
        [dataset],
        runner.Request(("mine",), poolings=("avg",), metrics=("cosine",)),
        tmp_path / "grid",
        Silent(),
    )
    Collection.create("pets", model="mine", layer="last").close()
    command = ["models", "remove", "mine", "--grid", str(tmp_path / "grid")]
    assert cli.main(command) == 2
    told = capsys.readouterr().err
    assert "'shapes' has 1 experiments" in told and "The collection 'pets'" in told and "--yes" in told
    assert registry.get_model("mine")
    assert cli.main([*command, "--yes"]) == 0
    assert nothing_was_added(empty)
    assert cli.main(["collection", "search", "pets", str(dataset.path(0))]) == 2
    assert "the model 'mine', which is not here" in capsys.readouterr().err
    assert len(store.Grid(tmp_path / "grid").load("shapes").summaries) == 1


def test_the_name_of_imported_vectors_is_taken(files, empty, tmp_path, capsys):
    grid = tmp_path / "grid"
    dataset = draw_dataset(tmp_path / "shapes", 2, 2)
    table = vector_import.Table(None, np.eye(4, dtype=np.float32))
    vector_import.import_vectors(grid, dataset, "conv", table, "order", "a test", Silent())
    command = ["models", "add", str(files["conv"]), "--like", "timm", "--grid", str(grid)]
    assert cli.main(command) == 2
    assert "'conv'" in capsys.readouterr().err and nothing_was_added(empty)
    assert cli.main([*command, "--name", "other"]) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"mean": [0, 0, 0]}', "Nothing says how images go into the model"),
        ('{"like": "resnet"}', "Unknown family"),
        ('{"like": "timm", "crop": 2}', "crop"),
        ('{"like": "timm", "scale": [1, 0, 1]}', "must not be zero"),
        ('{"like": "timm", "layers": []}', "layers"),
        ('{"like": "timm", "color": "RGB"}', "color"),
        ('{"like": "timm", "mean": [NaN, 0, 0]}', "is not JSON"),
    ],
)
def test_a_description_that_can_t_be_used_is_refused(tmp_path, text, reason):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=reason):
        onnx_description.describe(None, path)


def test_gradients_are_said_not_to_exist(added):
    with pytest.raises(WeightsError, match="no graph that can be trained"):
        visualize.visualize(
            registry.get_model("conv").build_graph(), registry.get_model("conv"), "relu0", [0], Silent()
        )
