import json

import pytest

from core import cli, lock
from core.errors import GridError, UserError
from core.experiments import machine_costs
from core.experiments.machine_costs import FILE, Measured
from core.models import registry
from core.progress import Silent

CONDITIONS = {"processor": "Some processor", "cores": 2, "tensorflow": "2.0", "batch_size": 8}


def test_where_nothing_was_measured_there_is_nothing(tmp_path):
    assert machine_costs.read(tmp_path) == {}


def test_what_was_written_is_read_back(tmp_path):
    found = {"tensorflow": Measured({"net": {"one": 1.5}}, CONDITIONS)}
    machine_costs._write(tmp_path, found)
    assert machine_costs.read(tmp_path) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": 1, "runtimes": {"tensorflow": {}}}',
        '{"format": 1, "runtimes": {"tensorflow": {"ms_per_image": {"net": {"one": "fast"}}, "conditions": {}}}}',
        '{"format": 1, "runtimes": {"tensorflow": {"ms_per_image": {}, "conditions": {}}}}',
    ],
)
def test_a_damaged_file_says_how_to_write_it_again(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(GridError, match="bench-here"):
        machine_costs.read(tmp_path)


def test_another_format_is_refused(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"format": 99, "runtimes": {}}))
    with pytest.raises(GridError, match="another format than 1"):
        machine_costs.read(tmp_path)


@pytest.mark.slow
def test_the_command_measures_every_layer_with_both_runtimes_apart(tmp_path, capsys):
    pytest.importorskip("openvino")
    command = ["bench-here", "--model", "squeezenet", "--grid", str(tmp_path), "--json"]
    assert cli.main([*command, "--runtime", "tensorflow"]) == 0
    capsys.readouterr()
    assert cli.main([*command, "--runtime", "openvino"]) == 0
    rows = json.loads(capsys.readouterr().out)
    layers = [layer.name for layer in registry.get_model("squeezenet").layers]
    found = machine_costs.read(tmp_path)
    for kind in machine_costs.RUNTIMES:
        assert list(found[kind].ms_per_image["squeezenet"]) == layers
        assert found[kind].conditions[kind]
        times = [row["ms per image"] for row in rows if row["runtime"] == kind]
        assert times == list(found[kind].ms_per_image["squeezenet"].values())
        # The whole network takes longer than its first layer.
        assert 0 < times[0] < times[-1]
    assert "openvino" not in found["tensorflow"].conditions


def test_two_measurements_at_a_time_are_refused(tmp_path):
    with lock.writing(tmp_path), pytest.raises(UserError, match="wait"):
        machine_costs.measure(["squeezenet"], ["openvino"], tmp_path, Silent())
