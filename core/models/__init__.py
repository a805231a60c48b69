"""Models as feature extractors: the table of models, their weights, images to vectors."""

import os

# TensorFlow reads it when functions of this package import it. Its C++ part logs a missing GPU as an error; real errors are
# exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
