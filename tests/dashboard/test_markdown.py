import pytest

from dashboard.widgets import markdown


@pytest.mark.parametrize(
    "text",
    ["<img src=x onerror=alert(1)>", "[a](http://b)", "`x` **y**", "a\nb\x00\u202ec", "$x$", ":material/x:"],
)
def test_text_from_outside_stays_inside_its_quotes(text):
    shown = markdown.quoted(text)
    assert shown.startswith("`")
    assert shown.endswith("`")
    assert "`" not in shown[1:-1]
    assert shown.isprintable()


def test_long_text_is_cut():
    assert len(markdown.quoted("x" * 1_000_000)) < 50


def test_a_sentence_is_escaped():
    assert markdown.plain("a_b *c* [d](e) <f>") == r"a\_b \*c\* \[d\]\(e\) \<f\>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://evil.example", "http\u2060\\://evil.example"),
        ("HTTPS://e.example www.e.example", "HTTPS\u2060\\://e.example www\u2060.e.example"),
        ("a@e.example", "a\u2060@e.example"),
        (":material/home: :red[x]", "\\:\u2060material/home\\: \\:red\\[x\\]"),
        ("a -> b -- c->d", "a \\-\u2060\\> b \\-\u2060\\- c\\-\\>d"),
        ("&lt; 1. $x$", "\\&lt; 1. \\$x\\$"),
        ("  12. one\n# two", "12\\. one \\# two"),
        ("class 3.5, café", "class 3.5, café"),
    ],
)
def test_links_icons_formats_and_lists_stay_plain_text(text, shown):
    assert markdown.plain(text) == shown
