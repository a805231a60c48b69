"""Downloading the published data from its repository at a pinned commit."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core import download
from core.errors import DatasetError, UserError
from core.models import registry
from core.progress import Progress
from core.published import archive, convert, names, reader
from core.published.reader import Copy


def fetch(out: Path, progress: Progress) -> convert.Report:
    """Download the published data, unless that was done before, and bring it into a grid.

    The commit in the address pins what comes. GitHub packs the archive on request, so no hash of it can be known; what is
    known are digests of results in it, and an archive in which they are others is thrown away.

    Parameters
    ----------
    out : the grid's folder.

    Raises
    ------
    DownloadError : the archive can't be had.
    UserError : what came is not what was published.
    """
    import pooch

    downloading, importing = progress.divide(1, 1)
    path = Path(pooch.os_cache("embedding-playground")) / f"convnet-playground-{names.COMMIT[:12]}.tar.gz"
    download.download(names.ARCHIVE_URL, path, None, downloading, "published data")
    with tempfile.TemporaryDirectory() as folder:
        try:
            archive.unpack(path, Path(folder))
            _verify(reader.find(Path(folder)))
        except DatasetError:
            path.unlink()
            raise
        return convert.import_copy(Path(folder), out, importing, f"commit {names.COMMIT[:12]}")


def digest(copy: Copy) -> str:
    """SHA-256 over classes.json and all result lists of the nine models' eight layers, by their paths.

    Each file adds the line ``path TAB sha256-of-its-bytes NEWLINE``.
    """
    files = [copy.root / "datasets" / copy.name / "classes.json"]
    for model in registry.APPLICATIONS:
        eight = {layer.name for layer in registry.get_model(model).layers}
        for metric in ("cosine", "euclidean"):
            files += [
                path for path in copy.experiments(model, metric) if names.ours(model, path.stem) in eight
            ]
    total = hashlib.sha256()
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(copy.root).as_posix()}\t{content}\n".encode())
    return total.hexdigest()


def _verify(found: Sequence[Copy]) -> None:
    there = {copy.name: digest(copy) for copy in found}
    for name, wanted in names.DIGESTS.items():
        if there.get(name) != wanted:
            raise DatasetError(
                f"What came is not what was published: the results of {name} are {'missing' if name not in there else 'others'}. "
                "It was thrown away; try again, or bring a copy with `playground published import`."
            )


def without_network(error: UserError) -> str:
    """What to do when nothing can be downloaded."""
    return (
        f"{error} Without a connection, get a copy of {names.REPOSITORY} or of its assets/semsearch folder another way, and bring it "
        "with: playground published import FOLDER_OR_ARCHIVE"
    )
