"""The model of a collection."""

from core.collections.state import About
from core.errors import CollectionError
from core.models import image_embedder, registry, weights
from core.models.image_embedder import ModelEmbedder


def check(about: About) -> None:
    """Check that the model of a collection is here, with the weights that made its vectors.

    Raises
    ------
    CollectionError : there is no such model here, or its weights are not those that made the collection's vectors.
    WeightsError : its weights are not available.
    """
    if about.model not in registry.MODELS:
        raise CollectionError(
            f"The vectors of the collection {about.name!r} were computed with the model {about.model!r}, which is not here; "
            "add it again under that name, or create a new collection."
        )
    here = weights.provenance(registry.get_model(about.model), about.weights)
    if not here.made(about.weights_fingerprint):
        raise CollectionError(
            f"The vectors of the collection {about.name!r} were computed with other weights of {about.model} than are here now; "
            "restore those weights or create a new collection."
        )


def weights_slug(about: About) -> str:
    """The name of a collection's weights in experiments, without the path of a file."""
    if weights.has_name(about.weights):
        return about.weights
    return f"file-{about.weights_fingerprint[:8]}"


def load(about: About) -> ModelEmbedder:
    """The embedder of a collection, which loads the model; raises as :func:`check`."""
    check(about)
    return image_embedder.load(about.model, about.weights, about.layer, about.pooling)
