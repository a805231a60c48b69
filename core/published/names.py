"""What the published ConvNet Playground is called, and its layers beside ours."""

from core.models import registry

REPOSITORY = "cloudera/CML_AMP_Image_Analysis"
# The commit that holds the data; GitHub packs the archive of it on request, so no hash of the archive can be known.
COMMIT = "d750ff307e1794384d873cf036c7f81c38b3e19d"
ARCHIVE_URL = f"https://github.com/{REPOSITORY}/archive/{COMMIT}.tar.gz"
LICENSE = "Apache-2.0"
# What labels and result lists of a dataset hash to, where that is known; see fetch.digest.
DIGESTS = {"iconic200": "66eef2a88405d0456ab00412abed78b864a9ab7bf9ceab1bfc4bcbcf5c49c436"}
TITLE = f"published, ConvNet Playground ({REPOSITORY}), {LICENSE}"

WEIGHTS = "published"
INPUT_SIZE = 224
RESAMPLE = "nearest"
"""How images were brought to the size of every model."""

POOLING = "flatten"

# The Keras of that time numbered the convolutions of EfficientNet and named ResNet's blocks otherwise. All other published
# names are ours.
_PUBLISHED = {
    "efficientnetb0": "conv2d_1 conv2d_5 conv2d_10 conv2d_18 conv2d_29 conv2d_38 conv2d_59 conv2d_65",
    "efficientnetb5": "conv2d_1 conv2d_15 conv2d_50 conv2d_78 conv2d_99 conv2d_100 conv2d_130 conv2d_155",
    "resnet50": "res2a_branch2a res2b_branch2a res3b_branch2a res4a_branch2a res4c_branch2a res4e_branch2a res5a_branch2a res5c_branch2c",
}
"""Model -> published names of its eight layers."""


def ours(model: str, published: str) -> str:
    """Our name of a published layer."""
    places = _PUBLISHED.get(model, "").split()
    return (
        registry.get_model(model).layers[places.index(published)].name if published in places else published
    )
