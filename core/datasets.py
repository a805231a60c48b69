"""Labelled image sets: those that ship, and folders of class-named folders."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from core import files, images, settings
from core.errors import DatasetError, UnknownNameError
from core.text import nfc

FORMAT = 1
_DESCRIPTION = "dataset.json"


@dataclass(frozen=True)
class Item:
    """One labelled picture; ``id`` is its place in the dataset, from 0."""

    id: int
    file: str
    label: str
    title: str = ""
    source: str = ""
    license: str = ""


@dataclass(frozen=True)
class Dataset:
    """A named set of labelled images in a fixed order; ``collection`` names the one that it was made of, if it was."""

    name: str
    title: str
    description: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    fingerprint: str
    images: Path = field(repr=False)
    collection: str = ""

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def labels(self) -> list[str]:
        """The label of every item, by id."""
        return [item.label for item in self.items]

    def path(self, item_id: int) -> Path:
        """The file of an item.

        Raises
        ------
        DatasetError : the description names a file outside the dataset's folder, or that of a collection one that the
            settings do not allow.
        """
        root = self.images.resolve()
        path = (root / self._placed(self.items[item_id].file)).resolve()
        if not path.is_relative_to(root):
            raise DatasetError(
                f"Dataset {self.name!r} names a file outside its folder: {self.items[item_id].file!r}."
            )
        if self.collection and not (files.allowed(path) or files.uploaded(path)):
            raise DatasetError(
                f"A picture of the collection {self.collection!r} lies outside the folder that the settings allow."
            )
        return path

    def _placed(self, file: str) -> Path:
        """The file of an item below :attr:`images`; uploads of a collection lie in its folder, wherever that is now."""
        if self.collection:
            folder = settings.COLLECTIONS_DIR / self.collection
            # They were written with their absolute paths once.
            _, here, below = f"/{file}".rpartition(f"/{self.collection}/{files.UPLOADS}/")
            stored = f"{files.UPLOADS}/{below}" if here else file
            if files.is_upload(stored):
                return folder.resolve() / stored
        return Path(file)

    def address(self, item_id: int) -> str:
        """Where :mod:`core.pictures` serves the picture of an item, below the server's base path."""
        return f"pictures/{quote(self.name, safe='')}/{item_id}?v={self.fingerprint[:12]}"


def names(grid_dir: Path | None = None) -> list[str]:
    """The datasets that have a description in a grid folder, in alphabetical order."""
    return sorted(path.parent.name for path in (grid_dir or settings.GRID_DIR).glob(f"*/{_DESCRIPTION}"))


def find(name_or_folder: str, *grid_dirs: Path) -> Dataset:
    """A dataset by its name in one of some grid folders, the first that has it, or a folder of class-named folders.

    Raises
    ------
    UnknownNameError : it is neither.
    DatasetError : it is there but can't be read.
    """
    grid_dirs = grid_dirs or (settings.GRID_DIR,)
    for grid_dir in grid_dirs:
        if name_or_folder in names(grid_dir):
            return load(grid_dir / name_or_folder)
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return load(folder) if (folder / _DESCRIPTION).is_file() else scan(folder)
    valid = dict.fromkeys(name for grid_dir in grid_dirs for name in names(grid_dir))
    raise UnknownNameError("dataset", name_or_folder, [*valid, "or a folder of class-named folders"])


def load(folder: Path) -> Dataset:
    """Read a dataset from the folder of its ``dataset.json``.

    Raises
    ------
    DatasetError : the description is missing, broken or of another format.
    """
    path = folder / _DESCRIPTION
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise DatasetError(
                f"{folder.name}/{_DESCRIPTION} has format {data['format']!r}, this version reads format {FORMAT}; "
                "rebuild the dataset or update the project."
            )
        items = tuple(Item(**item) for item in data["items"])
        dataset = Dataset(
            name=str(data["name"]),
            title=str(data["title"]),
            description=str(data["description"]),
            classes=tuple(map(str, data["classes"])),
            items=items,
            fingerprint=str(data["fingerprint"]),
            images=folder / data["images"],
            collection=str(data.get("collection", "")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder.name}/{_DESCRIPTION} can't be read ({type(error).__name__}: {error}); restore or rebuild it."
        ) from None
    if not items:
        raise DatasetError(f"{folder.name}/{_DESCRIPTION} lists no images.")
    for place, item in enumerate(items):
        if item.id != place or not isinstance(item.file, str) or item.label not in dataset.classes:
            raise DatasetError(f"{folder.name}/{_DESCRIPTION}: item {place} has a wrong id, file or label.")
    return dataset


def scan(folder: Path) -> Dataset:
    """A folder of class-named folders as a dataset; pictures below each, in alphabetical order.

    Raises
    ------
    DatasetError : there are no pictures in class-named folders.
    """
    folder = folder.resolve()
    found: list[tuple[str, Path]] = []
    classes = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for label in sorted(classes, key=lambda path: (nfc(path.name), path)):
        found += [
            (nfc(label.name), path)
            for path in sorted(label.rglob("*"))
            if path.suffix.lower() in images.SUFFIXES
            and path.is_file()
            and path.resolve().is_relative_to(folder)
        ]
    if not found:
        raise DatasetError(
            f"The folder {folder.name!r} has no pictures in class-named folders; "
            f"expected {folder.name}/<class>/<picture>, with {', '.join(sorted(images.SUFFIXES))}."
        )
    items = tuple(
        Item(id=place, file=path.relative_to(folder).as_posix(), label=label, title=path.stem)
        for place, (label, path) in enumerate(found)
    )
    return Dataset(
        name=_name(folder.name),
        title=folder.name,
        description=f"{len(items):,} pictures from the folder {folder.name!r}.",
        classes=tuple(dict.fromkeys(label for label, _ in found)),
        items=items,
        fingerprint=fingerprint([label for label, _ in found], [path for _, path in found]),
        images=folder,
    )


def fingerprint(labels: Sequence[str], paths: Iterable[Path]) -> str:
    """SHA-256 over label and content of every file, in order: changes with any of them.

    A file that can't be read counts as empty.
    """
    return fingerprint_of_contents(labels, map(_content, paths))


def fingerprint_of_contents(labels: Sequence[str], contents: Iterable[str]) -> str:
    """SHA-256 over a line ``label TAB content NEWLINE`` for each file; contents are the SHA-256 of its bytes in hex."""
    digest = hashlib.sha256()
    for label, content in zip(labels, contents, strict=True):
        digest.update(f"{label}\t{content}\n".encode())
    return digest.hexdigest()


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256(b"").hexdigest()


def describe(dataset: Dataset, images_folder: str) -> str:
    """The text of ``dataset.json``; ``images_folder`` is relative to it, or absolute."""
    origin = {"collection": dataset.collection} if dataset.collection else {}
    return json.dumps(
        {
            "format": FORMAT,
            "name": dataset.name,
            "title": dataset.title,
            "description": dataset.description,
            **origin,
            "images": images_folder,
            "classes": dataset.classes,
            "fingerprint": dataset.fingerprint,
            "items": [asdict(item) for item in dataset.items],
        },
        ensure_ascii=False,
        indent=1,
    )


def _name(text: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in text.lower()).strip("-")
    return name or "dataset"
