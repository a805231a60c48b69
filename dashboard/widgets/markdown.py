"""Text from outside as Markdown that shows just what it says."""

import re

_MARKDOWN = frozenset("\\`*_{}[]<>()#+-!|~$:^=&")
# What Streamlit turns into links, icons, images and arrows even where it is escaped. A word joiner, which is invisible, keeps it apart.
_REWRITTEN = re.compile(
    r"(?i:https?(?=://)|www(?=\.)|:(?=material/|streamlit:)|(?=@))"
    r"|(?<!\S)(?:-(?=[->](?!\S))|<(?=[-=](?!\S))|[>~](?==(?!\S)))"
)
_JOINER = "\u2060"


def plain(sentence: str) -> str:
    """A sentence or a name as Markdown without any effect: no link, no format, no icon, no list."""
    line = _REWRITTEN.sub(lambda found: found[0] + _JOINER, " ".join(sentence.splitlines()).lstrip())
    escaped = "".join(f"\\{c}" if c in _MARKDOWN else c for c in line)
    # A number and a dot begin a list.
    return re.sub(r"^(\d+)\.", r"\1\.", escaped)


def quoted(text: str, longest: int = 40) -> str:
    """A value as inline code, cut after ``longest`` characters."""
    shown = "".join(c if c.isprintable() else "�" for c in text[: longest + 1]).replace("`", "'").strip()
    if len(shown) > longest:
        shown = shown[:longest] + "…"
    return f"`{shown}`" if shown else "nothing"
