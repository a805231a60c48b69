"""What ships about the layers of each network, against the graphs and against measurements."""

import subprocess
import sys
from bisect import bisect_left

import numpy as np
import pytest

from core.errors import ModelDataError, UnknownNameError
from core.models import architecture, registry
from core.settings import settings

GIGA = 1e9


@pytest.mark.parametrize("name", registry.MODELS)
def test_what_ships_agrees_with_the_table_of_models(name):
    model, shipped = registry.get_model(name), architecture.read(name)
    assert [(one.name, one.shape, one.parameters) for one in shipped.grid_layers] == [
        (one.name, one.shape, one.parameters) for one in model.layers
    ]
    assert [one.depth for one in shipped.grid_layers] == list(range(1, 9))
    assert shipped.layers[0].shape == (model.input_size, model.input_size, 3)
    assert shipped.layers[-1].parameters == model.parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet", "mobilenet", "efficientnetb0", "inceptionv3", "xception"])
def test_what_ships_is_what_the_graph_is(name, graphs):
    described = architecture.describe(graphs(name), registry.get_model(name))
    assert described == architecture.read(name)
    path = settings.MODELS_DIR / name / architecture.FILE
    assert path.read_text("utf-8") == architecture.text(described)


def test_all_that_ships_is_small():
    files = list(settings.MODELS_DIR.glob(f"*/{architecture.FILE}"))
    assert len(files) == len(registry.MODELS)
    assert sum(file.stat().st_size for file in files) < 600_000


@pytest.mark.parametrize("name", ["inceptionv3", "efficientnetb0"])
def test_parameters_are_those_that_keras_counts_of_the_model_cut_there(name, graphs):
    import keras

    graph, shipped = graphs(name), architecture.read(name)
    named = architecture.layers_by_name(graph)
    for layer in shipped.layers[5::29]:
        cut = keras.Model(graph.input, named[layer.name].output)
        assert layer.parameters == cut.count_params(), layer.name
        assert layer.own_parameters == named[layer.name].count_params()
        assert layer.shape == named[layer.name].output.shape[1:]


def test_names_do_not_depend_on_what_was_built_before(graphs):
    first, second = graphs("xception"), registry.get_model("xception").build_graph()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    assert list(architecture.layers_by_name(first)) == list(architecture.layers_by_name(second))


@pytest.mark.parametrize("name", ["xception", "inceptionv3"])
def test_counted_layers_have_the_names_of_the_grid(name, graphs):
    graph, model = graphs(name), registry.get_model(name)
    named = architecture.layers_by_name(graph)
    names = [layer.name for layer in model.layers]
    for found, point in zip(names, model.outputs(graph, names), strict=True):
        assert named[found].output is point


def test_multiply_adds_of_convolutions_by_hand():
    vgg = architecture.read("vgg16")
    assert vgg.layer("block1_conv2").own_multiply_adds == 224 * 224 * 64 * (3 * 3 * 64)
    mobilenet = architecture.read("mobilenet")
    assert mobilenet.layer("conv_dw_1").own_multiply_adds == 112 * 112 * 32 * (3 * 3)
    separable = architecture.read("xception").layer("block3_sepconv1")
    assert separable.own_multiply_adds == 74 * 74 * (3 * 3 * 128 + 128 * 256)


@pytest.mark.parametrize(
    ("name", "published"),
    # Billions of multiply-adds as papers give them, less those of a classifier of 1000 classes where they count it:
    # He et al. 2015 (3.8), Howard et al. 2017 (0.569), Sandler et al. 2018 (0.300), Tan and Le 2019 (0.39).
    [("vgg16", 15.35), ("resnet50", 3.8), ("mobilenet", 0.568), ("mobilenetv2", 0.299), ("efficientnetb0", 0.389)],
)  # fmt: skip
def test_multiply_adds_of_whole_networks_are_the_published_ones(name, published):
    assert architecture.read(name).layers[-1].multiply_adds / GIGA == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize(
    ("name", "pixels"),
    # Araujo, Norris and Sim 2019, Computing Receptive Fields of Convolutional Neural Networks (Distill).
    [("vgg16", 212), ("resnet50", 483), ("mobilenet", 315), ("inceptionv3", 1311)],
)
def test_receptive_fields_of_whole_networks_are_the_published_ones(name, pixels):
    assert architecture.read(name).layers[-1].receptive_field == (pixels, pixels)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("squeezenet", "fire4_concat"),
        ("mobilenet", "conv_dw_4"),
        ("xception", "block2_sepconv2"),
    ],
)
def test_receptive_field_is_where_a_network_of_ones_responds(name, layer, graphs):
    """Averages only: the middle of the output is above zero where it sees any pixel that is."""
    import keras

    graph = graphs(name)
    cut = keras.models.clone_model(keras.Model(graph.input, architecture.layers_by_name(graph)[layer].output))
    cut.set_weights(
        [np.full_like(w, 1 / np.prod(w.shape[:3])) if w.ndim == 4 else w for w in cut.get_weights()]
    )
    size, (height, width, _) = graph.input.shape[1], cut.output.shape[1:]

    def responds(rows: slice, axis: int) -> bool:
        image = np.zeros((1, size, size, 3), np.float32)
        image[(slice(None),) * (1 + axis) + (rows,)] = 1
        return bool(np.asarray(cut(image, training=False))[0, height // 2, width // 2].max() > 0)

    def seen(axis: int) -> int:
        first = bisect_left(range(size), True, key=lambda edge: responds(slice(0, edge + 1), axis))
        last = bisect_left(range(size), True, key=lambda edge: responds(slice(size - 1 - edge, size), axis))
        return (size - 1 - last) - first + 1

    assert (seen(0), seen(1)) == architecture.read(name).layer(layer).receptive_field


@pytest.mark.parametrize(
    ("name", "layer", "sees_all"),
    [("efficientnetb0", "block1a_project_conv", True), ("mobilenet", "conv_pw_1", False)],
)
def test_squeeze_and_excitation_sees_beyond_the_receptive_field(name, layer, sees_all, graphs):
    import keras

    graph, shipped = graphs(name), architecture.read(name).layer(layer)
    cut = keras.Model(graph.input, architecture.layers_by_name(graph)[layer].output)
    images = np.random.default_rng(0).uniform(-1, 1, (1, *graph.input.shape[1:])).astype(np.float32)
    images = np.concatenate([images, images])
    images[1, :50] += 1
    middle = np.asarray(cut(images, training=False))[:, shipped.shape[0] // 2, shipped.shape[1] // 2]
    assert shipped.receptive_field[0] < 20
    assert shipped.sees_all == sees_all == (np.abs(middle[0] - middle[1]).max() > 0)


def test_a_window_of_one_row_widens_the_receptive_field_along_the_row_alone():
    shipped = architecture.read("inceptionv3")
    flat = next(layer for layer in shipped.layers if layer.kernel == (1, 7))
    (before,) = (shipped.layer(name) for name in flat.inputs)
    rows, columns = before.receptive_field
    assert flat.receptive_field == (rows, columns + 6 * before.spacing[1])


def test_layers_that_pool_everything_have_no_receptive_field_of_their_own():
    shipped = architecture.read("efficientnetb0")
    squeezed = shipped.layer("block2b_se_reduce")
    assert (squeezed.shape, squeezed.receptive_field, squeezed.sees_all) == ((1, 1, 6), None, True)
    assert not squeezed.spatial
    assert (
        shipped.layer("block2b_se_excite").receptive_field
        == shipped.layer("block2b_activation").receptive_field
    )
    assert not shipped.layer("block1a_activation").sees_all
    assert shipped.layer("block1a_se_excite").sees_all


def test_the_way_from_the_image_is_counted_along_the_longest_branch():
    shipped = architecture.read("squeezenet")
    assert shipped.layers[0].path == 0
    assert shipped.layer("conv1").path == 1
    fire = shipped.layer("fire2_concat")
    assert set(fire.inputs) == {"fire2_expand1x1", "fire2_expand3x3"}
    assert fire.path == shipped.layer("fire2_squeeze1x1").path + 2


@pytest.mark.parametrize("name", ["vgg16", "squeezenet", "densenet121", "inceptionv3", "efficientnetb0"])
def test_without_a_layer_of_the_trunk_the_end_is_out_of_reach(name):
    shipped = architecture.read(name)

    def reached(without: str) -> bool:
        found = set()
        for layer in shipped.layers:
            if layer.name != without and (not layer.inputs or found & set(layer.inputs)):
                found.add(layer.name)
        return shipped.layers[-1].name in found

    assert {layer.name for layer in shipped.trunk} == {
        layer.name for layer in shipped.layers if not reached(layer.name)
    }


def test_reading_imports_no_tensorflow():
    code = (
        "import sys; from core.models import architecture; architecture.read('efficientnetb5');"
        "print(sorted({'tensorflow', 'keras', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_unknown_names_are_reported():
    with pytest.raises(UnknownNameError, match="vgg17"):
        architecture.read("vgg17")
    with pytest.raises(UnknownNameError, match=r"layer of vgg16 'top'.*block5_conv3"):
        architecture.read("vgg16").layer("top")


def _damaged(text: str) -> dict[str, str]:
    return {
        "cut short": text[: len(text) // 2],
        "no object": "[1, 2]",
        "no columns": '{"format": 1, "model": "squeezenet"}',
        "another model": text.replace('"squeezenet"', '"vgg16"', 1),
        "no layers": text[: text.index("[\n")] + "[]}",
        "a row too short": text.replace(",[]],", "],", 1),
        "text for a number": text.replace('"conv1","Conv2D",[111,111,64]', '"conv1","Conv2D",[111,"x",64]'),
        "a name that is none": text.replace('["conv1",', "[null,", 1),
        "twice the same": text.replace('["conv1",', '["image",', 1),
        "an input that comes later": text.replace('["image"]]', '["fire2_concat"]]', 1),
    }


@pytest.mark.parametrize("damage", _damaged("[\n"))
def test_a_damaged_file_is_reported_with_what_to_do(damage, tmp_path):
    text = architecture.text(architecture.read("squeezenet"))
    broken = _damaged(text)[damage]
    assert broken != text
    (tmp_path / "squeezenet").mkdir()
    (tmp_path / "squeezenet" / architecture.FILE).write_text(broken, "utf-8")
    with pytest.raises(ModelDataError, match=r"damaged.*models describe squeezenet"):
        architecture.read("squeezenet", tmp_path)


def test_a_missing_file_and_another_format_are_reported(tmp_path):
    with pytest.raises(ModelDataError, match=r"missing.*models describe vgg16"):
        architecture.read("vgg16", tmp_path)
    (tmp_path / "vgg16").mkdir()
    (tmp_path / "vgg16" / architecture.FILE).write_text('{"format": 2}')
    with pytest.raises(ModelDataError, match=r"format 2.*format 1"):
        architecture.read("vgg16", tmp_path)
