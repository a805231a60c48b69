import pytest

from dashboard.widgets import glossary, palette

BACKGROUNDS = {False: "#ffffff", True: "#12171e"}


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_class_colors_stand_out_from_the_page(dark):
    styles = palette.class_styles(tuple("abcdefghij"), dark)
    assert all(contrast(style.color, BACKGROUNDS[dark]) >= 3 for style in styles.values())
    assert len({style.color for style in styles.values()}) == 10


def test_up_to_forty_classes_no_two_look_alike():
    styles = palette.class_styles(tuple(map(str, range(40))), dark=False).values()
    assert len({(style.color, style.symbol) for style in styles}) == 40
    assert len({(style.color, style.symbol_3d) for style in styles}) == 40


@pytest.mark.parametrize("dark", [False, True])
def test_marks_differ_in_sign_words_line_and_color(dark):
    same, other = palette.mark(True, dark), palette.mark(False, dark)
    assert same.sign != other.sign
    assert same.words != other.words
    assert same.dashed != other.dashed
    assert all(contrast(mark.color, BACKGROUNDS[dark]) >= 4.5 for mark in (same, other))


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (0.0001, "0.1%"), (0.005, "0.5%"), (0.5, "50%"), (0.97, "97%"), (0.9999, "99.9%"), (1, "100%")]
)  # fmt: skip
def test_percentages_are_0_and_100_only_when_they_are(share, text):
    assert glossary.percent(share) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.2141, "0.214"), (12.3456, "12.3"), (123.4, "123"), (1234.5, "1,234"), (1e-9, "1.00e-09")]
)  # fmt: skip
def test_distances_have_three_digits_that_count(number, text):
    assert glossary.distance(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12"), (1500, "1.5 k"), (999_999, "1.0 M"), (4_652_008, "4.7 M"), (138_357_544, "138 M")]
)  # fmt: skip
def test_large_numbers_are_short(number, text):
    assert glossary.count(number) == text


def test_sizes_have_a_unit():
    assert [glossary.size(n) for n in (512, 5120, 5_120_000)] == ["512 bytes", "5.12 kB", "5.12 MB"]
