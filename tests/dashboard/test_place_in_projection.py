"""Where an image would be among the images of its source, by class."""

import pytest

from dashboard.pages.your_picture import place_in_projection
from dashboard.widgets import palette


@pytest.fixture(autouse=True)
def light(monkeypatch):
    monkeypatch.setattr(palette, "is_dark", lambda: False)


def test_each_of_a_few_classes_is_a_group():
    groups = place_in_projection._groups(["b", "a", "b"], ["a", "b"], {"b"})
    assert [(name, rows) for name, _, rows in groups] == [("a", [1]), ("b", [0, 2])]


def test_of_very_many_classes_those_of_the_nearest_images_are_groups():
    classes = [f"{'a class with a long name ' * 4}{place}" for place in range(1000)]
    labels = [classes[row % 1000] for row in range(2000)]
    near = {classes[3], classes[700]}
    groups = place_in_projection._groups(labels, classes, near)
    assert [rows for _, _, rows in groups[1:]] == [[3, 1003], [700, 1700]]
    assert len(groups[0][2]) == 1996
    assert len({name for name, _, _ in groups}) == 3 and max(len(name) for name, _, _ in groups) <= 24
    assert len({(style.color, style.symbol) for _, style, _ in groups}) == 3
