"""One module per family of models: its rows ``MODELS``, and what is its own of preprocessing, weights and graph.

``core.models.registry`` finds the modules here; ``docs/add-a-model.md`` shows how to write one.
"""
