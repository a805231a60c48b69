"""Keras graphs of the models that keras.applications lacks, and the reader of their published weights.

Each graph module has ``build``, which returns the untrained graph without a classifier, and ``translate``, which
turns the arrays of the published file into the weights of our layers.
"""
