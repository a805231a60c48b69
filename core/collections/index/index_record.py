"""What the catalog says of an index: a file, or what a server has."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class IndexFile:
    """The record of an index file.

    file : its name; factory : factory string of FAISS; rows : their number; trained_rows : their number when it was trained; size, sha256,
    sample : size and checksums, of the whole file and of samples; effort : ``nprobe`` or ``efSearch``, 0 if the kind has neither.
    """

    file: str
    factory: str
    rows: int
    trained_rows: int
    size: int
    sha256: str
    sample: str
    effort: int

    @cached_property
    def compressed(self) -> bool:
        """Whether its distances are approximate, so that the best neighbors have to be compared again."""
        return any(part.startswith(("PQ", "SQ")) for part in self.factory.split(","))


@dataclass(frozen=True)
class ServerIndex:
    """The record of an index that a server has.

    name : of its table or collection there; factory : its type; rows : of the vector file when it was built; effort : of a search, 0 if the
    type has none.
    """

    name: str
    factory: str
    rows: int
    effort: int


IndexRecord = IndexFile | ServerIndex
