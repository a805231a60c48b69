"""How well a linear classifier on the vectors names the classes: a linear probe (Alain and Bengio, 2017, Understanding intermediate layers using linear
classifier probes, ICLR workshop)."""

import warnings

import numpy as np

from core.evaluation import measured
from core.evaluation.measured import Measured

PROBE = "probe"
MOST_IMAGES = 2000
"""Of larger datasets the probe is not measured: training takes longer than all else."""
FOLDS = 5
# The inverse of the regularization, for vectors whose mean square length is 1. About as strong as 1 on columns of unit variance.
STRENGTH = 100.0


def correct(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray | None:
    """Whether a classifier that was trained without an image names its class: (n,) bool; None where no class has two images, or there is only one.

    Multinomial logistic regression with an L2 penalty in a stratified cross-validation of :data:`FOLDS` folds, or as many as the largest class has images.
    The vectors are centered and scaled by one number, so that the result is the same for all rotations of them.

    Parameters
    ----------
    vectors : (n, dimensions); codes : (n,) class number of each image.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    sizes = np.bincount(codes)
    folds = min(FOLDS, int(sizes.max()))
    if folds < 2 or np.count_nonzero(sizes) < 2:
        return None
    vectors = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0)
    length = np.sqrt((vectors**2).sum(axis=1).mean())
    vectors /= length if length > 0 else 1.0
    found = np.zeros(len(codes), bool)
    with warnings.catch_warnings():
        # A class with fewer images than there are folds is tested as often as it has images, and a few more steps change no class.
        warnings.simplefilter("ignore")
        for train, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(vectors, codes):
            if len(np.unique(codes[train])) > 1:
                classifier = LogisticRegression(C=STRENGTH, max_iter=300).fit(vectors[train], codes[train])
                found[test] = classifier.predict(vectors[test]) == codes[test]
    return found


def measure(vectors: np.ndarray, codes: np.ndarray, n_classes: int) -> Measured | None:
    """:func:`correct` as a measure. Its interval counts images as those that are tested: what they add in training is not known image by image."""
    found = correct(vectors, codes)
    if found is None:
        return None
    values = found.astype(np.float64)
    return measured.assemble(values, values, np.zeros((n_classes, len(codes))), codes, n_classes)


def isometric(dots: np.ndarray) -> np.ndarray:
    """Short vectors with the dot products of long ones: (n, n) to (n, rank), which a linear probe can't tell from those.

    They are the eigenvectors of the matrix, scaled by the roots of its eigenvalues (Young and Householder, 1938, Psychometrika 3).
    """
    values, directions = np.linalg.eigh(dots)
    positive = values > values[-1] * 1e-12
    return np.asarray(directions[:, positive] * np.sqrt(values[positive]))
