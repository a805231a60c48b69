"""Names of classes, which come from outside: shortened where there is little room, and among words and numbers of a page."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

# Kinds of characters that change the order in which others beside them are shown (Unicode Standard Annex 9).
_REORDERING = {"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "RLI", "LRI", "FSI"}


def cut(text: str, most: int) -> str:
    """A text of at most so many characters, with an ellipsis where it goes on."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def apart(texts: Sequence[str], most: int) -> list[str]:
    """Names of at most so many characters, different where the names are.

    Those that begin alike lose their middle; those that end alike too have a number.

    Examples
    --------
    >>> apart(["oak", "a maple in autumn", "a maple in spring"], 12)
    ['oak', 'a map…autumn', 'a map…spring']
    >>> apart(["a maple in park 1 of a town", "a maple in park 2 of a town"], 12)
    ['a maple… (1)', 'a maple… (2)']
    """
    short = {text: cut(text, most) for text in texts}
    same = Counter(short.values())
    end = most // 2
    short |= {
        text: f"{text[: most - end - 1].rstrip()}…{text[-end:].lstrip()}"
        for text, one in short.items()
        if same[one] > 1 and one != text
    }
    same, numbers = Counter(short.values()), Counter[str]()
    for text, one in short.items():
        if same[one] > 1 and one != text:
            numbers[one] += 1
            sign = f"… ({numbers[one]})"
            short[text] = text[: most - len(sign)].rstrip() + sign
    return [short[text] for text in texts]


def isolated(text: str) -> str:
    """A name for a sentence: one with right-to-left letters does not pull the numbers and brackets beside it to its other side.

    Such a name is put between a first strong isolate and a pop directional isolate, which are invisible.
    """
    reorders = any(unicodedata.bidirectional(c) in _REORDERING for c in text)
    return f"\u2068{text}\u2069" if reorders else text


def in_sentence(text: str, most: int = 60) -> str:
    """A name for a sentence: :func:`cut` and :func:`isolated`."""
    return isolated(cut(text, most))
