"""What the published ConvNet Playground is called, and its layers beside ours."""

REPOSITORY = "cloudera/CML_AMP_Image_Analysis"
# The commit that holds the data; GitHub packs the archive of it on request, so no hash of the archive can be known.
COMMIT = "d750ff307e1794384d873cf036c7f81c38b3e19d"
ARCHIVE_URL = f"https://github.com/{REPOSITORY}/archive/{COMMIT}.tar.gz"
LICENSE = "Apache-2.0"
# What labels and result lists of a dataset hash to, where that is known; see fetch.digest.
DIGESTS = {"iconic200": "66eef2a88405d0456ab00412abed78b864a9ab7bf9ceab1bfc4bcbcf5c49c436"}
TITLE = f"published, ConvNet Playground ({REPOSITORY}), {LICENSE}"

WEIGHTS = "published"
POOLING = "flatten"

# The Keras of that time numbered the convolutions of EfficientNet and named ResNet's blocks otherwise. All other published
# names are ours.
_OURS = {
    "efficientnetb0": {
        "conv2d_1": "stem_conv",
        "conv2d_5": "block2a_expand_conv",
        "conv2d_10": "block2b_se_reduce",
        "conv2d_18": "block3b_se_reduce",
        "conv2d_29": "block4c_expand_conv",
        "conv2d_38": "block5b_se_reduce",
        "conv2d_59": "block6d_se_expand",
        "conv2d_65": "top_conv",
    },
    "efficientnetb5": {
        "conv2d_1": "stem_conv",
        "conv2d_15": "block2b_expand_conv",
        "conv2d_50": "block3e_project_conv",
        "conv2d_78": "block4g_project_conv",
        "conv2d_99": "block5f_expand_conv",
        "conv2d_100": "block5f_se_reduce",
        "conv2d_130": "block6f_project_conv",
        "conv2d_155": "top_conv",
    },
    "resnet50": {
        "res2a_branch2a": "conv2_block1_1_conv",
        "res2b_branch2a": "conv2_block2_1_conv",
        "res3b_branch2a": "conv3_block2_1_conv",
        "res4a_branch2a": "conv4_block1_1_conv",
        "res4c_branch2a": "conv4_block3_1_conv",
        "res4e_branch2a": "conv4_block5_1_conv",
        "res5a_branch2a": "conv5_block1_1_conv",
        "res5c_branch2c": "conv5_block3_3_conv",
    },
}


def ours(model: str, published: str) -> str:
    """Our name of a published layer."""
    return _OURS.get(model, {}).get(published, published)
