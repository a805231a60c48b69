"""A measure of one experiment that takes too long to compute for a page, and is computed with the experiment."""

from dataclasses import dataclass

import numpy as np

from core.evaluation import uncertainty


@dataclass(frozen=True)
class Measured:
    """A measure, query by query.

    values : (n_items,) 0..1, not a number for an image that could not be read; influence : (n_items,) what each image adds to the error of the mean
    (:func:`core.evaluation.uncertainty.contributions`), times the number of queries; class_errors : (n_classes,) standard error of the mean
    over each class, not a number for a class without images.
    """

    values: np.ndarray
    influence: np.ndarray
    class_errors: np.ndarray

    @property
    def contributed(self) -> np.ndarray:
        """(n_items,) float32: the contributions."""
        known = np.isfinite(self.values)
        return np.asarray(self.influence, np.float32) / np.float32(max(1, known.sum()))

    def spread(self, ids: np.ndarray, n_items: int) -> "Measured":
        """The same of some images, by their ids (n,), for all images of a dataset."""
        values, influence = np.full(n_items, np.nan), np.zeros(n_items)
        values[ids], influence[ids] = self.values, self.influence
        return Measured(values, influence, self.class_errors)


def assemble(
    values: np.ndarray, as_query: np.ndarray, as_neighbor: np.ndarray, codes: np.ndarray, n_classes: int
) -> Measured:
    """A measure from what images add to it as queries, and as neighbors of the queries of each class.

    Parameters
    ----------
    values : (n,); as_query : (n,) the value of each query, expected where images are left out; as_neighbor : (n_classes, n) what each image
        adds to the values of all queries of a class; codes : (n,) class number of each image.
    """
    everyone = np.ones(len(codes), bool)
    total = uncertainty.combined(as_query, as_neighbor.sum(axis=0), codes, everyone)
    members = codes == np.arange(n_classes)[:, None]
    # Deviations from the mean of a class are the same whether all queries are asked or those of the class.
    own = uncertainty.combined(as_query, np.zeros(len(codes)), codes, everyone) * members
    others = uncertainty.combined(np.zeros(as_neighbor.shape), as_neighbor, codes, everyone)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = uncertainty.standard_errors((own + others) * (len(codes) / members.sum(axis=1))[:, None])
    return Measured(values, total * len(codes), errors)
