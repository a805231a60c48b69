"""A button that reads an image from the clipboard."""

from dashboard.frontend.bundle import component

paste = component(__file__, '<button type="button" class="paste"></button>')
