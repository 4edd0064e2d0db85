"""The page of a model for this machine: written once, kept in the user's cache, served until it is ended."""

from __future__ import annotations

import hashlib
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from kseg.errors import ModelError, SettingsError
from kseg.export.page import litert_js
from kseg.export.page.web import DESCRIPTION, PAGE
from kseg.export.page.web import __file__ as page
from kseg.io.cache import cache_folder
from kseg.models import preset_file, presets
from kseg.version import __version__
from kseg.webcam.web.publish import publish
from kseg.webcam.web.server import SiteServer

# Always the same where it is free, because browsers keep the camera's permission by address and port.
PORT = 8420


def cached_site(what: str, *, size: tuple[int, int] | None = None, runtime: str | Path | None = None) -> Path:
    """The folder of a model's page in the user's cache, written there if it is not yet.

    Args:
        what: a preset's name, a .keras file, or a .tflite file that kseg exported.
        size: (height, width) of the model's input, where the model leaves it open.
        runtime: as in `publish`.

    Raises:
        SettingsError, ModelError: as `publish`.
    """
    model = preset_file(what) if what in presets() else Path(what)
    if not model.is_file():
        raise ModelError(
            f"{what}: no such model file or preset; expected a .keras or .tflite file, or one of the presets: "
            f"{', '.join(presets())}"
        )
    # Its name changes with everything the page is made of.
    parts = hashlib.sha256(f"{__version__} {litert_js.VERSION} {size} {what in presets()}".encode())
    for file in (model, *(Path(page).with_name(name) for name in PAGE)):
        parts.update(hashlib.sha256(file.read_bytes()).digest())
    site = cache_folder("sites", parts.hexdigest()[:16])
    if not (site / DESCRIPTION).is_file():
        print(f"Writing the page of {what}; the next start will be faster.", file=sys.stderr)
        publish(what, site, size=size, runtime=runtime, overwrite=True)
    return site


def serve(site: str | Path, port: int | None = None, show: Callable[[str], object] = webbrowser.open) -> None:
    """Serve a site to this machine, open it in the browser, and return at Ctrl-C.

    Args:
        site: the folder.
        port: of the address; None takes 8420, or a free one where that is in use.
        show: opens the address.

    Raises:
        SettingsError: the port is in use, or the folder is no site.
    """
    try:
        server = SiteServer(site, PORT if port is None else port)
    except SettingsError:
        if port is not None:
            raise
        server = SiteServer(site, 0)
    with server:
        print(f"Serving {server.url} to this machine alone; Ctrl-C ends it.", flush=True)
        if not show(server.url):
            print("No browser could be opened: open this address in one.", file=sys.stderr)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print("Ended.", file=sys.stderr)
