"""Reading ONNX files as data: what is refused before any library looks at the graph."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from core.errors import OnnxError
from core.models import onnx_file
from core.settings import settings
from tests.models import onnx_graphs


@pytest.fixture
def model():
    return onnx_graphs.convolutions()


def refusal(path) -> str:
    with pytest.raises(OnnxError) as error:
        onnx_file.read(path)
    return str(error.value)


def test_a_file_says_what_wrote_it(tmp_path, model):
    found = onnx_file.read(onnx_graphs.save(model, tmp_path / "a.onnx"))
    assert (found.producer, found.external) == ("tests 1", ())


def test_arrays_are_read_as_the_onnx_package_reads_them(tmp_path, model):
    found = onnx_file.initializers(onnx_graphs.save(model, tmp_path / "a.onnx"))
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_numbers_that_are_stored_one_by_one_are_read(tmp_path, model):
    model.graph.initializer[0].CopyFrom(onnx.helper.make_tensor("w0", 1, (4, 3, 3, 3), np.arange(108.0)))
    found = onnx_file.initializers(onnx_graphs.save(model, tmp_path / "a.onnx"))
    np.testing.assert_array_equal(found["w0"].ravel(), np.arange(108))


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"no onnx at all", b"PK\x03\x04" + b"x" * 50])
def test_something_else_is_no_onnx_file(tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    assert "is no ONNX file" in refusal(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path, model, share):
    content = model.SerializeToString()
    path = tmp_path / "a.onnx"
    path.write_bytes(content[: int(len(content) * share)])
    assert "is no ONNX file, or cut short" in refusal(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert "There is no file none.onnx" in refusal(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "folder.onnx" in refusal(tmp_path / "folder.onnx")


def test_custom_operators_are_named(tmp_path):
    build = onnx_graphs.Builder()
    build.node("Conv", ["image", build.weight("w", 4, 3, 3, 3)], "conv")
    build.node("Run", ["conv"], "out", domain="evil.example")
    path = onnx_graphs.save(
        build.model(["out"], [1, 3, 32, 32], domains=("evil.example",)), tmp_path / "a.onnx"
    )
    assert "custom operators (evil.example.Run)" in refusal(path)


def test_weights_that_are_not_numbers_are_named(tmp_path, model):
    values = numpy_helper.to_array(model.graph.initializer[2]).copy()
    values[0, 0, 0, 0] = np.nan
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(values, "w1"))
    assert "'w1'" in refusal(onnx_graphs.save(model, tmp_path / "a.onnx"))


def test_a_limit_on_size_counts_the_files_beside_it(tmp_path, model, monkeypatch):
    path = tmp_path / "a.onnx"
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, path)
    assert onnx_file.read(path).external == ("weights.bin",)
    monkeypatch.setattr(settings, "MAX_ONNX_BYTES", path.stat().st_size + 10)
    assert "with its weights" in refusal(path)
    monkeypatch.setattr(settings, "MAX_ONNX_BYTES", path.stat().st_size - 1)
    assert "PLAYGROUND_MAX_ONNX_BYTES" in refusal(path)


@pytest.mark.parametrize(
    "place", ["../secret", "/etc/passwd", "sub/weights.bin", "..", "", ".hidden", "a\\b", "missing.bin"]
)
def test_weights_come_from_plain_files_beside_it_only(tmp_path, model, place):
    (tmp_path / "secret").write_bytes(bytes(10_000))
    (tmp_path / "here").mkdir()
    onnx_graphs.save(model, tmp_path / "here" / "a.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    path = tmp_path / "here" / "a.onnx"
    path.write_bytes(model.SerializeToString())
    assert "takes weights from" in refusal(path)


def test_a_link_to_weights_elsewhere_is_refused(tmp_path, model):
    (tmp_path / "here").mkdir()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    path = tmp_path / "here" / "a.onnx"
    onnx.save(model, path)
    (tmp_path / "here" / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (tmp_path / "here" / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    assert "'weights.bin'" in refusal(path)
