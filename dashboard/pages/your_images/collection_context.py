"""What all parts of the page of collections work with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.collections import Collection
from core.search.collection_source import CollectionSource
from dashboard import url
from dashboard.url import Address
from dashboard.widgets import pager

# What the parts have in the address, each for itself.
OWN: tuple[url.Key, ...] = (url.AT, url.THRESHOLD, url.WAY, url.FOLDER)


@dataclass
class Scene:
    """The page in this run; ``shown`` is what the address is to say, and the parts add to it."""

    address: Address
    source: CollectionSource
    shown: dict[url.Key, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def collection(self) -> Collection:
        return self.source.collection

    def page(self, things: Sequence[Any], size: int) -> tuple[Sequence[Any], int]:
        """Those of the page that the address asks for, and the place of the first of them; draws the choice of a page."""
        pages = max(1, -(-len(things) // size))
        at = self.address.number(url.AT, 1, pages, 1)
        self.shown[url.AT] = at
        if pages > 1:
            pager.show(pages, at, url.AT)
        return things[(at - 1) * size : at * size], (at - 1) * size
