"""What a number of images needs."""

import json

import numpy as np
import pytest

from core import cli
from core.collections.index import faiss_file
from core.collections.vector_file import VectorFile
from core.errors import UserError
from core.metrics import get_metric
from core.planning import index_bytes, plan, query_ms
from core.wish import Wish

KINDS = ("flat", "hnsw", "ivf", "ivfpq")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_those_of_real_index_files(tmp_path, kind):
    rows, dimensions = 12_000, 32
    vectors = VectorFile(tmp_path / "vectors.bin", dimensions, "float32")
    vectors.write(0, np.random.default_rng(0).standard_normal((rows, dimensions), np.float32))
    built = faiss_file.build(tmp_path, vectors, rows, get_metric("cosine"), kind)
    assert index_bytes(kind, rows, dimensions) == pytest.approx(built.size, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_more_images_are_never_smaller_or_faster(kind):
    counts = [10**exponent for exponent in range(5, 10)]
    for measure in (index_bytes, query_ms):
        figures = [measure(kind, rows, 1280) for rows in counts]
        assert figures == sorted(figures)


def test_few_images_take_exact_search_on_one_machine():
    found = plan(Wish(images=1_000, dimensions=1280))
    assert (found.best.kind, found.best.machines, found.engine) == ("flat", 1, "faiss")
    assert found.vector_bytes == 2 * 1_000 * 1280
    assert found.shards == 1


def test_a_billion_images_take_several_machines_that_meet_the_limits():
    wish = Wish(images=10**9, dimensions=1280, queries_per_second=200, p95_ms=50)
    found = plan(wish)
    assert found.engine == "milvus" and found.best.machines > 1
    assert found.best.p95_ms <= wish.p95_ms
    assert found.best.bytes / found.best.machines <= wish.memory_gb * 1e9
    assert found.extraction.decoding_cores < found.extraction.cores


def test_limits_that_nothing_meets_leave_no_recommendation():
    found = plan(Wish(images=10**6, dimensions=1280, p95_ms=1e-6))
    assert found.best is None and found.engine is None
    # Recall that only exact search has.
    assert plan(Wish(images=10**6, dimensions=1280, recall=1, p95_ms=10_000)).best.kind == "flat"


@pytest.mark.parametrize(
    "wrong",
    [{"images": 0}, {"dimensions": -1}, {"recall": 1.5}, {"p95_ms": float("nan")}, {"hours": float("inf")}],
)
def test_impossible_wishes_are_refused(wrong):
    with pytest.raises(UserError):
        Wish(**{"images": 10, "dimensions": 8} | wrong)


def test_command_prints_what_it_is_made_of(capsys):
    assert cli.main(["plan", "--images", "7e4", "--qps", "20", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["wish"]["images"] == 70_000
    assert all(constant["source"] for constant in printed["constants"])
    assert cli.main(["plan", "--images", "1e9", "--qps", "200", "--p95-ms", "50"]) == 0
    assert "milvus" in capsys.readouterr().out
    for wrong in ("1.5", "inf", "many"):
        with pytest.raises(SystemExit):
            cli.main(["plan", "--images", wrong])
    assert cli.main(["plan", "--images", "-5"]) == 2
