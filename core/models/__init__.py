"""CNNs as feature extractors: what exists, where weights come from, images to vectors."""

import os

# Read by TensorFlow when it is imported, which the functions of this package do: warnings and errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
