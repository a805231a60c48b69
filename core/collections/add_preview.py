"""Preview of an add: what would be stored, with the labels, without storing anything or loading a model."""

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.collections import uploads
from core.collections.uploads import Upload
from core.data import image_lists
from core.data.folder_labels import NO_LABELS, FolderLabels, decide, parts_below
from core.data.folder_walker import LeftOut, Problem
from core.data.image_sources import Entry, ImageSource, Record, is_remote, remembered
from core.imaging import servable_files
from core.progress import Progress

# The most folders of a level, and the most problems, that are named.
MOST_NAMED = 20
# Deeper folders are not offered as labels.
_MOST_LEVELS = 8


@dataclass(frozen=True)
class Label:
    """A label with the number of its images and the path of one of them."""

    name: str
    pictures: int
    example: str


@dataclass(frozen=True)
class Preview:
    """What an add would store.

    labels : by name; unlabelled : images without one; left_out : hidden and system files and folders; failed : files and folders that
    can't be read, problems : some of these; level : of the folders that name the labels, 1 for the outermost, 0 for no labels, None if
    there is none or several; around : the remembered folder around the new one whose level decides instead; levels : some names of the
    folders of each level, the outermost first; conflicting : images to which rows of a list give different labels.
    """

    labels: tuple[Label, ...]
    unlabelled: int
    left_out: int
    failed: int
    problems: tuple[Problem, ...]
    level: int | None
    around: str | None
    levels: tuple[tuple[str, ...], ...]
    conflicting: int = 0

    @property
    def pictures(self) -> int:
        """The number of images."""
        return self.unlabelled + sum(label.pictures for label in self.labels)

    def rule(self) -> str:
        """Where the labels come from, in a sentence."""
        if self.around is not None:
            return f"The labels follow the folder {Path(self.around).name!r}, which was added before."
        if self.level == NO_LABELS:
            return "No labels are taken from folders."
        if self.level is not None:
            return f"The labels are the names of the folders at level {self.level}."
        if self.labels:
            return (
                "The labels come from different places." if self.levels else "The labels come from the list."
            )
        return "No folders name labels."

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class _Found:
    """An image: its path as shown, its folders from the root on, its label, and whether rows of a list are in conflict about that."""

    shown: str
    folders: tuple[str, ...]
    label: str | None
    conflict: bool = False


def of_sources(known: Sequence[Record], new: Sequence[ImageSource], progress: Progress) -> Preview:
    """What adding some sources would store.

    Parameters
    ----------
    known : the remembered sources; they are not changed.
    progress : receives the files that were found.

    Raises
    ------
    SourceError : a source is gone or can't be read.
    """
    records = [dict(record) for record in known]
    found: list[Iterable[_Found | LeftOut | Problem]] = []
    levels, around = set(), set()
    for source in new:
        record, source = remembered(records, source)
        record.update(source.to_json())
        decide(records, source.path)
        labels = FolderLabels(map(ImageSource.from_json, records))
        levels.add(record["label_level"])
        around.add(labels.root(source.path) if record["label_level"] is None else None)
        found.append(_of_source(ImageSource.from_json(record), labels))
    progress.stage("files", 0)
    return _counted(_stepping(itertools.chain.from_iterable(found), progress), _only(levels), _only(around))


def _stepping(
    found: Iterable[_Found | LeftOut | Problem], progress: Progress
) -> Iterable[_Found | LeftOut | Problem]:
    for one in found:
        progress.step()
        yield one


def of_uploads(sent: Sequence[Upload], label_level: int | None = None) -> Preview:
    """What adding an upload would store; parameters and errors as of :func:`uploads.inspect`."""
    images, others = uploads.inspect(sent, label_level)
    levels = {image.level for image in images}
    return _counted(
        [*(_Found(image.place, image.parents, image.label) for image in images), *others],
        _only(levels),
        None,
    )


def _only(values: set[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else None


def _of_source(source: ImageSource, labels: FolderLabels) -> Iterable[_Found | LeftOut | Problem]:
    if source.kind == "list":
        yield from _of_list(source)
        return
    above = Path(source.path).parent
    for entry in source.entries(labels):
        if not isinstance(entry, Entry):
            yield entry
        elif source.kind == "folder":
            place = parts_below(source.path, str(Path(entry.path).parent))
            yield _Found(os.path.relpath(entry.path, above), place, entry.label)
        else:
            yield _Found(entry.path, (), entry.label)


def _of_list(source: ImageSource) -> Iterable[_Found | Problem]:
    """The images of a list, each once, with the label from all of its rows."""
    found: dict[str, set[str]] = {}
    for row in image_lists.read(Path(source.path), source.path_column):
        if row.problem is None and row.path is not None:
            found.setdefault(row.path, set()).update([row.label] if row.label is not None else [])
        else:
            yield Problem(f"{source.path}, row {row.number}", row.problem or "")
    for path, labels in found.items():
        if is_remote(path) or servable_files.present(Path(path)):
            yield _Found(path, (), next(iter(labels)) if len(labels) == 1 else None, len(labels) > 1)
        else:
            yield Problem(path, "file not found")


def _counted(found: Iterable[_Found | LeftOut | Problem], level: int | None, around: str | None) -> Preview:
    counts: dict[str, list[Any]] = {}
    unlabelled = left_out = failed = conflicting = 0
    problems: list[Problem] = []
    levels: list[dict[str, None]] = []
    for one in found:
        if isinstance(one, LeftOut):
            left_out += 1
        elif isinstance(one, Problem):
            failed += 1
            problems += [one] if failed <= MOST_NAMED else []
        else:
            for depth, name in enumerate(one.folders[:_MOST_LEVELS]):
                levels += [{}] if depth == len(levels) else []
                if len(levels[depth]) < MOST_NAMED:
                    levels[depth].setdefault(name)
            conflicting += one.conflict
            if one.label is None:
                unlabelled += 1
            else:
                counts.setdefault(one.label, [0, one.shown])[0] += 1
    return Preview(
        labels=tuple(Label(name, count, shown) for name, (count, shown) in sorted(counts.items())),
        unlabelled=unlabelled,
        left_out=left_out,
        failed=failed,
        problems=tuple(problems),
        level=level,
        around=around,
        levels=tuple(map(tuple, levels)),
        conflicting=conflicting,
    )
