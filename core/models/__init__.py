"""CNNs as feature extractors: what exists, where weights come from, images to vectors."""

import os

# Read by TensorFlow when it is imported, which the functions of this package do. Its C++ part reports a machine without a
# GPU as an error; what really goes wrong comes as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
