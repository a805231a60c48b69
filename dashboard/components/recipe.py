"""The code that indexes a folder of the reader's own under a configuration, in Python and on the command line."""

import json
import shlex

from core.experiments.store import Configuration
from core.metrics import get_metric

FOLDER = "path/to/your/pictures"
WEIGHTS_FILE = "path/to/your.weights.h5"

# From what FAISS answers to the distance that the experiments use.
_DISTANCES = {
    "METRIC_INNER_PRODUCT": "1 - found",
    "METRIC_L2": "np.sqrt(np.maximum(found, 0))",
}

_PYTHON = '''\
from pathlib import Path

import faiss
import numpy as np

from core import images
from core.models import weights, zoo
from core.models.extractor import Extractor

FOLDER = Path({folder})
LAYER, POOLING = {layer}, {pooling}

model = zoo.get_model({model})
graph, origin = weights.load(model, {weights})
extract = Extractor(model, graph, [LAYER], [POOLING])


def vectors(files):
    """The files that can be read, and their vectors, batch by batch."""
    for batch in extract.batches(files):
        for _, reason in batch.failures:
            print("left out:", reason)
        if len(batch.places):
            rows = extract(batch.pixels)[LAYER, POOLING]
{normalize}            yield [files[i] for i in batch.places], rows


# Build the index and keep it, with the names of its pictures.
index = faiss.IndexFlat(extract.dimensions(LAYER, POOLING), faiss.{metric})
names = []
for files, rows in vectors(sorted(p for p in FOLDER.rglob("*") if p.suffix.lower() in images.SUFFIXES)):
    index.add(rows)
    names += [file.relative_to(FOLDER).as_posix() for file in files]
faiss.write_index(index, "pictures.faiss")
Path("pictures.txt").write_text("\\n".join(names), encoding="utf-8")

# Later, or in another program: read it and search it.
index = faiss.read_index("pictures.faiss")
names = Path("pictures.txt").read_text(encoding="utf-8").splitlines()
_, query = next(vectors([FOLDER / names[0]]))
found, places = index.search(query, min(10, index.ntotal))
for distance, place in zip({distance}, places[0]):
    print(f"{{distance:.4f}}  {{names[place]}}")
'''


def python(configuration: Configuration, folder: str = FOLDER) -> str:
    """A program that makes an index of a folder, writes it and searches it."""
    metric = get_metric(configuration.metric)
    normalize = (
        "            faiss.normalize_L2(rows)  # cosine is the inner product of vectors of length one\n"
    )
    distance = _DISTANCES.get(metric.faiss_metric, "found")
    return _PYTHON.format(
        folder=_quoted(folder),
        model=_quoted(configuration.model),
        weights=_quoted(_weights(configuration)),
        layer=_quoted(configuration.layer),
        pooling=_quoted(configuration.pooling),
        normalize=normalize if metric.normalized else "",
        metric=metric.faiss_metric,
        distance=f"({distance})[0]" if distance != "found" else "found[0]",
    )


def command_line(configuration: Configuration, folder: str = FOLDER) -> str:
    """The command that computes this experiment on a folder of class-named folders."""
    weights = _weights(configuration)
    words = [
        ("--dataset", folder),
        ("--model", configuration.model),
        *([("--weights", weights)] if weights != "imagenet" else []),
        ("--layer", configuration.layer),
        ("--pooling", configuration.pooling),
        ("--metric", configuration.metric),
    ]
    return " \\\n    ".join(
        ["python -m core grid run", *(f"{option} {shlex.quote(value)}" for option, value in words)]
    )


def _quoted(text: str) -> str:
    """A Python string; JSON's are, and have the double quotes that the rest of the program has."""
    return json.dumps(text)


def _weights(configuration: Configuration) -> str:
    # The published results were computed with the weights that Keras downloads.
    if configuration.weights == "published":
        return "imagenet"
    # Experiments know own weights by a hash; where the file lies, only the reader knows.
    return WEIGHTS_FILE if configuration.weights.startswith("file-") else configuration.weights
