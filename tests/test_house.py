"""The rules of the house: imports run one way, page folders stay apart, names do not repeat, heavy libraries load late."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

# The way of the data: a module imports from its own layer or those before it.
LAYERS = [
    {"cache", "errors", "hostnames", "metrics", "process_limits", "progress", "text", "threads", "wish"},
    {"settings"},
    {"access", "disk", "jobs", "lock"},
    {"download", "exact_index", "imaging", "projection"},
    {"data"},
    {"models"},
    {"evaluation"},
    {"experiments"},
    {"published"},
    {"shards"},
    {"collections"},
    {"planning"},
    {"search"},
    {"features"},
    {"server"},
    {"cli"},
    {"pipelines"},
]
# Against the way, for a reason that stands where the import is.
EXCEPTIONS: set[tuple[str, str]] = {
    ("core.collections.collection", "core.search.default_configuration"),
    ("core.collections.collection", "core.search.shared_engine"),
}
HEAVY = {"apache_beam", "keras", "openvino", "tensorflow", "torch", "umap"}


@dataclass(frozen=True)
class Import:
    """One import: of what, and whether it happens when the module is imported."""

    source: str
    target: str
    at_once: bool


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {_name(path): path for part in ("core", "dashboard") for path in (ROOT / part).rglob("*.py")}


@cache
def imports() -> tuple[Import, ...]:
    """All imports of the house, from any line of its modules."""
    return tuple(
        found for name, path in FILES.items() for found in _imports(name, ast.parse(path.read_text("utf-8")))
    )


def _imports(name: str, node: ast.AST, at_once: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(name, alias.name, at_once) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{name} has a relative import."
            for alias in child.names:
                module = f"{child.module}.{alias.name}"
                yield Import(name, module if module in FILES else str(child.module), at_once)
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        yield from _imports(name, child, at_once and not late)


def _layer(module: str) -> int | None:
    parts = module.split(".")
    if parts[0] != "core" or len(parts) == 1 or parts[1] == "__main__":
        return None
    return next(i for i, layer in enumerate(LAYERS) if parts[1] in layer)


def test_every_part_of_core_has_one_layer():
    parts = {path.stem for path in (ROOT / "core").glob("*") if path.suffix == ".py" or path.is_dir()}
    assert Counter(part for layer in LAYERS for part in layer) == Counter(
        {part for part in parts if not part.startswith("__")}
    )


def test_imports_of_core_run_one_way():
    backward = {
        (one.source, one.target)
        for one in imports()
        if (source := _layer(one.source)) is not None
        and (target := _layer(one.target)) is not None
        and source < target
    }
    assert backward == EXCEPTIONS


def test_core_knows_no_dashboard():
    known = {
        (one.source, one.target)
        for one in imports()
        if one.source.startswith("core") and one.target.split(".")[0] in ("dashboard", "streamlit")
    }
    assert known == set()


def test_no_page_imports_another_page():
    def page(module: str) -> str | None:
        parts = module.split(".")
        return parts[2] if parts[:2] == ["dashboard", "pages"] and len(parts) > 2 else None

    crossing = {
        (one.source, one.target)
        for one in imports()
        if page(one.source) and page(one.target) not in (None, page(one.source))
    }
    assert crossing == set()


def test_nothing_but_pages_imports_pages():
    entered = {
        (one.source, one.target)
        for one in imports()
        if one.target.startswith("dashboard.pages.") and not one.source.startswith("dashboard.pages.")
    }
    assert entered == set()


def test_no_module_name_occurs_twice():
    """Except ``page``, and the modules of ``cli``, which are named after their commands."""
    names = [
        path.stem
        for path in FILES.values()
        if path.name not in ("__init__.py", "__main__.py", "page.py") and path.parent.name != "cli"
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_heavy_libraries_are_imported_in_functions(library):
    """But for pipelines, which nothing of the app imports."""
    assert [
        one.source
        for one in imports()
        if one.at_once
        and one.target.split(".")[0] == library
        and not one.source.startswith("core.pipelines.")
    ] == []


def test_nothing_but_pipelines_imports_pipelines():
    entered = {
        (one.source, one.target)
        for one in imports()
        if one.target.startswith("core.pipelines") and not one.source.startswith("core.pipelines")
    }
    assert entered == set()
