"""Shards: the vectors of many images in Parquet files, computed on one machine or many and imported into a collection."""
