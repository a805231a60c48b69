"""A collection as one Parquet file that anything else can read."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import disk
from core.collections.collection import Collection
from core.errors import CollectionError
from core.progress import Progress

_ROWS = 1_000


def write(
    collection: Collection,
    path: Path,
    progress: Progress,
    told: Callable[[Any], str] | None = None,
) -> int:
    """Write path, label, metadata, hash and vector of every image; returns how many.

    The vectors are as the model gave them, in the type they are stored in; images of the same content repeat theirs. Metadata are JSON text, since each
    image may have others. The file appears when it is whole.

    Parameters
    ----------
    told : what stands as the path of an image, a row of the catalog; that of its file when not given.

    Raises
    ------
    CollectionError : the file can't be written.
    DiskError : the disk is nearly full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = collection.about
    told = told or (lambda image: collection.full_path(image.path))
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
    building = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with collection.pages(_ROWS) as (total, pages):
            progress.stage("exporting", total)
            with pq.ParquetWriter(building, schema, compression="zstd") as writer:
                for images, vectors in pages:
                    flat = pa.array(vectors.reshape(-1), kind)
                    columns = [
                        pa.array([told(image) for image in images]),
                        pa.array([image.label for image in images], pa.string()),
                        pa.array([json.dumps(image.metadata, ensure_ascii=False) for image in images]),
                        pa.array([image.hash for image in images], pa.string()),
                        pa.FixedSizeListArray.from_arrays(flat, about.dimensions),
                    ]
                    writer.write_batch(pa.record_batch(columns, schema=schema))
                    count += len(images)
                    progress.step(len(images))
        building.replace(path)
    except (OSError, pa.ArrowException) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise CollectionError(f"The file {path.name!r} can't be written: {reason}.") from None
    finally:
        building.unlink(missing_ok=True)
    return count
