"""Rebuild the shipped datasets from the Debian packages that their pictures come from.

``objects200.csv`` and ``emoji200.csv`` beside this file say which picture belongs to which class; ``fashion1000`` has the first
of each class. The same packages and the same Pillow give the same bytes.

    python scripts/build_datasets.py                  # all, into precomputed/
    python scripts/build_datasets.py --only emoji200 --out /tmp/datasets
"""

import argparse
import csv
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.data import fashion_mnist
from core.data.datasets import Dataset, Item, describe, fingerprint
from core.errors import DatasetError

ROOT = Path(__file__).resolve().parent.parent
TABLES = Path(__file__).resolve().parent
LICENSES = Path("/usr/share/common-licenses")

STAMPS = Path("/usr/share/tuxpaint/stamps")
STAMPS_PACKAGE = "tuxpaint-stamps-default"
EMOJI_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
EMOJI_PACKAGE = "fonts-noto-color-emoji"

FASHION_PER_CLASS = 100
LONGEST_SIDE = 320
EMOJI_SIZE = 109  # the font holds its pictures in this one size

FORMATS: dict[str, dict[str, Any]] = {"webp": {"quality": 90, "method": 6}, "png": {}}

_OBJECTS_NOTICE = """\
Licenses of the pictures in this folder
=======================================

The pictures are stamps of Tux Paint (https://www.tuxpaint.org/), taken from Debian's package
{package}, laid on white and scaled down to at most {side} pixels. dataset.json
names the license of every picture, and its author where the license asks for it:

GPL-2.0-or-later           LICENSE-GPL-2.txt; the package's own license (LICENSE-package.txt)
GFDL-1.2-or-later          LICENSE-GFDL-1.3.txt; no invariant sections, no cover texts
CC-BY-2.5                  https://creativecommons.org/licenses/by/2.5/legalcode
LicenseRef-public-domain   no rights reserved

The package's license covers every stamp; where the credits of Tux Paint Stamps (CHANGES.txt and
CONTRIBUTORS.txt) state another one for a single stamp, that one is named.
"""

_EMOJI_NOTICE = """\
License of the pictures in this folder
======================================

The pictures are glyphs of the font Noto Color Emoji (https://github.com/googlefonts/noto-emoji),
drawn from Debian's package {package} in the font's own size, on white.

OFL-1.1   LICENSE-OFL-1.1.txt; the copyright notice is in LICENSE-package.txt

Class names and titles are subgroups and names of the Unicode Consortium's emoji-test.txt.
"""

_FASHION_NOTICE = """\
License of the pictures in this folder
======================================

The pictures are the first {count} of each class of the test set of Fashion-MNIST
(https://github.com/zalandoresearch/fashion-mnist), unchanged, from Debian's package
{package}.

MIT   the license "Expat" in LICENSE-package.txt, with the copyright notice
"""


class PackageMissingError(Exception):
    """A Debian package that the build reads isn't there; the text says how to get it."""


@dataclass(frozen=True)
class Source:
    """A Debian package that pictures come from."""

    package: str
    share: Path  # its /usr/share

    @property
    def copyright(self) -> str:
        """The text of the package's copyright file."""
        return self._doc("copyright").read_text("utf-8")

    @property
    def name_and_version(self) -> str:
        """For example ``tuxpaint-stamps-default 2022.06.04-1``."""
        changelog = self._folder / "changelog.Debian.gz"
        if changelog.is_file():
            with gzip.open(changelog, "rt", encoding="utf-8") as lines:
                found = re.match(r"\S+ \((\S+)\)", lines.readline())
            if found:
                return f"{self.package} {found[1]}"
        try:  # small container images leave changelogs out
            query = ["dpkg-query", "--show", "--showformat=${Version}", self.package]
            version = subprocess.run(query, check=True, capture_output=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError):
            raise missing(self.package, changelog) from None
        return f"{self.package} {version}"

    @property
    def _folder(self) -> Path:
        return self.share / "doc" / self.package

    def _doc(self, name: str) -> Path:
        path = self._folder / name
        if not path.is_file():
            raise missing(self.package, path)
        return path


@dataclass(frozen=True)
class Picture:
    """A picture of a dataset to be: its row of the table, drawn."""

    label: str
    title: str
    source: str
    license: str
    image: Image.Image


@dataclass(frozen=True)
class Plan:
    """All that a dataset is made of, before anything is written.

    suffix : the format of its files, one of :data:`FORMATS`; digits : of the numbers in their names.
    """

    name: str
    title: str
    description: str
    pictures: Iterator[Picture]
    licenses: dict[str, str]  # file name: text
    suffix: str = "webp"
    digits: int = 2


def missing(package: str, path: Path) -> PackageMissingError:
    """The error for a file that ``package`` should have brought."""
    return PackageMissingError(
        f"{path} is missing; install the package it comes from with: sudo apt-get install {package}"
    )


def table(name: str) -> list[dict[str, str]]:
    """The rows of a dataset's table."""
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def flatten(image: Image.Image) -> Image.Image:
    """A cut-out on white, RGB, its longest side at most ``LONGEST_SIDE``."""
    cutout = image.convert("RGBA")
    canvas = Image.new("RGBA", cutout.size, "white")
    canvas.alpha_composite(cutout)
    flat = canvas.convert("RGB")
    flat.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return flat


def objects(stamps: Path) -> Plan:
    """Cut-out photographs from Tux Paint's stamps."""
    if not stamps.is_dir():
        raise missing(STAMPS_PACKAGE, stamps)
    source = Source(STAMPS_PACKAGE, stamps.resolve().parents[1])
    version = source.name_and_version

    def pictures() -> Iterator[Picture]:
        for row in table("objects200"):
            path = stamps / row["source"]
            if not path.is_file():
                raise missing(STAMPS_PACKAGE, path)
            with Image.open(path) as stamp:
                image = flatten(stamp)
            credit = f" (by {row['credit']})" if row["credit"] else ""
            yield Picture(
                row["label"], row["title"], f"{version}: {row['source']}{credit}", row["license"], image
            )

    return Plan(
        name="objects200",
        title="200 objects",
        description="Cut-out photographs of animals, plants and things on white, 10 classes of 20, "
        "from the stamps of Tux Paint.",
        pictures=pictures(),
        licenses={
            "LICENSE.txt": _OBJECTS_NOTICE.format(package=version, side=LONGEST_SIDE),
            "LICENSE-GPL-2.txt": common_license("GPL-2"),
            "LICENSE-GFDL-1.3.txt": common_license("GFDL-1.3"),
            "LICENSE-package.txt": source.copyright,
        },
    )


def emoji(font_file: Path) -> Plan:
    """Drawings from Noto Color Emoji, by Unicode's own subgroups."""
    if not font_file.is_file():
        raise missing(EMOJI_PACKAGE, font_file)
    source = Source(EMOJI_PACKAGE, font_file.resolve().parents[3])
    version = source.name_and_version
    font = ImageFont.truetype(font_file, EMOJI_SIZE, layout_engine=ImageFont.Layout.BASIC)

    def pictures() -> Iterator[Picture]:
        for row in table("emoji200"):
            character = chr(int(row["source"].removeprefix("U+"), 16))
            left, top, right, bottom = font.getbbox(character)
            image = Image.new("RGB", (round(right - left), round(bottom - top)), "white")
            ImageDraw.Draw(image).text((-left, -top), character, font=font, embedded_color=True)
            yield Picture(row["label"], row["title"], f"{version}: {row['source']}", "OFL-1.1", image)

    return Plan(
        name="emoji200",
        title="200 emoji",
        description="Drawings on white, 10 of Unicode's emoji subgroups of 20 each, from the font Noto Color Emoji.",
        pictures=pictures(),
        licenses={
            "LICENSE.txt": _EMOJI_NOTICE.format(package=version),
            "LICENSE-OFL-1.1.txt": font_license(source.copyright),
            "LICENSE-package.txt": source.copyright,
        },
    )


def fashion(folder: Path) -> Plan:
    """Clothes from the test set of Fashion-MNIST: the first of each class."""
    if not folder.is_dir():
        raise missing(fashion_mnist.PACKAGE, folder)
    source = Source(fashion_mnist.PACKAGE, folder.resolve().parents[1])
    version = source.name_and_version

    def pictures() -> Iterator[Picture]:
        images, labels = fashion_mnist.read(folder, "test")
        file = f"{fashion_mnist.SPLITS['test'].prefix}-images-idx3-ubyte"
        for place, label in enumerate(fashion_mnist.CLASSES):
            for number in np.flatnonzero(labels == place)[:FASHION_PER_CLASS]:
                origin = f"{version}: {file}, image {number}"
                yield Picture(
                    label, f"test {number}", origin, fashion_mnist.LICENSE, Image.fromarray(images[number])
                )

    return Plan(
        name="fashion1000",
        title="1,000 clothes",
        description=f"Small gray pictures of clothes on black, 10 classes of {FASHION_PER_CLASS}, from the test set of "
        "Fashion-MNIST.",
        pictures=pictures(),
        licenses={
            "LICENSE.txt": _FASHION_NOTICE.format(package=version, count=FASHION_PER_CLASS),
            "LICENSE-package.txt": source.copyright,
        },
        suffix="png",
        digits=3,
    )


def common_license(name: str) -> str:
    """A license text that every Debian has."""
    path = LICENSES / name
    if not path.is_file():
        raise missing("base-files", path)
    return path.read_text("utf-8")


def font_license(copyright_file: str) -> str:
    """The license of the font out of a Debian copyright file, its line prefixes removed."""
    _, _, text = copyright_file.rpartition("License:   SIL-1.1\n")
    return "\n".join(re.sub(r"^ \.?", "", line) for line in text.splitlines()).strip() + "\n"


def write(plan: Plan, folder: Path) -> None:
    """Draw a dataset into ``folder``, which must not exist."""
    images = folder / "images"
    images.mkdir(parents=True)
    items: list[Item] = []
    files: list[Path] = []
    counts: dict[str, int] = {}
    for picture in plan.pictures:
        counts[picture.label] = counts.get(picture.label, 0) + 1
        slug = re.sub(r"[^a-z0-9]+", "-", picture.label.lower())
        file = images / f"{slug}-{counts[picture.label]:0{plan.digits}}.{plan.suffix}"
        picture.image.save(file, **FORMATS[plan.suffix])
        files.append(file)
        items.append(
            Item(len(items), file.name, picture.label, picture.title, picture.source, picture.license)
        )
    for name, text in plan.licenses.items():
        (folder / name).write_text(text, "utf-8")
    dataset = Dataset(
        name=plan.name,
        title=plan.title,
        description=plan.description,
        classes=tuple(counts),
        items=tuple(items),
        fingerprint=fingerprint([item.label for item in items], files),
        images=images,
    )
    (folder / "dataset.json").write_text(describe(dataset, "images") + "\n", "utf-8")


def replace(new: Path, target: Path) -> None:
    """Move a finished dataset into its place, leaving other folders there (the models') alone."""
    target.mkdir(parents=True, exist_ok=True)
    images, old = target / "images", new.parent / "old-images"
    if images.exists():
        images.rename(old)
    try:
        (new / "images").rename(images)
    except BaseException:
        if old.exists():
            old.rename(images)
        raise
    texts = {path.name for path in new.glob("LICENSE*.txt")}
    for path in target.glob("LICENSE*.txt"):
        if path.name not in texts:
            path.unlink()
    for name in (*sorted(texts), "dataset.json"):
        (new / name).replace(target / name)


def build(plan: Plan, out: Path) -> Path:
    """Build a dataset beside its place, then move it there; returns its folder.

    Until the last picture is drawn the old dataset stays as it is.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Two folders deep, so that what a killed run leaves behind isn't taken for a dataset.
    scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=out))
    try:
        write(plan, scratch / plan.name)
        replace(scratch / plan.name, out / plan.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out / plan.name


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 is success, 2 a missing or damaged package."""
    parser = argparse.ArgumentParser(description="Rebuild the shipped datasets from Debian's packages.")
    parser.add_argument("--out", type=Path, default=ROOT / "precomputed", help="folder of the datasets")
    parser.add_argument(
        "--only", choices=("objects200", "emoji200", "fashion1000"), help="build this one only"
    )
    parser.add_argument("--stamps", type=Path, default=STAMPS, help=f"the stamps of {STAMPS_PACKAGE}")
    parser.add_argument("--emoji-font", type=Path, default=EMOJI_FONT, help=f"the font of {EMOJI_PACKAGE}")
    parser.add_argument(
        "--fashion", type=Path, default=fashion_mnist.FOLDER, help=f"the files of {fashion_mnist.PACKAGE}"
    )
    options = parser.parse_args(arguments)
    plans: dict[str, Callable[[], Plan]] = {
        "objects200": lambda: objects(options.stamps),
        "emoji200": lambda: emoji(options.emoji_font),
        "fashion1000": lambda: fashion(options.fashion),
    }
    try:
        for name in [options.only] if options.only else plans:
            folder = build(plans[name](), options.out)
            sizes = [path.stat().st_size for path in (folder / "images").iterdir()]
            print(f"{name}: {len(sizes):,} pictures, {sum(sizes) / 1e6:.1f} MB, in {folder}")
    except (PackageMissingError, DatasetError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
