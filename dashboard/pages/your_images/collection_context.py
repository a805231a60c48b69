"""What all sections of the page share: the collection, the values of its URL, and small pieces of text and controls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from core.collections import Collection
from core.data import image_sources
from core.search.collection_source import CollectionSource
from dashboard import url
from dashboard.frontend.gallery import gallery
from dashboard.url import Address
from dashboard.widgets import download_button, pager

# The keys of the URL that belong to single sections.
OWN: tuple[url.Key, ...] = (url.AT, url.THRESHOLD, url.WAY, url.FOLDER)


@dataclass
class CollectionContext:
    """A collection on the page in this run; sections add to ``shown`` what the URL says of them."""

    address: Address
    source: CollectionSource
    shown: dict[url.Key, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self.source.name

    @property
    def collection(self) -> Collection:
        """The collection, open."""
        return self.source.collection

    def page(self, count: int, size: int) -> range:
        """The places of ``count`` things on the page of the URL; draws the choice of a page."""
        pages = max(1, -(-count // size))
        at = self.address.number(url.AT, 1, pages, 1)
        self.shown[url.AT] = at
        if pages > 1:
            pager.show(pages, at, url.AT)
        return range(count)[(at - 1) * size : at * size]

    def public_path(self, path: str, metadata: dict[str, Any] | None = None) -> str:
        """The path of an image as visitors may see it."""
        return image_sources.public_path(path, metadata or {}, self.source.info.sources)

    def tile(self, image: Any) -> gallery.Tile:
        """A row of the catalog in a gallery, with its label."""
        lines = (image.label,) if image.label else ()
        return gallery.tile(self.source.of_row(image), title=short_name(image), lines=lines)


def short_name(image: Any) -> str:
    """The name of an image without folders and suffix."""
    return Path(image_sources.title(image.path, image.metadata)).stem


def download_csv(table: Callable[[], pd.DataFrame], file: str) -> None:
    """A button that downloads a table, which is made when it is pressed."""
    download_button.show("Download the list (CSV)", lambda: download_button.csv(table()), file)
