"""Collections: a user's own images as vectors in a file, a FAISS index and a SQL catalog that always agree."""

from core.collections.collection import Collection
from core.collections.collection_reader import Hit, Info
from core.collections.lifecycle import delete, names

__all__ = ["Collection", "Hit", "Info", "delete", "names"]
