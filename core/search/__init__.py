"""Searching with pictures that are in no dataset."""
