import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from core.evaluation import scoring, ties
from tests.reference import PUBLISHED, needs_published


def test_score_by_hand():
    # Weights 3/3, 2/3, 1/3: the second neighbor is of another class.
    same = np.array([[True, False, True]])
    assert scoring.score(same, 3)[0] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert scoring.score(same, 1)[0] == 100


def test_precision_recall_and_average_precision_by_hand():
    same = np.array([[True, False, True, False]])
    relevant = np.array([3])
    assert scoring.precision_at_k(same, 4)[0] == 0.5
    assert scoring.recall_at_k(same, 4, relevant)[0] == pytest.approx(2 / 3)
    assert scoring.average_precision_at_k(same, 4, relevant)[0] == pytest.approx((1 + 2 / 3) / 3)


def test_a_query_alone_in_its_class_scores_zero_and_divides_by_nothing():
    same = np.array([[False, False]])
    alone = np.array([0])
    assert scoring.recall_at_k(same, 2, alone)[0] == 0
    assert scoring.average_precision_at_k(same, 2, alone)[0] == 0
    assert scoring.ndcg_at_k(same, 2, alone)[0] == 0


def test_no_search_scores_above_what_its_class_allows():
    labels = ["one", *["three"] * 3, *["twelve"] * 12]
    queries = np.arange(len(labels))
    # The best result lists there can be: the class of each query first.
    best = np.array([sorted(set(queries) - {q}, key=lambda i: labels[i] != labels[q]) for q in queries])
    relevant = scoring.count_relevant(queries, labels)
    for k in (1, 2, 5, 10, 11):
        attainable = scoring.attainable_score(relevant, k)
        np.testing.assert_allclose(attainable, scoring.score(scoring.same_label(queries, best, labels), k))
        assert attainable[0] == 0 and (attainable[4:] == 100).all()
        assert (attainable[1] < 100) == (k > 2)


def test_average_precision_over_the_whole_list_equals_scikit_learns():
    rng = np.random.default_rng(0)
    same = rng.random((20, 50)) < 0.3
    relevant = same.sum(axis=1)
    expected = [average_precision_score(row, -np.arange(50)) for row in same]
    np.testing.assert_allclose(scoring.average_precision_at_k(same, 50, relevant), expected)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_ndcg_equals_scikit_learns_with_ties_too(k):
    rng = np.random.default_rng(1)
    same = rng.random((20, 12)) < 0.4
    same[:, 0] = True
    distances = np.sort(rng.integers(0, 5, (20, 12)), axis=1).astype(float)
    found = ties.find(distances, same, np.zeros((20, 2), int), np.zeros(20, int))
    expected = [ndcg_score([row], [-near], k=k) for row, near in zip(same, distances, strict=True)]
    np.testing.assert_allclose(scoring.ndcg_at_k(found.chance, k, same.sum(axis=1)), expected)
    in_order = [ndcg_score([row], [-np.arange(12.0)], k=k) for row in same]
    np.testing.assert_allclose(scoring.ndcg_at_k(same, k, same.sum(axis=1)), in_order)


def test_k_beyond_the_result_list_is_refused():
    with pytest.raises(ValueError, match="there are 2 neighbors"):
        scoring.score(np.array([[True, False]]), 3)


def test_same_label_follows_the_labels():
    labels = ["cat", "dog", "cat"]
    same = scoring.same_label(np.array([0, 1]), np.array([[2, 1], [0, 2]]), labels)
    assert same.tolist() == [[True, False], [False, False]]


def test_relevant_images_leave_the_query_out():
    assert scoring.count_relevant(np.arange(4), ["a", "a", "b", "a"]).tolist() == [2, 2, 0, 2]


def test_relevant_images_count_only_those_that_can_be_found():
    assert scoring.count_relevant(np.array([0, 3]), ["a", "a", "b", "a"]).tolist() == [1, 1]


def test_per_class_means():
    assert scoring.per_class(np.array([1.0, 3.0, 5.0]), ["x", "x", "y"]) == {"x": 2.0, "y": 5.0}


def test_the_gains_of_the_ranks_add_up_to_the_score():
    same = np.random.default_rng(1).random((9, 12)) < 0.4
    np.testing.assert_allclose(same[:, :7] @ scoring.gains(7), scoring.score(same, 7))


@needs_published
def test_the_published_scores_follow_exactly_from_the_published_neighbors():
    classes = json.loads((PUBLISHED / "datasets" / "iconic200" / "classes.json").read_text())
    names = [name for entry in classes for name in entry.values()]
    queries = np.arange(len(names))
    compared = 0
    for path in sorted((PUBLISHED / "similarity" / "iconic200").glob("*/*/*.json")):
        layer, metric, model = path.stem, path.parent.name, path.parent.parent.name
        published = json.loads((PUBLISHED / "scores" / "iconic200" / model / f"{metric}.json").read_text())
        if layer not in published:
            continue
        lists = json.loads(path.read_text())
        found = [[int(i) for i in lists[str(query)]] for query in queries]
        same = scoring.same_label(queries, np.array(found)[:, 1:], names)
        np.testing.assert_allclose(scoring.score(same, 15), published[layer], atol=1e-9, err_msg=str(path))
        compared += 1
    assert compared >= 9 * 8 * 2
