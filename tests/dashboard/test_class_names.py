"""Names of classes where there is little room, and among words and numbers."""

import pytest

from dashboard.widgets import class_names


@pytest.mark.parametrize("most", [12, 16, 24, 36])
def test_shortened_names_differ_where_the_names_do(most: int):
    begin, end = "a class with a rather long name " * 3, " that goes on and on " * 3
    names = [
        "Apple",
        "apple",
        "APPLE",
        "",
        *(f"{begin}{i}" for i in range(12)),
        *(f"{begin}{i}{end}" for i in range(12)),
    ]
    short = class_names.apart(names, most)
    assert len(set(short)) == len(set(names))
    assert max(map(len, short)) <= most
    assert short[:4] == names[:4]


def test_a_name_that_occurs_twice_is_shortened_in_one_way():
    assert len(set(class_names.apart(["n" * 50] * 3, 12))) == 1


def test_a_thousand_long_names_differ():
    names = [f"{'n' * 90} {i} {'m' * 90}" for i in range(1000)]
    short = class_names.apart(names, 16)
    assert len(set(short)) == 1000 and max(map(len, short)) <= 16


@pytest.mark.parametrize("name", ["كلب بحر", "חתול (cat) 2", "\u202ereversed"])
def test_a_name_that_reorders_its_neighbors_is_isolated(name: str):
    assert class_names.isolated(name) == f"\u2068{name}\u2069"
    assert class_names.in_sentence(name * 20, 20).startswith("\u2068")
    assert class_names.in_sentence(name * 20, 20).endswith("…\u2069")


@pytest.mark.parametrize("name", ["birds", "12", "", "🐶", "$x$ <b>"])
def test_any_other_name_stays_as_it_is(name: str):
    assert class_names.isolated(name) == name
