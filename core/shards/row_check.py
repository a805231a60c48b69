"""Whether what a shard says can be true; shards come from other machines."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.data import image_lists, object_store
from core.data.image_lists import LONGEST_LABEL
from core.data.image_sources import ImageSource, beginning, is_url
from core.imaging import servable_files
from core.shards.manifest import Source
from core.shards.shard_file import EMBEDDED, FAILED, PRESENT, UNLISTED, Row

# Behind an even number of backslashes, as JSON writes it.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_PATH, _LONGEST_REASON = 4_096, 1_000
_MOST_METADATA_BYTES = 1_000_000


def problem(row: Row, sources: Sequence[Source]) -> str | None:
    """What is wrong with a row, as the end of a sentence that begins with it; None if nothing is."""
    if not 0 <= row.source < len(sources):
        return "it names a source that the manifest does not have"
    return (
        _of_state(row)
        or _of_path(row, sources[row.source].image_source())
        or _of_text("label", row.label, LONGEST_LABEL)
        or metadata_problem(row.metadata)
    )


def of_list(row: image_lists.Row) -> str | None:
    """As :func:`problem` for the row of a list."""
    if row.problem is None:
        wrong = path_problem(row.path or "", here=False)
    else:
        wrong = _of_text("problem", row.problem, _LONGEST_REASON)
    return wrong or _of_text("label", row.label, LONGEST_LABEL) or metadata_problem(row.metadata)


def path_problem(path: str, here: bool = True) -> str | None:
    """What is wrong with the path of an image in a catalog; ``here`` if its file may be shown."""
    if len(path) > _LONGEST_PATH:
        return f"its path has {len(path):,} characters"
    if "\0" in path or not path:
        return "its path is empty or holds a NUL character"
    if is_url(path) or object_store.is_object(path):
        return None
    if not Path(path).is_absolute() or os.path.normpath(path) != path:
        return "its path is not absolute, or has parts such as '..'"
    if here and not servable_files.allowed(path):
        return "it is outside of the folder that the settings allow (PLAYGROUND_IMAGE_ROOT)"
    return None


def metadata_problem(metadata: Mapping[str, Any]) -> str | None:
    """What is wrong with the metadata of an image."""
    if not isinstance(metadata, dict):
        return "its metadata are not a JSON object"
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return "its metadata are not valid text"
    if len(text) > _MOST_METADATA_BYTES:
        return f"its metadata have {len(text):,} bytes"
    if _NUL.search(text):
        return "its metadata hold a NUL character"
    return None


def _of_state(row: Row) -> str | None:
    if row.state not in (EMBEDDED, FAILED, UNLISTED, PRESENT):
        return f"its state is {row.state[:20]!r}"
    if row.state == EMBEDDED:
        if row.vector is None or not np.isfinite(row.vector).all():
            return "its vector is missing or not finite"
        if row.sha256 is None or not _SHA256.fullmatch(row.sha256):
            return "it has no SHA-256"
    elif row.vector is not None or row.sha256 is not None:
        return "it has a vector though it was not read"
    if (row.state in (FAILED, UNLISTED)) != (row.reason is not None):
        return "it has no reason for failing, or one without failing"
    if (row.size or 0) < 0:
        return "its size is negative"
    return _of_text("reason", row.reason, _LONGEST_REASON)


def _of_path(row: Row, source: ImageSource) -> str | None:
    if row.state == UNLISTED:
        # A folder or the row of a list, which is never opened.
        return _of_text("path", row.path, _LONGEST_PATH)
    if wrong := path_problem(row.path):
        return wrong
    if source.kind in ("folder", "pattern"):
        root = beginning(source)
        inside = row.path.startswith(root.rstrip("/") + "/") or row.path == root
    else:
        inside = source.kind == "list" or row.path == source.path
    return None if inside else f"it is not in its source {source.path!r}"


def _of_text(what: str, text: str | None, longest: int) -> str | None:
    if text is not None and (len(text) > longest or "\0" in text):
        return f"its {what} has more than {longest:,} characters or holds a NUL character"
    return None
