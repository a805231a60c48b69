"""Scores of neighbors and comparisons of experiments."""
