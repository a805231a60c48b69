"""Export a collection as one Parquet file, for other tools."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from core import disk
from core.collections.collection import Collection
from core.collections.schema import Row
from core.errors import CollectionError
from core.progress import Progress

_ROWS = 1_000


def write(
    collection: Collection,
    path: Path,
    progress: Progress,
    path_of: Callable[[Row], str] | None = None,
) -> int:
    """Write path, label, metadata, hash and vector of every image, and return how many.

    The vectors are unscaled and in the type of the collection; images with the same content repeat theirs. Metadata are JSON text, since
    they differ between images. The file appears when it is complete.

    Parameters
    ----------
    path_of : returns the path to write for an image; default: that of its file.

    Raises
    ------
    CollectionError : the file can't be written.
    DiskError : the disk is nearly full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = collection.about
    path_of = path_of or (lambda image: collection.full_path(image.path))
    kind = pa.float16() if about.dtype == "float16" else pa.float32()
    schema = pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("metadata", pa.string(), nullable=False),
            pa.field("sha256", pa.string()),
            pa.field("vector", pa.list_(kind, about.dimensions), nullable=False),
        ],
        metadata={
            key: str(value) for key, value in vars(about).items() if key not in ("uuid", "catalog", "dtype")
        },
    )
    disk.require(path.parent, collection.info().vector_bytes)
    count = 0
    try:
        with collection.pages(_ROWS) as (total, pages), disk.replacing(path) as beside:
            progress.stage("exporting", total)
            with pq.ParquetWriter(beside, schema, compression="zstd") as writer:
                for images, vectors in pages:
                    flat = pa.array(vectors.reshape(-1), kind)
                    columns = [
                        pa.array([path_of(image) for image in images]),
                        pa.array([image.label for image in images], pa.string()),
                        pa.array([json.dumps(image.metadata, ensure_ascii=False) for image in images]),
                        pa.array([image.hash for image in images], pa.string()),
                        pa.FixedSizeListArray.from_arrays(flat, about.dimensions),
                    ]
                    writer.write_batch(pa.record_batch(columns, schema=schema))
                    count += len(images)
                    progress.step(len(images))
    except (OSError, pa.ArrowException) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise CollectionError(f"The file {path.name!r} can't be written: {reason}.") from None
    return count
