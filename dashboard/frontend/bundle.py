"""One script of several JavaScript modules, since Streamlit takes a component's script as one text."""

import re
from pathlib import Path

_IMPORT = re.compile(r'^import [^;"]* from "(\./[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)", re.MULTILINE)


def bundle(entry: Path) -> str:
    """The module at a path after those that it imports, which share one scope: no two may define the same name."""
    scripts: dict[Path, str] = {}

    def add(path: Path) -> None:
        if path in scripts:
            return
        text = path.read_text("utf-8")
        for name in _IMPORT.findall(text):
            add((path.parent / name).resolve())
        scripts[path] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(entry.resolve())
    return "\n".join(scripts.values())
