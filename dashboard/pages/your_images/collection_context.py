"""What all parts of the page of collections work with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.collections import Collection
from dashboard.url import Address
from dashboard.widgets import pager
from dashboard.widgets.collection_view import Overview

# What the parts have in the address, each for itself.
OWN = ("at", "threshold", "way", "folder")


@dataclass
class Scene:
    """The page in this run; ``shown`` is what the address is to say, and the parts add to it."""

    address: Address
    name: str
    collection: Collection
    overview: Overview
    shown: dict[str, Any] = field(default_factory=dict)

    def page(self, things: Sequence[Any], size: int) -> tuple[Sequence[Any], int]:
        """Those of the page that the address asks for, and the place of the first of them; draws the choice of a page."""
        pages = max(1, -(-len(things) // size))
        at = self.address.number("at", 1, pages, 1, "page")
        self.shown["at"] = at if at > 1 else None
        if pages > 1:
            pager.show(pages, at, "at")
        return things[(at - 1) * size : at * size], (at - 1) * size
