"""Collections: adding a folder against its parts, memory while adding, search against bare FAISS."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.extraction import decode_all, write_jpegs
from benchmarks.forward import extractor
from benchmarks.measure import Apart, Sample, apart, take_turns, timed
from benchmarks.table import Row
from core import planning
from core.collections import Collection, embedder
from core.collections.index import exact_search, faiss_file, faiss_scan
from core.collections.index.faiss_index import FaissSnapshot
from core.collections.index.index_record import IndexFile
from core.exact_index import prepared
from core.imaging import decode, transform
from core.metrics import get_metric
from core.models import registry
from core.settings import settings

MODEL, LAYER, DIMENSIONS = "efficientnet-lite0", "top_activation", 1280
_ROUNDS = 5
_FEW, _MANY = 400, 2_000
_WHOLE_MODEL, _WHOLE_ROUNDS = "efficientnetb0", 3
QUERIES, _K = 100, 10
# A turn takes so long at most, unless so few queries take longer.
_SECONDS, _FEW_QUERIES = 5, 5
KINDS = ("flat", "hnsw", "ivfpq")


def rows() -> list[Row]:
    """Images per second, megabytes, milliseconds per query at 10,000 vectors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_adding(folder), *_memory(folder), *_whole(folder), *searching(folder, 10_000, KINDS)]


def _adding(folder: Path) -> list[Row]:
    (folder / "photos").mkdir()
    files = write_jpegs(folder / "photos")
    model, batch = registry.get_model(MODEL), settings.BATCH_SIZE
    loaded = [transform.resize(decode.read(path), model.input_size, model.resample) for path in files]
    batches = [np.stack(loaded[i : i + batch]) for i in range(0, len(loaded), batch)]
    peer, network = networks.fastest(MODEL, batch)
    with made(folder / "first") as first:
        embed = first.embedder

    def add() -> None:
        with tempfile.TemporaryDirectory() as place, made(Path(place), lambda about: embed) as collection:
            assert collection.add([str(folder / "photos")]).added == len(files)

    times = take_turns(
        {
            "ours": add,
            "decode": lambda: decode_all(files, model),
            "forward": lambda: [network(part) for part in batches],
        },
        _ROUNDS,
    )
    slower = max("decode", "forward", key=lambda who: times[who].median)
    line = times["decode"].plus(times["forward"])
    note = (
        f"{len(files)} JPEG files into an empty collection: hashed, decoded, embedded, stored, indexed; "
        f"the slower of bare decoding and bare forward pass ({peer}) is the {slower}; each alone uses every core, "
        "so both together can't be as fast as one, and the row below has their limit"
    )
    return [
        Row.of(
            "adding a folder",
            times["ours"].rate(len(files)),
            "images/s",
            f"bare {slower}",
            times[slower].rate(len(files)),
            better="higher",
            goal=0.9,
            judged="ratio",
            note=note,
        ),
        Row.of(
            "adding a folder",
            times["ours"].rate(len(files)),
            "images/s",
            "both in line",
            line.rate(len(files)),
            better="higher",
            goal=0.95,
            judged="ratio",
            note="bare decoding and then the bare forward pass, each with all cores to itself: "
            "the limit where neither leaves a core idle",
        ),
    ]


def _memory(folder: Path) -> list[Row]:
    data = sorted((folder / "photos").glob("*.jpg"))
    for name, count in (("few", _FEW), ("many", _MANY)):
        (folder / name).mkdir()
        for i in range(count):
            # A comment behind the image makes it another file with the same pixels.
            (folder / name / f"{i}.jpg").write_bytes(data[i % len(data)].read_bytes() + str(i).encode())
    few, many = (Sample((apart(add_apart, str(folder / name)).peak,)) for name in ("few", "many"))
    return [
        Row.of(
            f"memory while adding {_MANY:,} images",
            many,
            "MB",
            f"{_FEW} images",
            few,
            goal=1.05,
            judged="ratio",
            note="peak of a whole process with the model; the vectors are written every few seconds",
        )
    ]


def add_apart(photos: str) -> int:
    """Add a folder in a process of its own."""
    with tempfile.TemporaryDirectory() as place, made(Path(place)) as collection:
        return collection.add([photos]).added


def _whole(folder: Path) -> list[Row]:
    """From files to a searchable index as a program of its own, in turns with what the published project does."""
    photos = str(folder / "few")
    ways = {"ours": index_apart, "published": index_as_published}
    for way in ways.values():
        apart(way, photos)  # converts the network, and reads all files once
    runs: dict[str, list[Apart]] = {name: [] for name in ways}
    for round_ in range(_WHOLE_ROUNDS):
        for name in list(ways) if round_ % 2 else reversed(ways):
            runs[name].append(apart(ways[name], photos))
            assert runs[name][-1].answer == _FEW
    batch = settings.BATCH_SIZE
    network, images = networks.fastest(_WHOLE_MODEL, batch)[1], networks.pixels(_WHOLE_MODEL, batch)
    forward = take_turns({"forward": lambda: [network(images) for _ in range(_FEW // batch)]}, _WHOLE_ROUNDS)
    seconds = {name: Sample(tuple(one.seconds for one in found)) for name, found in runs.items()}
    peaks = {name: Sample(tuple(one.peak for one in found)) for name, found in runs.items()}
    processor = {name: Sample(tuple(one.processor for one in found)) for name, found in runs.items()}
    name, peer = f"{_FEW} JPEG files to a searchable index", "the published way"
    note = (
        f"{_WHOLE_MODEL}, random weights, a whole process; the peer loads all images, calls model.predict on the last layer, "
        "and writes an exact index of FAISS, as cml/create_index.py of ConvNet Playground does; it neither hashes files nor keeps a catalog. "
        f"Bare OpenVINO takes {forward['forward'].median:.1f} s for as many images in batches of {batch}, which all cores share; ours are "
        "passes of two images side by side"
    )
    own = extractor(_WHOLE_MODEL, batch)
    own(images)
    started = time.process_time()
    for _ in range(_FEW // batch):
        own(images)
    alone = time.process_time() - started
    bound = (
        f"forward passes alone take {alone:.1f} s of ours. What imports modules, loads the network and builds the index uses one core, so that "
        "the wall time is more than that divided by the cores"
    )
    return [
        Row.of(name, seconds["ours"], "s", peer, seconds["published"], goal=0.3, judged="ratio", note=note),
        Row.of(f"{name}, processor time", processor["ours"], "s", peer, processor["published"], note=bound),
        Row.of(f"{name}, memory", peaks["ours"], "MB", peer, peaks["published"], goal=472, note=note),
    ]


def index_apart(photos: str) -> int:
    """Create a collection, add a folder and search it."""
    layer = registry.get_model(_WHOLE_MODEL).layers[-1].name
    with (
        tempfile.TemporaryDirectory() as place,
        Collection.create(
            "bench", model=_WHOLE_MODEL, weights="untrained", layer=layer, folder=Path(place)
        ) as collection,
    ):
        added = collection.add([photos]).added
        assert collection.search_vectors(np.zeros(collection.about.dimensions), 1)
        return added


def index_as_published(photos: str) -> int:
    """The same with Keras and FAISS alone."""
    import faiss
    import keras

    network = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(224, 224, 3))
    files = sorted(Path(photos).iterdir())
    loaded = [keras.utils.img_to_array(keras.utils.load_img(file, target_size=(224, 224))) for file in files]
    features = network.predict(np.asarray(loaded), verbose=0).reshape(len(files), -1)
    index = faiss.IndexIDMap(faiss.IndexFlatIP(features.shape[1]))
    index.add_with_ids(features, np.arange(len(files)))
    with tempfile.TemporaryDirectory() as place:
        faiss.write_index(index, str(Path(place) / "faiss.index"))
    return int(index.ntotal)


def searching(folder: Path, count: int, kinds: tuple[str, ...]) -> list[Row]:
    """Milliseconds per query in a collection of so many clustered vectors, for each kind of index."""
    with made(folder / f"of-{count}") as collection:
        fill(collection, count)
        return compared(collection, clustered(count, QUERIES, 1), kinds)


def compared(collection: Collection, queries: np.ndarray, kinds: tuple[str, ...]) -> list[Row]:
    """Milliseconds per query (dimensions,) and recall, for each kind of index built over a collection."""
    view = collection.snapshot()
    metric = get_metric(view.state.metric)
    truth, _ = exact_search.exact(view.stored, prepared(queries, metric), _K, metric)
    table: list[Row] = []
    for kind in kinds:
        collection.optimize(index=kind)
        table += _search(collection, queries, truth, kind)
    return table


def _search(collection: Collection, queries: np.ndarray, truth: np.ndarray, kind: str) -> list[Row]:
    view = collection.snapshot()
    assert isinstance(view, FaissSnapshot)
    known, count = view.index.known, view.state.rows
    bare = _bare(collection.folder / known.file, known, view)
    # The first of two touches what was never read. Looking at every one of a million vectors takes the better part of a second.
    once = min(timed(lambda: view.nearest(queries[:1], _K)) for _ in range(2))
    asked = queries[: max(_FEW_QUERIES, round(_SECONDS / once))]
    ours = take_turns(
        {
            "ours": lambda: [view.nearest(query[None], _K) for query in asked],
            "bare": lambda: [bare(query[None]) for query in asked],
            "whole": lambda: [collection.search_vectors(query, _K) for query in asked],
        },
        _ROUNDS,
    )
    per_query = {who: sample.times(1000 / len(asked)) for who, sample in ours.items()}
    recall = exact_search.recall(view.nearest(queries, _K)[0], truth)
    theirs = exact_search.recall(np.concatenate([bare(query[None]) for query in queries]), truth)
    name = f"{kind}, {count:,} x {view.vectors.dimensions}"
    scanned = known.factory == faiss_scan.FACTORY
    more = per_query["ours"].median - per_query["bare"].median
    return [
        Row.of(
            f"{name}, a query",
            per_query["ours"],
            "ms",
            "bare FAISS",
            per_query["bare"],
            goal=1.05 if not scanned else 0.35 if count >= 1_000_000 else 1,
            judged="ratio",
            note=f"{known.factory}, effort {known.effort}: "
            + ("its exact index of float32" if scanned else "the same index")
            + " in memory, queries scaled to length one there as well; of compressed vectors the best are compared again by both. "
            f"Ours minus theirs: {more:+.2f} ms. Scaling, checking and reading stored vectors from the mapped file cost the most beside a fast index",
        ),
        Row.of(
            f"{name}, with the catalog",
            per_query["whole"],
            "ms",
            "bare FAISS",
            per_query["bare"],
            goal=0.4 if (kind, count) == ("hnsw", 10_000) else None,
            note="queries are repeated, so their images are in memory: what is left is to ask SQLite for its number of changes",
        ),
        Row(f"{name}, recall@10", recall, "", better="higher", beside="bare FAISS", peer=theirs),
        _planned(
            f"{name}, bytes per vector",
            known.size / count,
            "B",
            planning.index_bytes(kind, count, view.vectors.dimensions) / count,
            1.05,
        ),
        _planned(
            f"{name}, a query",
            per_query["ours"].median,
            "ms",
            planning.query_ms(kind, count, view.vectors.dimensions),
            2,
        ),
    ]


def _planned(name: str, figure: float, unit: str, plan: float, goal: float) -> Row:
    """A figure beside what ``playground plan`` estimates."""
    return Row(name, figure, unit, beside="plan", peer=plan, ratio=figure / plan, goal=goal, judged="ratio")


def _bare(path: Path, known: IndexFile, view: Any) -> Any:
    """What FAISS alone does with the same index: queries (1, dimensions) to rows (1, k)."""
    import faiss

    parameters = None
    if known.factory == faiss_scan.FACTORY:
        # What it does with vectors as they are: numbers of 4 bytes.
        index = faiss.IndexFlatIP(view.vectors.dimensions)
        for _, block in view.vectors.chunks(0, view.state.rows):
            index.add(prepared(block, get_metric("cosine")))
    else:
        index = faiss.read_index(str(path))
    if isinstance(index, faiss.IndexIVF):
        parameters = faiss.SearchParametersIVF(nprobe=known.effort)
    elif isinstance(index, faiss.IndexHNSW):
        parameters = faiss.SearchParametersHNSW(efSearch=known.effort)
    if known.compressed and known.factory != faiss_scan.FACTORY:
        dimensions = view.vectors.dimensions
        full = faiss.IndexScalarQuantizer(
            dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        full.train(np.zeros((1, dimensions), np.float32))
        for _, block in view.vectors.chunks(0, view.state.rows):
            full.add(prepared(block, get_metric("cosine")))
        index = faiss.IndexRefine(index, full)
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=faiss_file.RERANK, base_index_params=parameters
        )

    def search(query: np.ndarray) -> np.ndarray:
        query = query.copy()
        faiss.normalize_L2(query)
        return index.search(query, _K, params=parameters)[1]

    return search


@contextmanager
def made(folder: Path, load: Any = embedder.load) -> Iterator[Collection]:
    """An empty collection that is gone after the block only with its folder."""
    with Collection.create("bench", model=MODEL, layer=LAYER, folder=folder, load=load) as collection:
        yield collection


def fill(collection: Collection, count: int) -> None:
    """Store clustered vectors, some at a time."""
    step = 20_000
    with collection.writing() as writer:
        from core.collections.writer import New

        for start in range(0, count, step):
            vectors = clustered(count, min(step, count - start), start + 2)
            writer.put([New(str(start + i), vector=vector) for i, vector in enumerate(vectors)])


def clustered(count: int, n: int, seed: int) -> np.ndarray:
    """(n, dimensions) float32: points of ``count / 100`` clusters of different sizes, as features of images are."""
    clusters = max(10, count // 100)
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(0)
    basis = centers.standard_normal((64, DIMENSIONS), np.float32)
    places = centers.standard_normal((clusters, 64), np.float32)
    chosen = np.minimum(random.geometric(3 / clusters, n), clusters) - 1
    # Within a cluster few directions vary, and all a little.
    inside = places[chosen] + 0.35 * random.standard_normal((n, 64), np.float32)
    return inside @ basis + 0.5 * random.standard_normal((n, DIMENSIONS), np.float32)
