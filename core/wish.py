"""What is asked of an index, and of the machines that extract vectors and answer queries. Imports nothing, so that help has its defaults."""

import math
from dataclasses import dataclass

from core.errors import UserError

RECALL_GOAL = 0.95
"""An approximate index is tuned to this recall@10."""


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    images; dimensions : numbers per vector; queries_per_second; p95_ms : the most milliseconds of 95% of the queries; recall : the least
    recall@10; hours : to extract all vectors in; cores, memory_gb : of one machine; shard_images : images in one shard file.
    """

    images: int
    dimensions: int
    queries_per_second: float = 10
    p95_ms: float = 100
    recall: float = RECALL_GOAL
    hours: float = 24
    cores: int = 16
    memory_gb: float = 64
    shard_images: int = 5_000

    def __post_init__(self) -> None:
        if self.recall > 1:
            raise UserError(f"A recall of {self.recall:g} is not possible; give a share of at most 1.")
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise UserError(f"{name} must be a positive number, not {value:g}.")
