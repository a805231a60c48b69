"""A server that stands in for those of others, and a cache of Keras's own for each test."""

from tests.models.conftest import keras_home, server

__all__ = ["keras_home", "server"]
