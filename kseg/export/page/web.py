"""The export format web: a static folder with the page, the model and the runtime."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kseg.errors import FileError, ModelError, SettingsError
from kseg.export.conversion.tflite import tflite
from kseg.export.formats import read_metadata
from kseg.export.graph import Size, chosen_size, inspected
from kseg.export.page import litert_js
from kseg.export.page.hosting import HEADERS, readme
from kseg.export.parity import Parity
from kseg.export.runtimes.litert import TFLite
from kseg.io.atomic import put_in_place, temporary_path, write_errors
from kseg.io.colour_map import default_palette
from kseg.version import __version__

PAGE = (
    "index.html",
    "style.css",
    "start.js",
    "app.mjs",
    "engine.mjs",
    "mask.mjs",
    "paint.mjs",
    "record.mjs",
    "sentences.mjs",
    "source.mjs",
    "worker.js",
)
MOST_CLASSES = 255
DESCRIPTION = "model.json"


@dataclass(frozen=True)
class Site:
    """A site that was written.

    Attributes:
        path: the folder.
        parities: how each model file agrees with the Keras model, by precision; None for a file that was given.
        sizes: bytes of each model file, by precision.
        total: bytes of the folder.

    Example:
    ```python
    site = kseg.export.web("model.tflite", "site")
    print(site.table())
    ```
    """

    path: str
    parities: dict[str, Parity | None]
    sizes: dict[str, int]
    total: int

    def to_json(self) -> dict[str, Any]:
        """Put the site's files into plain data.

        Returns:
            A dict that `json.dump` takes.
        """
        models = {
            precision: {
                "bytes": self.sizes[precision],
                "parity": None if parity is None else parity.to_json(),
            }
            for precision, parity in self.parities.items()
        }
        return {"path": self.path, "bytes": self.total, "models": models}

    def table(self) -> str:
        """Put the site's files into a table for a reader.

        Returns:
            A text of one line per model file, and one for all files together.
        """
        rows = []
        for precision, parity in self.parities.items():
            agrees = "as given" if parity is None else f"{parity.agreement:.2%} of the pixels as in Keras"
            rows.append(f"{precision:<10} {self.sizes[precision] / 1e6:6.1f} MB  {agrees}")
        return "\n".join([*rows, f"{'all files':<10} {self.total / 1e6:6.1f} MB"])


def web(
    model: keras.Model | str | Path,
    path: str | Path,
    *,
    size: Size | None = None,
    calibration: Any = None,
    int8: str | Path | None = None,
    runtime: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> Site:
    """Write a model as a static web page that segments a camera's frames on the visitor's own device.

    The page runs the int8 file on the processor and the float16 file on graphics processors (WebGPU). Without
    calibration images there is no int8 file, and the float16 file does both.

    Args:
        model: a Keras model, as `tflite` takes it, or the path of a .tflite file that kseg exported at a fixed size.
        path: the new folder.
        size: (height, width) of the model's input; may be left out where the model has one itself.
        calibration: images for the int8 file, as `tflite` takes them.
        int8: an int8 .tflite file of this model that is there already, such as a preset's; in place of `calibration`.
        runtime: a folder with the npm packages of LiteRT.js; None takes the user's cache, then npm.
        name: what the page is titled; None takes the model's own name.
        overwrite: replace a site that is there.

    Returns:
        `Site`: the model files, their sizes and their agreement.

    Raises:
        SettingsError: a path that is taken, a size that is missing or does not fit, no runtime.
        ModelError: a model that a browser cannot run: free sizes, dynamic-range weights, more than 255 classes.

    Example:
        ```python
        model = keras.saving.load_model("best.keras")
        kseg.export.web(model, "site", calibration=kseg.export.calibration_images(train, (256, 256)))
        ```
    """
    path = Path(path)
    check_free(path, overwrite)
    if given := not isinstance(model, keras.Model):
        if size is not None or calibration is not None or int8 is not None:
            raise SettingsError(
                f"{model}: a .tflite file has its size and precision: without size, calibration and int8 (--size, "
                "--data)"
            )
        _described(Path(model))
    else:
        size = _checked_size(model, size)
    contents = litert_js.read(runtime)  # what is missing is reported before the conversion
    with temporary_path(path) as part, write_errors(path):
        part.mkdir()
        parities = (
            {_copied(Path(model), part): None} if given else _converted(model, part, size, calibration, int8)
        )
        description = _write_description(part, list(parities), name)
        for file in PAGE:
            shutil.copyfile(Path(__file__).with_name(file), part / file)
        litert_js.install(contents, part / description["runtime"]["folder"])
        (part / "README.txt").write_text(readme(description), encoding="utf-8")
        (part / "_headers").write_text(
            "/*\n" + "".join(f"  {name}: {value}\n" for name, value in HEADERS.items()), encoding="utf-8"
        )
        total = sum(one.stat().st_size for one in part.rglob("*") if one.is_file())
        check_free(path, overwrite)  # another export may have been faster
        put_in_place(part, path)
    sizes = {entry["precision"]: entry["bytes"] for entry in description["files"].values()}
    return Site(str(path), parities, sizes, total)


def check_free(path: Path, overwrite: bool) -> None:
    """Raise SettingsError where a site may not be written: something is there, and it is no site or shall stay."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if not (path.exists() or path.is_symlink()):
        return
    try:
        ours = "kseg" in json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        ours = False
    if not ours:
        raise SettingsError(
            f"{path} exists and is not a kseg web page, so it is not replaced: choose another name for the folder"
        )
    if not overwrite:
        raise SettingsError(
            f"{path} is already a web page: choose another name, or replace it with overwrite=True, --overwrite"
        )


def _checked_size(model: keras.Model, size: Size | None) -> Size:
    info = inspected(model)
    if info.channels != 3:
        raise ModelError(
            f"The model {model.name!r} takes {info.channels} channels; a camera's images have three"
        )
    _check_classes(model.name, info.num_classes)
    size = chosen_size(model, size)
    if size is None:
        raise SettingsError(
            f"The model {model.name!r} takes images of any size, and a browser's file has a fixed one: give it "
            "(size=(height, width), --size H W); 256 256 is fast on most devices"
        )
    return size


def _check_classes(name: Any, classes: int) -> None:
    if classes > MOST_CLASSES:
        raise ModelError(f"{name} has {classes} classes; the page shows {MOST_CLASSES} at most")


def _converted(
    model: keras.Model, part: Path, size: Size, calibration: Any, int8: str | Path | None
) -> dict[str, Parity | None]:
    parities: dict[str, Parity | None] = {}
    if int8 is not None:
        description = _described(Path(int8))
        if tuple(description["input"]["size"]) != tuple(size) or description["precision"] != "int8":
            raise SettingsError(
                f"{int8}: expected an int8 file for {size[0]}x{size[1]}, found {description['precision']} for "
                f"{description['input']['size'][0]}x{description['input']['size'][1]}"
            )
        parities[_copied(Path(int8), part)] = None
    elif calibration is not None:
        parities["int8"] = tflite(
            model, part / _file_name("int8"), size=size, precision="int8", calibration=calibration
        )
    parities["float16"] = tflite(model, part / _file_name("float16"), size=size, precision="float16")
    return parities


def _described(path: Path) -> dict[str, Any]:
    """The description packed with a .tflite file; ModelError where the page cannot use the file, with the way out."""
    if path.suffix != ".tflite" or not path.is_file():
        raise ModelError(f"{path}: expected a Keras model or a .tflite file that kseg exported")
    found = read_metadata(path)
    if not found:
        raise ModelError(
            f"{path}: kseg did not write this file, so its classes and its input's range are unknown"
        )
    again = "export the Keras model again, with"
    if found["precision"] == "dynamic":
        raise ModelError(
            f"{path}: dynamic-range weights run three to six times slower in a browser: {again} --precision int8 or "
            "float16, or straight to --format web"
        )
    if found["input"]["size"] is None or TFLite(path).size is None:
        raise ModelError(
            f"{path}: its height and width are free, which browsers do not run: {again} --size H W"
        )
    if found["input"]["channels"] != "RGB":
        raise ModelError(f"{path}: takes {found['input']['channels']} channels; a camera's images have three")
    _check_classes(path, len(found["classes"]))
    return found


def _copied(path: Path, part: Path) -> str:
    """Copy a .tflite file into the site; gives its precision."""
    precision = read_metadata(path)["precision"]
    try:
        shutil.copyfile(path, part / _file_name(precision))
    except OSError as error:
        raise FileError(f"{path}: could not be copied ({error.strerror})", error) from error
    return precision


def _file_name(precision: str) -> str:
    return f"model_{precision}.tflite"


def _write_description(part: Path, precisions: list[str], name: str | None) -> dict[str, Any]:
    """`model.json`: what the page needs to know of the model."""
    contents = {precision: (part / _file_name(precision)).read_bytes() for precision in precisions}
    packed = read_metadata(part / _file_name(precisions[0]))
    classes, palette = list(packed["classes"]), [list(colour) for colour in packed["palette"]]
    if len(classes) == 1:  # one channel: how sure a pixel is to be the object
        classes, palette = ["background", *classes], [[0, 0, 0], palette[0]]
        if palette[1] == [0, 0, 0]:
            palette[1] = list(default_palette(2)[1])
    description = {
        "kseg": __version__,
        "name": name or packed["name"],
        "size": packed["input"]["size"],
        "classes": classes,
        "palette": palette,
        "output": packed["output"],
        "files": {
            precision: {
                "file": _file_name(precision),
                "precision": precision,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for precision, content in contents.items()
        },
        "runtime": {
            "name": "LiteRT.js",
            "version": litert_js.VERSION,
            "folder": f"runtime/{litert_js.VERSION}",
        },
    }
    (part / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return description
