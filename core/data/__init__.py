"""Labelled datasets and folders of images."""
