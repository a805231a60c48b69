"""A user's own images: vectors in a file, a FAISS index, a SQL catalog, and the promise that they agree."""

from core.collections.collection import Collection, Hit, Info, delete, names

__all__ = ["Collection", "Hit", "Info", "delete", "names"]
