"""A page of a model by its name: a preset, a .keras file or an exported .tflite file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from kseg.errors import KsegWarning
from kseg.export.graph import chosen_size
from kseg.export.images import calibration_images
from kseg.export.page import litert_js
from kseg.export.page.web import Site, check_free, web
from kseg.models import load_trained, preset_file, presets


def publish(
    what: str,
    out: str | Path,
    *,
    size: tuple[int, int] | None = None,
    calibration: Any = None,
    count: int = 100,
    runtime: str | Path | None = None,
    overwrite: bool = False,
) -> Site:
    """Write the page of a model. A preset brings its own int8 file, which the page runs as it is.

    Args:
        what: a preset's name, a .keras file, or a .tflite file that kseg exported.
        out: the new folder.
        size: (height, width) of the model's input; may be left out where the model has one itself.
        calibration: a data set (`kseg.data.Dataset`) on which int8 is calibrated.
        count: how many of its images.
        runtime: a folder with the npm packages of LiteRT.js; None takes the user's cache, then npm.
        overwrite: replace a page that is there.

    Returns:
        `Site`.

    Raises:
        SettingsError, ModelError: as `kseg.export.web`.
    """
    check_free(Path(out), overwrite)  # both are reported before a model is loaded for nothing
    litert_js.read(runtime)
    path = Path(what)
    if path.suffix == ".tflite":
        return web(path, out, size=size, calibration=calibration, runtime=runtime, overwrite=overwrite)
    model = load_trained(what)
    size = chosen_size(model, size)
    card = presets().get(what)
    int8 = None
    if calibration is not None and size is not None:
        calibration = calibration_images(calibration, size, count=count)
    elif card is not None and list(size or ()) == card["size"] and "int8" in card["files"]:
        int8 = preset_file(what, "int8")
    found = web(
        model,
        out,
        size=size,
        calibration=calibration,
        int8=int8,
        runtime=runtime,
        name=what if card is not None else None,
        overwrite=overwrite,
    )
    if "int8" not in found.parities:
        warnings.warn(
            "There are no images to calibrate int8 on (calibration=, --data NAME --root DIR): the page has the "
            "float16 file alone, which is larger",
            KsegWarning,
            stacklevel=2,
        )
    return found
