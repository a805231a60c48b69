"""Datasets, and sources of images: folders, patterns, files, URLs and lists."""
