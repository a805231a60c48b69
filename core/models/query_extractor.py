"""Vectors of single images for several callers at a time."""

import logging
import math
import threading
import time
from collections.abc import Sequence

import numpy as np

from core.models import registry
from core.models.extractor import Extractor
from core.models.runtime import Network

# So long after two images overlapped, another one is expected.
_CROWD_SECONDS = 0.1
_log = logging.getLogger(__name__)


class QueryExtractor(Extractor):
    """One image at a time from each of several threads: a lone one on all cores, others side by side.

    A pass that all cores share is the fastest for a lone image, but the cores wait for each other. The first time that
    images overlap, the network is compiled a second time, for passes that share no core; until then they take turns.
    Their vectors are the same. While images overlap every moment, none takes all cores from the others. Batches of the
    images of several callers would not be faster: a pass over a batch takes no less processor time per image.

    Parameters
    ----------
    side_by_side : the most passes at a time that the second one is compiled for.
    """

    def __init__(
        self,
        model: registry.Model,
        network: Network,
        layers: Sequence[str],
        poolings: Sequence[str],
        side_by_side: int,
    ):
        super().__init__(model, network, layers, poolings, 1)
        self._network, self._side_by_side = network, side_by_side
        self._lock = threading.Lock()
        self._running = 0
        self._overlapped = -math.inf
        self._others: Extractor | None = None
        self._compiling = side_by_side == 1 or not network.runs_side_by_side

    def __call__(self, pixels: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """As :meth:`Extractor.__call__`, of one image."""
        with self._lock:
            overlaps = self._running > 0
            if overlaps:
                self._overlapped = time.monotonic()
            self._running += 1
            starts = overlaps and not self._compiling
            self._compiling |= starts
        try:
            if starts:
                threading.Thread(target=self._compile, name="compile").start()
            crowded = overlaps or time.monotonic() - self._overlapped < _CROWD_SECONDS
            if crowded and self._others is not None:
                return self._others(pixels)
            return super().__call__(pixels)
        finally:
            with self._lock:
                self._running -= 1

    def _compile(self) -> None:
        try:
            others = Extractor(self.model, self._network, self.layers, self.poolings, 1, self._side_by_side)
            others.warm_up()
        except RuntimeError:
            _log.warning(
                "The network of %s can't be compiled for several images.", self.model.title, exc_info=True
            )
        else:
            self._others = others
