"""Which regions of two images make them similar.

The similarity of two average-pooled vectors is a sum over the positions of one activation: moving the mean out of the dot
product leaves a share for every position. For maximum pooling each channel's share is at its maximum. After Stylianou, Souvenir and Pless, "Visualizing Deep Similarity Networks" (WACV 2019).
"""

import numpy as np

from core.errors import UserError

POOLINGS = ("avg", "max")
METRICS = ("cosine",)


def applies(pooling: str, metric: str) -> bool:
    """Whether the similarity can be taken apart into regions."""
    return pooling in POOLINGS and metric in METRICS


def regions(query: np.ndarray, result: np.ndarray, pooling: str) -> tuple[np.ndarray, np.ndarray]:
    """Each position's share of the cosine similarity of two images.

    Parameters
    ----------
    query, result : (height, width, channels) activations of the same layer; their heights and widths
        may differ.
    pooling : ``"avg"`` or ``"max"``.

    Returns
    -------
    query_shares, result_shares : (height, width) float64 each; each adds up to the cosine similarity of the
        pooled vectors. Negative shares speak against it.

    Raises
    ------
    UserError : another pooling, for which a vector's numbers have no place in the image or no sum.
    """
    if pooling not in POOLINGS:
        raise UserError(f"Regions have shares for {' and '.join(POOLINGS)} pooling, not for {pooling}.")
    query, result = np.asarray(query, np.float64), np.asarray(result, np.float64)
    pooled = [_pool(activation, pooling) for activation in (query, result)]
    lengths = float(np.linalg.norm(pooled[0]) * np.linalg.norm(pooled[1])) or 1.0
    return (
        _shares(query, pooled[1] / lengths, pooling),
        _shares(result, pooled[0] / lengths, pooling),
    )


def densities(shares: np.ndarray) -> np.ndarray:
    """Shares (height, width) as multiples of what each region would add if all added the same to a similarity of 1."""
    return np.asarray(shares * shares.size)


def _pool(activation: np.ndarray, pooling: str) -> np.ndarray:
    return np.asarray(activation.mean(axis=(0, 1)) if pooling == "avg" else activation.max(axis=(0, 1)))


def _shares(activation: np.ndarray, weights: np.ndarray, pooling: str) -> np.ndarray:
    """(height, width): what each position adds to the dot product of the pooled activation with the weights."""
    height, width, channels = activation.shape
    if pooling == "avg":
        return np.asarray(activation @ weights / (height * width))
    flat = activation.reshape(-1, channels)
    shares = np.zeros(height * width)
    # A channel with its maximum at several positions goes to the first.
    np.add.at(shares, flat.argmax(axis=0), flat.max(axis=0) * weights)
    return shares.reshape(height, width)
