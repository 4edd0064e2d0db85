"""Web: a static folder with a page that runs the model on the visitor's own device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kseg.export.formats.format import Format

if TYPE_CHECKING:
    from kseg.export.page.web import Site


class WebFormat(Format):
    """A web page: `kseg.export.web` writes it, a browser runs it."""

    name: ClassVar[str] = "web"
    title: ClassVar[str] = "web pages"
    options: ClassVar[frozenset[str]] = frozenset({"overwrite", "runtime"})
    checked: ClassVar[bool] = False

    def export(self, model: Any, path: str | Path, **options: Any) -> Site:
        from kseg.export.page.web import web

        return web(model, path, **options)

    def is_format_of(self, path: Path) -> bool:
        return False  # a page is opened by a browser; its .tflite files are files of that format
