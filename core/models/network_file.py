"""A network in one file, as OpenVINO reads it: written whole or not at all, and checked before it is used.

The file is a line of JSON, OpenVINO's description of the network in XML, and its weights.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import disk
from core.models import runtime
from core.settings import settings
from core.threads import native_calls

if TYPE_CHECKING:
    import openvino as ov

FORMAT = 1
_MOST_HEAD = 10_000


class DamagedNetworkError(Exception):
    """A file that holds another network than is wanted, or is damaged."""


def write(path: Path, network: "ov.Model", key: str) -> None:
    """Write a network.

    Parameters
    ----------
    key : of what it was made from.

    Raises
    ------
    OSError : the file can't be written. DiskError : the disk is nearly full.
    """
    ov = runtime.import_openvino()
    with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR, ignore_cleanup_errors=True) as folder:
        description = Path(folder) / "network.xml"
        ov.save_model(network, description, compress_to_fp16=False)
        parts = [description.read_bytes(), description.with_suffix(".bin").read_bytes()]
    head = {"format": FORMAT, "key": key, "sizes": [len(part) for part in parts], "sha256": _digest(*parts)}
    data = b"".join([json.dumps(head).encode(), b"\n", *parts])
    disk.require(path.parent, len(data))
    disk.replace_file(path, data)


def read(path: Path, key: str) -> "ov.Model":
    """The network of a file.

    Raises
    ------
    FileNotFoundError : there is none. OSError : it can't be read.
    DamagedNetworkError : it is damaged, of another format, or was made from something else.
    """
    with native_calls:
        return _read(path, key)


def _read(path: Path, key: str) -> "ov.Model":
    ov = runtime.import_openvino()
    with path.open("rb") as file:
        head = file.readline(_MOST_HEAD)
        sizes, digest = _checked(head, key, os.fstat(file.fileno()).st_size)
        description = file.read(sizes[0])
        weights = ov.Tensor(ov.Type.u8, ov.Shape([sizes[1]]))
        # Into memory of OpenVINO's own: what is hashed is what is used, whatever happens to the file.
        if file.readinto(weights.data) != sizes[1] or _digest(description, weights.data) != digest:
            raise DamagedNetworkError("its content is not what was written")
    try:
        return ov.Core().read_model(description, weights)
    except RuntimeError as error:
        raise DamagedNetworkError(" ".join(str(error).split())) from None


def _checked(head: bytes, key: str, size: int) -> tuple[list[int], str]:
    """The sizes of both parts and their digest, from the first line of a file of so many bytes."""
    try:
        found: Any = json.loads(head)
        known = found["format"], found["key"]
        sizes, digest = found["sizes"], found["sha256"]
        whole = len(sizes) == 2 and all(type(one) is int and one > 0 for one in sizes)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedNetworkError("it does not begin as such a file does") from None
    if known != (FORMAT, key):
        raise DamagedNetworkError("it is of another network or format")
    if not whole or len(head) + sum(sizes) != size:
        raise DamagedNetworkError(f"it has {size:,} bytes, which is not its size")
    return sizes, digest


def _digest(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
