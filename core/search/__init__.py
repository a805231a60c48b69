"""Search with an image: one interface for datasets and collections."""
