"""The index of a collection: what finds the nearest of its vectors, derived from the vector file and built again from it.

Each module ``<name>_index`` is an engine, a subclass of :class:`core.collections.index.index_engine.Engine`; :mod:`core.collections.index.engines`
finds the modules here.
"""
