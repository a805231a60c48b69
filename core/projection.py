"""Projections of the images of a dataset to two or three dimensions, layer after layer of one model.

The projections of one model share a frame: each image stays near its place while the layers change, so
that playing from the first layer to the last shows the classes coming apart, not the map turning.

How the layers are aligned
--------------------------
``"umap"`` projects all layers in one run. The neighbor graph of each layer is UMAP's own; an edge ties
each image to itself in the layers before and after, and one UMAP optimization of that joint graph (a
point for each image and layer) places everything, starting from the principal components. The idea, a
spring between the same image in neighboring layers, is that of ``umap.AlignedUMAP``. Measured on 200 images
of 10 classes, eight layers of a trained EfficientNet-Lite0 with average and with flatten pooling, on two
cores; ``move`` is the mean distance an image moves from layer to layer and ``far`` the one that a
twentieth of the moves exceed, both in units of the projections' root mean square radius:

=====================================  =====  =====  ===============  ==========
two dimensions, avg / flatten pooling  move   far    trustworthiness  seconds
=====================================  =====  =====  ===============  ==========
UMAP for each layer, not aligned       1.18   2.3    0.950 / 0.926    1.4
the same, turned by Procrustes         0.61   1.5    0.950 / 0.926    1.4
started from the layer before, turned  0.49   1.4    0.949 / 0.925    1.4
AlignedUMAP, regularisation 0.01       0.31   0.94   0.944 / 0.923    9 to 18
AlignedUMAP, regularisation 0.05       0.24   0.83   0.938 / 0.920    8 to 17
joint graph (used here)                0.25   0.52   0.942 / 0.920    3 to 4
=====================================  =====  =====  ===============  ==========

Starting each layer from the one before is the cheapest and as faithful as can be, but the map still
jumps. AlignedUMAP compiles its optimizer anew at each call and takes no notice of ``min_dist``. The joint
graph is as smooth at a third of the time, makes fewer long jumps and keeps the classes as far apart as UMAP
alone (silhouette of the last layer's projection, avg pooling: 0.83 against 0.80; AlignedUMAP 0.76 and 0.69).
Its price is at most 0.01 of trustworthiness. (Seconds are wall time; for the joint graph, which runs in one
thread, processor time.)

``"pca"`` is the principal components of the vectors scaled to length one. Each layer is
brought to the same root mean square radius and turned onto the next by an orthogonal
Procrustes rotation, since the order and signs of components are arbitrary from layer to layer.

Sources
-------
- UMAP: McInnes, Healy and Melville (2018), arXiv:1802.03426.
- Principal components from distances (classical scaling): Torgerson (1952), Psychometrika 17;
  Gower (1966), Biometrika 53.
- Orthogonal Procrustes: Schönemann (1966), Psychometrika 31.
- Trustworthiness and continuity: Venna and Kaski (2001), ICANN. Silhouette: Rousseeuw (1987), J. Comput. Appl. Math. 20.
"""

import copy
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from core.errors import UnknownNameError, UserError
from core.metrics import pairwise
from core.progress import Progress, Silent

METHODS = ("umap", "pca")
_LEAST_IN_CLUSTER = 5
_MOST_CLUSTERED = 20_000  # points that HDBSCAN gets
DIMENSIONS = (2, 3)

# Weight of the edge between an image and itself in the next layer; a nearest neighbor weighs 1.
_COUPLING = 1.0
# UMAP's usual 5, doubled: most of the points drawn to push a point away belong to other layers.
_NEGATIVE_SAMPLE_RATE = 10
_LARGE = 20_000  # points (images times layers) beyond which 200 epochs are enough, as in UMAP itself
_FEWEST_FOR_UMAP = 4
_SAMPLE = 2000  # images on which projections of vectors are judged
# Neighbors by which projections are judged, whatever they were made with, so that they can be compared.
JUDGED_NEIGHBORS = 15
_SAME = 1e-12  # the largest cosine distance that is rounding alone
_JITTER = 1e-3  # of the start's radius; sets equal images apart


@dataclass(frozen=True)
class LayerProjection:
    """Where the images of a dataset lie under one layer.

    Attributes
    ----------
    layer : position of the layer in the sequence given to :func:`project`, from 0.
    method : ``"umap"`` or ``"pca"``, what the coordinates are; for fewer than four images always ``"pca"``.
    coordinates : (n_images, dimensions) float32; within [-1, 1] over all layers together, and centered but for images that
        no layer tells apart: these lie at one point, which counts once here and in the numbers below.
    trustworthiness : of this projection: how far images that are neighbors here are neighbors under the layer's
        cosine distances, from 0 to 1 (only true neighbors); nan for fewer than three images or
        a layer that doesn't tell the images apart.
    silhouette : of the layer, not the projection: how far the classes are apart in cosine distance, from -1 to 1,
        the same in every projection of the layer; nan without labels, with a single class, with classes of
        one image each, or for a layer that doesn't tell the images apart.
    parameters : what produced the coordinates and numbers, fit for JSON; with ``continuity`` as :func:`continuity` has it, where
        trustworthiness is known.
    """

    layer: int
    method: str
    coordinates: np.ndarray = field(repr=False)
    trustworthiness: float
    silhouette: float
    parameters: dict[str, Any] = field(repr=False)


def project(
    labels: Sequence[str] | Sequence[int] | np.ndarray | None,
    *,
    distances: Iterable[np.ndarray] | None = None,
    vectors: Iterable[np.ndarray] | None = None,
    method: str = "umap",
    dimensions: int = 2,
    seed: int = 0,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    progress: Progress | None = None,
) -> list[LayerProjection]:
    """Project all images under each layer of one model, in a frame common to the layers.

    The layers are handed over either as distances or as vectors. Distances suit vectors too long for memory
    (flatten pooling) and up to some thousands of images; vectors suit more images than that.
    The same seed and input give the same projections.

    Parameters
    ----------
    labels : (n_images,) class of each image, or None.
    distances : for each layer, first to last, (n_images, n_images) cosine distances: symmetric, in
        [0, 2], 0 on the diagonal.
    vectors : for each layer, first to last, (n_images, n_features) finite numbers; ``n_features`` may differ.
        A vector of zeros has distance 1 to every other, as in :mod:`core.metrics`. Trustworthiness and
        silhouette are taken on 2,000 images drawn with the seed where there are more.
    method : ``"umap"`` or ``"pca"``.
    dimensions : 2 or 3.
    seed : of the projection and the draw, 0 to 2**32 - 1.
    n_neighbors : neighbors that count as near, the image itself among them, at least 2; cut to
        ``n_images - 1``.
    min_dist : how tightly UMAP packs points, 0 (tight) to 1.
    progress : receives the images whose neighbors were found, layer by layer, and the epochs of UMAP.

    Returns
    -------
    projections : one for each layer, in the order given. A layer under which all images are equal is one point
        at the origin.

    Raises
    ------
    UserError : no images, layers that don't fit each other or the labels, numbers that aren't finite or
        aren't cosine distances, or a parameter out of its range.
    ValueError : both or neither of ``distances`` and ``vectors``, or no layers.

    Examples
    --------
    >>> layer = np.array([[1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1]])
    >>> [projection] = project(["a", "a", "b", "b"], vectors=[layer], method="pca")
    >>> projection.coordinates.shape, round(projection.silhouette, 2)
    ((4, 2), 0.99)
    """
    _check_parameters(method, dimensions, seed, n_neighbors, min_dist)
    layers: list[_Layer]
    if distances is not None and vectors is None:
        layers = [_DistanceLayer(matrix, f"layer {i + 1}") for i, matrix in enumerate(distances)]
    elif vectors is not None and distances is None:
        layers = [_VectorLayer(matrix, f"layer {i + 1}", seed) for i, matrix in enumerate(vectors)]
    else:
        raise ValueError("Give either distances or vectors.")
    rng = np.random.default_rng(seed)
    labels = _check_layers(layers, labels)
    # Images that no layer tells apart are one point.
    first, place = _distinct(layers)
    if len(first) < len(place):
        layers = [layer.only(first) for layer in layers]
        labels = None if labels is None else labels[first]
    n = len(first)
    sample = (
        np.sort(rng.choice(n, _SAMPLE, replace=False))
        if vectors is not None and n > _SAMPLE
        else np.arange(n)
    )

    progress = progress or Silent()
    progress.stage("principal components", 0)
    placing, judging = progress.divide(9, 1)
    parameters: dict[str, Any] = {"metric": "cosine", "seed": int(seed)}
    if method == "umap" and n < _FEWEST_FOR_UMAP:
        method = "pca"
        parameters["fallback"] = (
            f"UMAP needs at least {_FEWEST_FOR_UMAP} images; these are principal components."
        )
    # A layer under which all images are equal has no neighbors to keep and nothing to align.
    telling = [layer for layer in layers if not layer.collapsed]
    shared, variances = _principal_components(telling, dimensions)
    if method == "umap":
        near = min(n_neighbors, n - 1)
        shared, more = _joint_umap(telling, shared, seed, near, min_dist, placing)
        parameters |= more
    else:
        parameters["alignment"] = "procrustes"
    results = zip(_common_frame(shared), variances, strict=True)

    k = _judged_neighbors(len(sample))
    parameters |= {"trustworthiness_neighbors": k, "judged_images": len(sample)}
    projections = []
    judging.stage("judging the projection", len(layers))
    for i, layer in enumerate(layers):
        own = dict(parameters)
        coordinates, trust, silhouette = np.zeros((n, dimensions), np.float32), float("nan"), float("nan")
        if not layer.collapsed:
            in_frame, variance = next(results)
            coordinates = in_frame.astype(np.float32)
            judged = layer.distances(sample)
            trust = _trustworthiness(judged, coordinates[sample], k)
            if k >= 1:
                own["continuity"] = round(continuity(judged, coordinates[sample]), 6)
            silhouette = _silhouette(judged, None if labels is None else labels[sample])
            if method == "pca":
                own["explained_variance"] = round(variance, 6)
        projections.append(LayerProjection(i, method, coordinates[place], trust, silhouette, own))
        judging.step()
    return projections


class _DistanceLayer:
    """A layer known by the cosine distances between all images."""

    def __init__(self, distances: np.ndarray, name: str):
        distances = _matrix_of_numbers(distances, name)
        self.n = len(distances)
        if distances.shape != (self.n, self.n):
            raise UserError(
                f"The distances of {name} have shape {distances.shape}; give one row and one column per image."
            )
        if self.n and (
            distances.min() < -1e-6 or distances.max() > 2 + 1e-6 or np.abs(distances.diagonal()).max() > 1e-6
        ):
            raise UserError(
                f"The numbers of {name} are not cosine distances, which lie in 0 to 2 with 0 on the diagonal."
            )
        if not np.allclose(distances, distances.T, rtol=0, atol=1e-6):
            raise UserError(
                f"The distances of {name} are not symmetric; give those from all images to all images."
            )
        self._distances = np.clip((distances + distances.T) / 2, 0.0, 2.0)
        np.fill_diagonal(self._distances, 0.0)
        self.collapsed = self.n < 2 or bool(self._distances.max() <= _SAME)

    def groups(self) -> np.ndarray:
        """(n,) a number for each image, the same for images of the same place."""
        from scipy.sparse.csgraph import connected_components

        # Rounding alone, also where all images are nearly the same.
        same = self._distances <= min(_SAME, 1e-6 * self._distances.mean())
        if np.count_nonzero(same) == self.n:
            return np.arange(self.n)
        return np.asarray(connected_components(same, directed=False)[1])

    def only(self, images: np.ndarray) -> "_DistanceLayer":
        """The layer without the other images."""
        return _DistanceLayer(self._distances[np.ix_(images, images)], "the layer")

    def distances(self, images: np.ndarray) -> np.ndarray:
        return (
            self._distances if len(images) == self.n else np.asarray(self._distances[np.ix_(images, images)])
        )

    def neighbors(self, k: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) nearest images and their distances, the image itself first."""
        ranked = self._distances.copy()
        np.fill_diagonal(ranked, -1.0)
        nearest = np.argsort(ranked, axis=1, kind="stable")[:, :k]
        progress.step(self.n)
        return nearest, np.take_along_axis(self._distances, nearest, axis=1)

    def components(self, dimensions: int) -> tuple[np.ndarray, float]:
        """(n, dimensions) principal components of the vectors scaled to length one, and the part of the variance that they hold.

        Vectors of length one have the inner products ``1 - distances``. Centered in rows and columns, they are those of the
        centered vectors, whose eigenvectors times the roots of their eigenvalues are the components. A vector of zeros, at
        distance 1 from all others, counts as one at right angles to them.
        """
        from scipy.linalg import eigh

        # Centering takes the 1 of 1 - distances away; without it small distances keep their digits.
        products = -self._distances
        products -= products.mean(axis=0)
        products -= products.mean(axis=1, keepdims=True)
        count = min(dimensions, self.n)
        values, directions = eigh(products, subset_by_index=(self.n - count, self.n - 1))
        values, directions = np.maximum(values[::-1], 0.0), directions[:, ::-1]
        directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(count)])
        total = float(np.trace(products))
        share = float(values.sum() / total) if total > 0 else 0.0
        return _padded(directions * np.sqrt(values), dimensions), share


class _VectorLayer:
    """A layer known by the vectors of the images, scaled to length one."""

    def __init__(self, vectors: np.ndarray, name: str, seed: int):
        vectors = _matrix_of_numbers(vectors, name)
        # Scaled by the largest number first, since squares of very large or small numbers leave the range.
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
        vectors = vectors / np.where(largest > 0, largest, 1.0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._seed = seed
        self._take(vectors / np.where(lengths > 0, lengths, 1.0))

    def _take(self, vectors: np.ndarray) -> None:
        self._vectors, self.n = vectors, len(vectors)
        # For vectors of length one, the square of the straight distance is twice the cosine distance.
        self.collapsed = self.n < 2 or bool(
            np.square(self._vectors - self._vectors[:1]).sum(axis=1).max() <= 2 * _SAME
        )

    def groups(self) -> np.ndarray:
        """(n,) a number for each image, the same for images of the same vector; zeros are the same vector too."""
        known: dict[bytes, int] = {}
        # Zero may have a sign, which adding zero takes away.
        return np.array([known.setdefault((row + 0.0).tobytes(), len(known)) for row in self._vectors])

    def only(self, images: np.ndarray) -> "_VectorLayer":
        """The layer without the other images."""
        # Not scaled again, which would round again.
        layer = copy.copy(self)
        layer._take(self._vectors[images])
        return layer

    def distances(self, images: np.ndarray) -> np.ndarray:
        vectors = self._vectors[images]
        distances = np.clip(1.0 - vectors @ vectors.T, 0.0, 2.0)
        np.fill_diagonal(distances, 0.0)
        return np.asarray((distances + distances.T) / 2)

    def neighbors(self, k: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) nearest images and their distances, the image itself first."""
        indices, distances = np.empty((self.n, k), np.int64), np.empty((self.n, k))
        for start in range(0, self.n, 512):
            rows = np.arange(start, min(start + 512, self.n))
            block = np.clip(1.0 - self._vectors[rows] @ self._vectors.T, 0.0, 2.0)
            block[np.arange(len(rows)), rows] = -1.0
            nearest = np.sort(np.argpartition(block, k - 1, axis=1)[:, :k], axis=1)
            order = np.argsort(np.take_along_axis(block, nearest, axis=1), axis=1, kind="stable")
            indices[rows] = np.take_along_axis(nearest, order, axis=1)
            distances[rows] = np.maximum(np.take_along_axis(block, indices[rows], axis=1), 0.0)
            progress.step(len(rows))
        return indices, distances

    def components(self, dimensions: int) -> tuple[np.ndarray, float]:
        """(n, dimensions) principal components and the part of the variance that they hold."""
        from sklearn.decomposition import PCA

        pca = PCA(min(dimensions, *self._vectors.shape), random_state=self._seed)
        components = _padded(pca.fit_transform(self._vectors), dimensions)
        return components, float(pca.explained_variance_ratio_.sum())


_Layer = _DistanceLayer | _VectorLayer


def _distinct(layers: Sequence[_Layer]) -> tuple[np.ndarray, np.ndarray]:
    """The first image of each group that all layers hold to be the same, ascending, and for each image the place of its first one."""
    groups = np.stack([layer.groups() for layer in layers], axis=1)
    _, first, place = np.unique(groups, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return first[order], ranks[place.reshape(-1)]


def _principal_components(layers: Sequence[_Layer], dimensions: int) -> tuple[list[np.ndarray], list[float]]:
    """Components of each layer, of one radius, turned onto each other, and the variances they hold."""
    found = [layer.components(dimensions) for layer in layers]
    scaled = [x / max(np.sqrt(np.square(x).sum(axis=1).mean()), np.finfo(float).tiny) for x, _ in found]
    return _turned(scaled), [variance for _, variance in found]


def _joint_umap(
    layers: Sequence[_Layer],
    start: Sequence[np.ndarray],
    seed: int,
    n_neighbors: int,
    min_dist: float,
    progress: Progress,
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """One UMAP of all layers, each image tied to itself in the layers before and after."""
    parameters = {
        "n_neighbors": n_neighbors,
        "min_dist": float(min_dist),
        "alignment": "joint",
        "coupling": _COUPLING,
        "negative_sample_rate": _NEGATIVE_SAMPLE_RATE,
        "umap": version("umap-learn"),
    }
    if not layers:
        return [], parameters
    import scipy.sparse

    n, dimensions = start[0].shape
    # For 3,000 to 10,000 vectors of 320 numbers, placing takes 7 to 18 times as long.
    finding, placing = progress.divide(1, 10)
    # Numba compiles parts of it when it is first imported, and keeps them on disk.
    finding.stage("loading UMAP (the first time takes about a minute)", 0)
    # With this module the package imports TensorFlow, which nothing here needs.
    sys.modules.setdefault("umap.parametric_umap", None)  # type: ignore[arg-type]
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    finding.stage("neighbors", n * len(layers))
    random_state = np.random.RandomState(seed)
    graphs = []
    for layer in layers:
        indices, distances = layer.neighbors(n_neighbors, finding)
        # UMAP looks at ratios of distances alone; near 1 they keep clear of its tolerances.
        distances = (distances / (distances.mean() or 1.0)).astype(np.float32)
        graphs.append(
            fuzzy_simplicial_set(
                start[0], n_neighbors, random_state, "precomputed", knn_indices=indices, knn_dists=distances
            )[0]
        )
    neighbors_in_time = scipy.sparse.diags_array(
        [1.0, 1.0], offsets=[-1, 1], shape=(len(layers), len(layers))
    )
    same_image = scipy.sparse.kron(neighbors_in_time, scipy.sparse.eye_array(n))
    graph = scipy.sparse.coo_matrix(scipy.sparse.block_diag(graphs) + _COUPLING * same_image)

    first = np.concatenate(start)
    first = first + random_state.normal(scale=_JITTER, size=first.shape)
    n_epochs = parameters["n_epochs"] = 500 if len(first) <= _LARGE else 200
    a, b = find_ab_params(1.0, min_dist)
    placing.stage("placing the points", n_epochs)
    placed, _ = simplicial_set_embedding(
        data=None,
        graph=graph,
        n_components=dimensions,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=_NEGATIVE_SAMPLE_RATE,
        n_epochs=n_epochs,
        init=first.astype(np.float32),
        random_state=random_state,
        metric="precomputed",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
        parallel=False,
        tqdm_kwds={
            "file": _Epochs(placing),
            "bar_format": "{n}",
            "mininterval": 0.2,
            "miniters": 1,
            "disable": False,
        },
    )
    return _turned(list(placed.astype(np.float64).reshape(len(layers), n, dimensions))), parameters


class _Epochs:
    """What UMAP takes for the file of its tqdm bar, which writes the number of epochs that are done."""

    def __init__(self, progress: Progress):
        self._progress, self._done = progress, 0

    def write(self, text: str) -> None:
        # What clears the line has no number.
        if (number := text.strip()).isdigit():
            self._progress.step(int(number) - self._done)
            self._done = int(number)

    def flush(self) -> None:
        """Nothing is kept back."""


def _turned(projections: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each projection centered and turned, or mirrored, onto the next; the last, of the clearest classes, leads."""
    from scipy.linalg import orthogonal_procrustes

    turned: list[np.ndarray] = []
    for one in reversed(projections):
        one = one - one.mean(axis=0)
        turned.insert(0, one @ orthogonal_procrustes(one, turned[0])[0] if turned else one)
    return turned


def _common_frame(projections: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All projections scaled by one number, so that the farthest coordinate of all is 1 from the center."""
    farthest = max((np.abs(one).max() for one in projections), default=0.0)
    return [one / farthest if farthest > 0 else one for one in projections]


def _trustworthiness(distances: np.ndarray, coordinates: np.ndarray, k: int) -> float:
    from sklearn.manifold import trustworthiness

    if k < 1:
        return float("nan")
    return float(trustworthiness(distances, coordinates, n_neighbors=k, metric="precomputed"))


def _judged_neighbors(n: int) -> int:
    # More neighbors than half of the images leave no strangers to mistake for neighbors.
    return min(JUDGED_NEIGHBORS, (n - 1) // 2)


def clusters(coordinates: np.ndarray) -> np.ndarray:
    """(n,) the cluster of each point of a projection, from 0 for the largest; -1 for points between clusters.

    HDBSCAN (Campello, Moulavi and Sander 2013, PAKDD): clusters are where points are dense, however many there are. One has at least
    five points, and at least a fiftieth of all. Its time grows with the square of the points, so of more than 20,000 it gets a sample:
    the others join the cluster of the sampled point nearest to them, unless they are farther from it than its members are from each other.

    Parameters
    ----------
    coordinates : (n, 2) or (n, 3), finite.
    """
    n = len(coordinates)
    if n < 2 * _LEAST_IN_CLUSTER:
        return np.full(n, -1)
    if n > _MOST_CLUSTERED:
        sample = np.random.default_rng(0).choice(n, _MOST_CLUSTERED, replace=False)
        found = _joined(coordinates, coordinates[sample], _dense(coordinates[sample]))
    else:
        found = _dense(coordinates)
    sizes = np.bincount(found[found >= 0])
    places = np.empty(len(sizes) + 1, np.int64)
    places[np.argsort(-sizes, kind="stable")], places[-1] = np.arange(len(sizes)), -1
    return np.asarray(places[found])


def _dense(coordinates: np.ndarray) -> np.ndarray:
    from sklearn.cluster import HDBSCAN

    least = max(_LEAST_IN_CLUSTER, len(coordinates) // 50)
    return np.asarray(
        HDBSCAN(least, min_samples=_LEAST_IN_CLUSTER, copy=True).fit_predict(coordinates), np.int64
    )


def _joined(coordinates: np.ndarray, sample: np.ndarray, of_sample: np.ndarray) -> np.ndarray:
    """The cluster of every point, from those of a sample of them."""
    from scipy.spatial import KDTree

    tree = KDTree(sample)
    apart = tree.query(sample, 2)[0][:, 1]
    reach = np.zeros(int(of_sample.max()) + 2)  # the last is that of points between clusters
    np.maximum.at(reach, of_sample, apart)
    distances, nearest = tree.query(coordinates)
    found = of_sample[nearest]
    return np.where(distances <= reach[found], found, -1)


def continuity(distances: np.ndarray, coordinates: np.ndarray) -> float:
    """How far images that are neighbors under a layer stay neighbors in a projection, from 0 to 1 (all of them).

    Trustworthiness with the two spaces swapped (Venna and Kaski, 2001, ICANN), by :data:`JUDGED_NEIGHBORS` neighbors or half of
    the images.

    Parameters
    ----------
    distances : (n, n) between images under the layer; coordinates : (n, dimensions) in the projection; n at least 3.
    """
    n = len(distances)
    k = _judged_neighbors(n)
    near = distances.copy()
    np.fill_diagonal(near, np.inf)
    neighbors = np.argpartition(near, k - 1, axis=1)[:, :k]
    in_chart = pairwise("euclidean", coordinates)
    np.fill_diagonal(in_chart, -1.0)
    ranks = np.empty((n, n), np.int64)
    # The image itself has rank 0.
    np.put_along_axis(ranks, np.argsort(in_chart, axis=1, kind="stable"), np.arange(n)[None, :], axis=1)
    behind = np.take_along_axis(ranks, neighbors, axis=1) - k
    lost = float(behind[behind > 0].sum())
    return 1.0 - 2.0 * lost / (n * k * (2 * n - 3 * k - 1))


def _silhouette(distances: np.ndarray, labels: np.ndarray | None) -> float:
    from sklearn.metrics import silhouette_score

    if labels is None or not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(distances, labels, metric="precomputed"))


def _padded(components: np.ndarray, dimensions: int) -> np.ndarray:
    """Columns of zeros added where there are fewer components than dimensions."""
    return np.pad(components, ((0, 0), (0, dimensions - components.shape[1])))


def _matrix_of_numbers(matrix: np.ndarray, name: str) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2:
        raise UserError(
            f"The numbers of {name} have shape {matrix.shape}; give a matrix with one row per image."
        )
    if not np.isfinite(matrix).all():
        raise UserError(f"There are numbers in {name} that are not finite; compute its features again.")
    return matrix


def _check_layers(layers: Sequence[_Layer], labels: Any) -> np.ndarray | None:
    """The labels as an array, after a look whether all parts have the same images."""
    if not layers:
        raise ValueError("Give at least one layer.")
    counts = sorted({layer.n for layer in layers})
    if len(counts) > 1:
        raise UserError(
            f"The layers have different numbers of images: {', '.join(map(str, counts))}; give the same ones."
        )
    if counts[0] == 0:
        raise UserError("There are no images to project; give at least one.")
    if labels is None:
        return None
    if len(labels) != counts[0]:
        raise UserError(f"There are {len(labels)} labels for {counts[0]} images; give one for each.")
    return np.asarray(labels)


def _check_parameters(method: str, dimensions: int, seed: int, n_neighbors: int, min_dist: float) -> None:
    if method not in METHODS:
        raise UnknownNameError("projection method", method, METHODS)
    if dimensions not in DIMENSIONS:
        raise UserError(f"A projection has 2 or 3 dimensions, not {dimensions}.")
    if not 0 <= seed < 2**32:
        raise UserError(f"The seed must be from 0 to {2**32 - 1}, not {seed}.")
    if n_neighbors < 2:
        raise UserError(f"The number of neighbors must be at least 2, not {n_neighbors}.")
    if not 0 <= min_dist <= 1:
        raise UserError(f"The minimal distance between points must be from 0 to 1, not {min_dist}.")
