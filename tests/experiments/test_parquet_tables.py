"""Files of many small tables: what is written comes back, and numbers are stored by the weight of their bytes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.experiments import parquet_tables


def test_numbers_of_every_kind_come_back_and_are_split_by_the_weight_of_their_bytes(tmp_path):
    rng = np.random.default_rng(0)
    rows = pa.table(
        {
            "query": pa.array(rng.permutation(50), pa.int32()),
            "ids": parquet_tables.list_array(rng.integers(0, 200, (50, 20)), pa.int32()),
            "boxes": parquet_tables.list_array(rng.integers(0, 256, (50, 36)), pa.uint8()),
            "beyond": parquet_tables.list_array(rng.integers(-1, 5, (50, 3)), pa.int64()),
            "shares": parquet_tables.list_array(rng.random((50, 9)), pa.float16()),
            "distance": pa.array(rng.random(50), pa.float32()),
            "layer": pa.array([f"block{row}" for row in range(50)]),
            "webp": pa.array([bytes([row]) for row in range(50)]),
        }
    )
    path = tmp_path / "tables.parquet"
    parquet_tables.write(path, [parquet_tables.Entry({"layer": name}, rows) for name in ("a", "b")])
    tables = parquet_tables.Tables(path)
    for name in ("a", "b"):
        found = tables.read({"layer": name}, rows.column_names)
        assert found.schema == rows.schema and found.equals(rows)
    group = pq.read_metadata(path).row_group(1)
    columns = [group.column(place) for place in range(group.num_columns)]
    split = {
        column.path_in_schema.split(".")[0] for column in columns if "BYTE_STREAM_SPLIT" in column.encodings
    }
    assert split == {"query", "ids", "boxes", "beyond", "shares", "distance"}


def test_lists_of_ids_take_a_tenth_more_than_their_entropy_at_most(tmp_path):
    ids = np.random.default_rng(0).integers(0, 200, (2000, 20))
    path = tmp_path / "tables.parquet"
    rows = pa.table({"ids": parquet_tables.list_array(ids, pa.int32())})
    parquet_tables.write(path, [parquet_tables.Entry({}, rows)])
    assert path.stat().st_size < 1.1 * ids.size * np.log2(200) / 8
