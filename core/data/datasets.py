"""Labelled image sets: those that ship, and folders of class-named folders."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json

from core.data import folder_walker
from core.data.source import SourceItem
from core.errors import DatasetError, UnknownNameError, first_problem
from core.imaging import file_types, servable_files
from core.settings import settings

FORMAT = 1
# So many problems of a folder are named one by one.
_MOST_NAMED = 20
DESCRIPTION = "dataset.json"
# So much of a description holds name and title; that of 70,000 images has 10 MB.
_HEAD_BYTES = 4096


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True)
class Item:
    """One labeled image; ``id`` is its place in the dataset, from 0."""

    id: int
    file: str
    label: str
    title: str = ""
    source: str = ""
    license: str = ""


@with_config(ConfigDict(strict=True))
@dataclass(frozen=True)
class Dataset:
    """A named set of labeled images in a fixed order, as ``dataset.json`` has it.

    images : their folder, in the file relative to it or absolute; collection : the one that they are from, if any.
    """

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
        path = Path(os.path.realpath(root / self._placed(self.items[item_id].file)))
        if not path.is_relative_to(root):
            raise DatasetError(
                f"Dataset {self.name!r} names a file outside its folder: {self.items[item_id].file!r}."
            )
        if self.collection and not (servable_files.allowed(path) or servable_files.uploaded(path)):
            raise DatasetError(
                f"An image of the collection {self.collection!r} lies outside the folder that the settings allow."
            )
        return path

    def sample(self, most: int) -> list[SourceItem]:
        """At most ``most`` items, spread over all of them."""
        step = -(-len(self) // most)
        return [self.item(place) for place in range(step // 2, len(self), step)]

    def item(self, item_id: int) -> SourceItem:
        """An item as sources have theirs."""
        one = self.items[item_id]
        return SourceItem(
            item_id,
            one.label,
            one.title,
            f"{self.fingerprint}/{item_id}",
            # The files of a collection are anywhere on the machine.
            one.title if self.collection else one.file,
            self.address(item_id),
            partial(self.path, item_id),
            {"title": one.title},
            (one.title,) if one.title else (),
        )

    def _placed(self, file: str) -> Path:
        """The file of an item below :attr:`images`; uploads of a collection lie in its folder, wherever that is now."""
        if self.collection:
            folder = settings.COLLECTIONS_DIR / self.collection
            # They were written with their absolute paths once.
            _, here, below = f"/{file}".rpartition(f"/{self.collection}/{servable_files.UPLOADS}/")
            stored = f"{servable_files.UPLOADS}/{below}" if here else file
            if servable_files.is_upload(stored):
                return folder.resolve() / stored
        return Path(file)

    def address(self, item_id: int) -> str:
        """Where :mod:`core.server.media` serves the image of an item, below the server's base path."""
        return f"pictures/{quote(self.name, safe='')}/{item_id}?v={self.fingerprint[:12]}"


class _Version(BaseModel):
    format: int


_DATASET = TypeAdapter(Dataset)


def names(grid_dir: Path | None = None) -> list[str]:
    """The datasets that have a description in a grid folder, in alphabetical order."""
    return sorted(path.parent.name for path in (grid_dir or settings.GRID_DIR).glob(f"*/{DESCRIPTION}"))


def exists(name: str, grid_dir: Path) -> bool:
    """Whether a grid folder has a dataset of that name; every search asks."""
    # A name of a folder that is there, and no path.
    named = grid_dir.is_dir() and any(one.name == name for one in grid_dir.iterdir())
    return named and (grid_dir / name / DESCRIPTION).is_file()


def find(
    name_or_folder: str,
    *grid_dirs: Path,
    rescan: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> Dataset:
    """A dataset by its name in one of some grid folders, the first that has it, or a folder of class-named folders.

    Parameters
    ----------
    rescan : look at a folder anew. Otherwise one that the first grid folder holds keeps the items that are recorded there, as long as
        their files are the same, so that its experiments stay valid.
    say : takes what is left out of a folder, and what looking at it anew would change, a sentence at a time.

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
    # Without a name it would be the current folder.
    if name_or_folder and folder.is_dir():
        if (folder / DESCRIPTION).is_file():
            return load(folder)
        recorded = None if rescan else _recorded(folder.resolve(), grid_dirs[0])
        return recorded if recorded and _keeps(recorded, say) else scan(folder, say)
    valid = dict.fromkeys(name for grid_dir in grid_dirs for name in names(grid_dir))
    raise UnknownNameError("dataset", name_or_folder, [*valid, "or a folder of class-named folders"])


def title(folder: Path) -> str:
    """The title that the description in a folder begins with, its items unread; the name of the folder where it has none."""
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            described = from_json(file.read(_HEAD_BYTES), allow_partial=True)
        found = described.get("title")
    except (OSError, ValueError, AttributeError):
        found = None
    return found if isinstance(found, str) else folder.name


def load(folder: Path) -> Dataset:
    """Read a dataset from the folder of its ``dataset.json``.

    Raises
    ------
    DatasetError : the description is missing, broken or of another format.
    """
    label = f"{folder.name}/{DESCRIPTION}"
    try:
        data = (folder / DESCRIPTION).read_bytes()
        if (found := _Version.model_validate_json(data).format) != FORMAT:
            raise DatasetError(
                f"{label} has format {found}, this version reads format {FORMAT}; rebuild the dataset or update the project."
            )
        dataset = _DATASET.validate_json(data)
    except (OSError, ValidationError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else type(error).__name__
        raise DatasetError(f"{label} can't be read ({reason}); restore or rebuild it.") from None
    if not dataset.items:
        raise DatasetError(f"{label} lists no images.")
    for place, item in enumerate(dataset.items):
        if item.id != place or item.label not in dataset.classes:
            raise DatasetError(f"{label}: item {place} has a wrong id or label.")
    return replace(dataset, images=folder / dataset.images)


def scan(folder: Path, say: Callable[[str], None] = lambda sentence: None) -> Dataset:
    """A folder of class-named folders as a dataset; images below each, in alphabetical order.

    Which folders are the classes is found by :func:`folders.label_level`, so that ``train/cat`` and ``test/cat`` are one class.

    Parameters
    ----------
    say : takes what is left out, a sentence at a time.

    Raises
    ------
    DatasetError : there are no images in class-named folders, or the folder's own path is not UTF-8.
    """
    folder = folder.resolve()
    shown = folder_walker.shown(str(folder))
    if shown != str(folder):
        raise DatasetError(f"The folder {shown!r} can't be a dataset: {folder_walker.NOT_UTF8}.")
    found = list(_labelled(folder, say))
    if not found:
        raise DatasetError(
            f"The folder {folder.name!r} has no images in class-named folders; "
            f"expected {folder.name}/<class>/<image>, with {', '.join(sorted(file_types.SUFFIXES))}."
        )
    items = tuple(
        Item(id=place, file=file, label=label, title=Path(file).stem)
        for place, (label, file) in enumerate(found)
    )
    return Dataset(
        name=_name(folder.name),
        title=folder.name,
        description=f"{len(items):,} images from the folder {folder.name!r}.",
        classes=tuple(dict.fromkeys(label for label, _ in found)),
        items=items,
        fingerprint=fingerprint([label for label, _ in found], [folder / file for _, file in found]),
        images=folder,
    )


def _labelled(folder: Path, say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Label and path below the folder of each of its images, ordered by both."""
    inside = lambda path: Path(os.path.realpath(path)).is_relative_to(folder)  # noqa: E731
    pictures, left_out = [], 0
    problems: list[folder_walker.Problem] = []
    for one in folder_walker.walk(str(folder), inside):
        if isinstance(one, folder_walker.LeftOut):
            left_out += 1
        elif isinstance(one, folder_walker.Problem):
            problems.append(one)
        else:
            pictures.append(one.parts)
    level = _class_level({parts[:-1] for parts in pictures})
    labelled = [(label, parts) for parts in pictures if (label := folder_walker.label(parts[:-1], level))]
    for problem in problems[:_MOST_NAMED]:
        say(f"Left out {os.path.relpath(problem.path, folder)}: {problem.reason}.")
    if len(problems) > _MOST_NAMED:
        say(f"{len(problems) - _MOST_NAMED:,} more were left out for such reasons.")
    if left_out:
        say(f"{left_out:,} hidden or system files and folders of {folder.name!r} were left out.")
    if unlabelled := len(pictures) - len(labelled):
        say(f"Images of {folder.name!r} in no class-named folder were left out: {unlabelled:,}.")
    for label, parts in sorted(labelled):
        yield label, "/".join(parts)


def _class_level(places: set[tuple[str, ...]]) -> int | None:
    level = folder_walker.label_level(places)
    if level is None and not any(place and folder_walker.is_split(place[0]) for place in places):
        # A folder that all images share is the only class: a dataset has one at least.
        return 1
    return level


def _recorded(folder: Path, grid_dir: Path) -> Dataset | None:
    """What a grid folder has recorded of a folder."""
    name = _name(folder.name)
    if name not in names(grid_dir):
        return None
    there = load(grid_dir / name)
    return there if there.images.resolve() == folder and not there.collection else None


def _keeps(recorded: Dataset, say: Callable[[str], None]) -> bool:
    """Whether the files of the recorded items are still those that the experiments were computed on; says what is new."""
    folder = recorded.images.resolve()
    paths = [folder / item.file for item in recorded.items]
    if fingerprint(recorded.labels, paths) != recorded.fingerprint:
        say(f"Images of {recorded.title!r} have changed since it was run; the folder is read again.")
        return False
    old = {item.file: item.label for item in recorded.items}
    new = {file: label for label, file in _labelled(folder, lambda sentence: None)}
    changes = {
        "leave out {:,}": len(old.keys() - new.keys()),
        "add {:,}": len(new.keys() - old.keys()),
        "label {:,} otherwise": sum(new[file] != old[file] for file in old.keys() & new.keys()),
    }
    if any(changes.values()):
        would = ", ".join(words.format(count) for words, count in changes.items() if count)
        say(
            f"{recorded.title!r} keeps the {len(old):,} images that it was run with. "
            f"Looking at the folder anew would {would}; --rescan does that."
        )
    return True


def fingerprint(labels: Sequence[str], paths: Iterable[Path]) -> str:
    """SHA-256 over label and content of every file, in order: changes with any of them.

    What can't be read or is no file counts as empty.
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
        # Anything else than a file could be waited for forever.
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
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
