"""The code that indexes a folder of the reader's own under a configuration, in Python and on the command line."""

import json
import shlex

from core.collections.index import engines
from core.experiments.store import Configuration
from core.models import weights as weights_
from core.models.combinations import Stored

NAME = "images"
FOLDER = "path/to/your/images"
IMAGE = "path/to/an/image.jpg"
WEIGHTS_FILE = "path/to/your.weights.h5"

_PYTHON = """\
from pathlib import Path

from core.collections import Collection
from core.imaging import decode

# Create the collection once and add a folder; adding it again adds what is new.
with Collection.create(
    {name},
{configuration}) as images:
    report = images.add([{folder}])
    print(report.added, "added,", report.failed, "left out")

# Later, or in another program: open it and search it.
with Collection.open({name}) as images:
    query = decode.read(Path({image}))
    for hit in images.search([query], k=10)[0]:
        print(f"{{hit.distance:.4f}}  {{hit.path}}")
"""


def python(
    configuration: Configuration,
    folder: str = FOLDER,
    image: str = IMAGE,
    name: str = NAME,
    engine: str = engines.DEFAULT,
) -> str:
    """A program that creates a collection of a folder and searches it with an image.

    An engine with a server needs the setting of :func:`server`.
    """
    parts = [*_parts(configuration), *_engine(engine)]
    lines = (f"    {part}={_quoted(value)},\n" for part, value in parts)
    return _PYTHON.format(
        name=_quoted(name), configuration="".join(lines), folder=_quoted(folder), image=_quoted(image)
    )


def commands(
    configuration: Configuration,
    folder: str = FOLDER,
    image: str = IMAGE,
    name: str = NAME,
    engine: str = engines.DEFAULT,
) -> str:
    """The same on the command line."""
    collection = "playground collection"
    return "\n".join(
        [
            _command(f"{collection} create {shlex.quote(name)}", [*_parts(configuration), *_engine(engine)]),
            f"{collection} add {shlex.quote(name)} {shlex.quote(folder)}",
            f"{collection} search {shlex.quote(name)} {shlex.quote(image)}",
        ]
    )


def measuring(configuration: Configuration, folder: str = FOLDER) -> str:
    """The command that computes this experiment on a folder of class-named folders."""
    return _command("playground grid run", [("dataset", folder), *_parts(configuration)])


def combining(stored: Stored) -> str:
    """The command that makes a combination."""
    parts = [("of", f"{part.model}:{part.layer}:{part.pooling}") for part in stored.parts]
    center = [("center", stored.centered_on)] if stored.centered_on else []
    return _command(f"playground combinations add {stored.name}", [*parts, *center])


def server(engine: str) -> str | None:
    """The line that says where the server of an engine is, None if it needs none."""
    setting = engines.get(engine).setting
    return f"export PLAYGROUND_{setting[0]}={setting[1]}" if setting else None


def _engine(engine: str) -> list[tuple[str, str]]:
    return [] if engine == engines.DEFAULT else [("engine", engine)]


def _parts(configuration: Configuration) -> list[tuple[str, str]]:
    """The configuration, without weights where they are the usual ones."""
    weights = _weights(configuration)
    return [
        ("model", configuration.model),
        *([("weights", weights)] if weights != "imagenet" else []),
        ("layer", configuration.layer),
        ("pooling", configuration.pooling),
        ("metric", configuration.metric),
    ]


def _command(beginning: str, options: list[tuple[str, str]]) -> str:
    return " \\\n    ".join([beginning, *(f"--{option} {shlex.quote(value)}" for option, value in options)])


def _quoted(text: str) -> str:
    """A Python string; JSON's are, and have the double quotes that the rest of the program has."""
    return json.dumps(text)


def _weights(configuration: Configuration) -> str:
    # The published results were computed with the weights that Keras downloads. For a model that was added the usual weights are its own.
    if configuration.weights == "published" or weights_.is_own(configuration.weights):
        return "imagenet"
    # Experiments know own weights by a hash; where the file lies, only the reader knows.
    return WEIGHTS_FILE if configuration.weights.startswith("file-") else configuration.weights
