"""Extraction on Apache Beam against ``collection add`` of the same images."""

import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.collection import LAYER, MODEL, made
from benchmarks.extraction import write_jpegs
from benchmarks.measure import ROOT, LeftOut, Sample, apart, take_turns
from benchmarks.table import Row

_PYTHON = ROOT / ".venv-pipeline" / "bin" / "python"
_ROUNDS, _COPIES = 5, 3


def rows() -> list[Row]:
    """Seconds for 600 images, and the milliseconds that each stage takes for one."""
    if not _PYTHON.exists():
        raise LeftOut("Apache Beam is not installed; make pipeline installs it.")
    with tempfile.TemporaryDirectory() as name:
        count = _write(Path(name))
        times, stages = apart(in_turns, name, python=str(_PYTHON)).answer
    beam, add = (Sample(tuple(times[who])) for who in ("beam", "add"))
    note = (
        f"{count} JPEG files, {MODEL}, one process for both: the files listed, hashed, decoded, embedded and stored, as one shard or as a "
        "collection with its index; starting Python and loading the model are not counted"
    )
    waits = "images are read while the network works, so reading is the time that the network waits for them"
    return [
        Row.of(
            "images to a shard on Beam, in memory",
            beam,
            "s",
            "collection add",
            add,
            goal=1.1,
            judged="ratio",
            note=note,
        ),
        *(
            Row.of(f"an image: {stage}", Sample(tuple(spent)).times(1 / count), "ms", note=waits)
            for stage, spent in stages.items()
        ),
    ]


def _write(folder: Path) -> int:
    """Put 600 photographs into a folder and return how many they are."""
    files = write_jpegs(folder)
    for path in files:
        for copy in range(1, _COPIES):
            # A comment behind the image makes it another file with the same pixels.
            path.with_stem(f"{path.stem}-{copy}").write_bytes(path.read_bytes() + str(copy).encode())
    return _COPIES * len(files)


def in_turns(photos: str) -> tuple[dict[str, tuple[float, ...]], dict[str, list[float]]]:
    """Seconds of the pipeline and of ``collection add``, and milliseconds of the pipeline's stages; where Apache Beam is."""
    from core.data import image_sources
    from core.models import weights
    from core.pipelines import extraction_pipeline, shard_transforms
    from core.shards import scanning
    from core.shards.manifest import Configuration

    configuration = Configuration.of(MODEL, weights.IMAGENET, LAYER, "avg")
    embed = shard_transforms.load(configuration)
    stages: dict[str, list[float]] = defaultdict(list)

    def add(place: str) -> None:
        with made(Path(place), lambda about: embed) as collection:
            collection.add([photos])

    def beam(place: str) -> None:
        begun = extraction_pipeline.begin(configuration, image_sources.parse(photos))
        counters = extraction_pipeline.run(
            shard_transforms.ExtractSources(place, begun, None, scanning.SHARD_SIZE)
        )
        for stage in shard_transforms.STAGES:
            stages[stage].append(counters.get(f"{stage}_ms", 0))

    def in_folder(function: Any) -> None:
        with tempfile.TemporaryDirectory() as place:
            function(place)

    times = take_turns({"add": partial(in_folder, add), "beam": partial(in_folder, beam)}, _ROUNDS)
    # The first one warmed up.
    return {who: sample.values for who, sample in times.items()}, {
        stage: spent[1:] for stage, spent in stages.items()
    }
