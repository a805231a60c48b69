"""The sections of the comparison page. A new one is a file here with a ``SECTION``."""

from importlib import import_module
from pkgutil import iter_modules

from dashboard.pages.compare.comparison_context import Group, Section

ALL: tuple[Section, ...] = tuple(
    sorted(
        (import_module(f"{__name__}.{module.name}").SECTION for module in iter_modules(__path__)),
        key=lambda section: (list(Group).index(section.group), section.place),
    )
)
