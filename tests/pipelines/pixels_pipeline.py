"""The pipeline with the pixels of images as vectors, to be run in ``.venv-pipeline``: Beam and storage are real, and no network is loaded.

python -m tests.pipelines.pixels_pipeline TROUBLE ARGUMENT...
"""

import sys
import time
from collections.abc import Callable

from core.pipelines import extraction_pipeline, shard_transforms
from core.shards import manifest, shard_file
from tests.collections.pixels import Pixels


class SlowPixels(Pixels):
    def __call__(self, pixels):
        time.sleep(0.5)
        return super().__call__(pixels)


def none() -> None:
    """All goes well."""


def slow() -> None:
    """A batch takes half a second."""
    shard_transforms.load = lambda configuration: SlowPixels()


def fail_once() -> None:
    """The first write of each shard fails when the file is there already."""
    write, failed = shard_file.write, set()

    def failing(store, shard, *arguments):
        write(store, shard, *arguments)
        if shard not in failed:
            failed.add(shard)
            print("failed", shard, file=sys.stderr)
            raise ConnectionError("the answer was lost")

    shard_file.write = failing


def other_pillow() -> None:
    """Workers have another Pillow."""
    versions, calls = manifest.versions, []

    def changed():
        calls.append(None)
        return versions() | ({"pillow": "1.0"} if len(calls) > 1 else {})

    manifest.versions = changed


TROUBLES: dict[str, Callable[[], None]] = {
    function.__name__: function for function in (none, slow, fail_once, other_pillow)
}

if __name__ == "__main__":
    shard_transforms.load = lambda configuration: Pixels()
    TROUBLES[sys.argv[1]]()
    sys.exit(extraction_pipeline.main(sys.argv[2:]))
