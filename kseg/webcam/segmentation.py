"""Models for frames: presets, .keras files and exported files, kseg's own and others, all called alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg.errors import KsegError, ModelError, SettingsError
from kseg.export.formats import format_for, suffixes
from kseg.export.runtimes.frames import RANGES, Frames, scaled
from kseg.inference.checks import checked_threshold
from kseg.io.untrusted import check_runs
from kseg.visualize.palette import default_palette
from kseg.webcam.smoothing import of_two, planes_of

DEFAULT_SIZE = (256, 256)
VOC = 21
IDS = 256  # classes at most, and as many of a model that gives ids without names


class NoMap(ModelError):
    """A model whose output is no map of classes."""


class Segmentation:
    """A model that takes frames of any size and gives probabilities.

    Call it with a uint8 BGR frame `(height, width, 3)`: it gives float32 probabilities `(h, w, classes)` at the model's
    output size, or uint8 class ids `(h, w)` where the model gives ids itself. `scores` and `probabilities` are its two
    halves, for two threads. `classes`, `palette` (RGB) and `size` are attributes.

    Args:
        runner: what runs the model, as `kseg.webcam.load` opens it; its `output` says, once, what its values are.
        size: (height, width) that frames are stretched to; None: the model's own, else 256x256.
        threshold: above which probability a pixel is class 1, of a model of one channel or two classes. The odds are
            moved so that it lies at 0.5, for labels, smoothing and soft edges alike.

    Raises:
        SettingsError: a size that the model does not take, or a threshold of a model of more classes.
        NoMap: what the model gives is no map of classes.

    Example:

    >>> from kseg.webcam import load
    >>> model = load("people")
    >>> model.classes
    ('background', 'person')
    >>> model(np.zeros((480, 640, 3), np.uint8)).shape[-1]
    2
    """

    def __init__(self, runner: Frames, size: tuple[int, int] | None = None, threshold: float = 0.5) -> None:
        if size is not None and runner.size is not None and size != runner.size:
            raise SettingsError(
                f"--size: this model takes {runner.size[0]}x{runner.size[1]} pixels only, not {size[0]}x{size[1]}; "
                "a .keras file, and a preset with --precision float32, take others"
            )
        self.runner, self.size, self.threshold = runner, size or runner.size or DEFAULT_SIZE, 0.5
        first = self.probabilities(runner(np.full((*self.size, 3), 127, np.uint8)))
        self.gives_ids = first.ndim == 2
        names = list(runner.names or ())
        count = first.shape[-1] if first.ndim == 3 else len(names) or IDS
        if count > IDS:
            raise NoMap(f"the model gives {count} classes; expected {IDS} at most")
        if self.gives_ids and threshold != 0.5:
            raise SettingsError("A threshold is of probabilities, and this model gives class ids")
        self.threshold = checked_threshold(threshold, count)
        if len(names) != count and count == VOC:
            from kseg.data.sources.voc import CLASSES as names
        elif len(names) != count:
            names = ["background", "foreground"] if count == 2 else [f"class {i}" for i in range(count)]
        self.classes = tuple(names)
        palette = (
            runner.palette if runner.palette and len(runner.palette) == count else default_palette(count)
        )
        self.palette = tuple(tuple(int(v) for v in colour) for colour in palette)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        return self.probabilities(self.scores(frame))

    def scores(self, frame: np.ndarray) -> np.ndarray:
        """What the model itself gives for a frame.

        Args:
            frame: uint8 BGR `(height, width, 3)`.

        Returns:
            What `probabilities` takes: `(h, w, classes)`, `(h, w, 1)` or `(h, w)`.
        """
        return self.runner(self.prepared(frame))

    def prepared(self, frame: np.ndarray) -> np.ndarray:
        """The frame as the model takes it, stretched to its size.

        Args:
            frame: uint8 BGR `(height, width, 3)`.

        Returns:
            uint8 RGB of the model's size.
        """
        height, width = self.size
        # Averaging takes seven times as long; up to a third of the size two pixels a side see nearly as much.
        shrinks = frame.shape[0] > 3 * height or frame.shape[1] > 3 * width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        small = cv2.resize(frame, (width, height), interpolation=how)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    def probabilities(self, output: np.ndarray) -> np.ndarray:
        """What the model gave, as probabilities.

        Args:
            output: what `scores` gave.

        Returns:
            float32 probabilities `(h, w, classes)`, or uint8 class ids `(h, w)` where the model gives ids.

        Raises:
            NoMap: an output of another shape.
        """
        if self.runner.output == "labels":
            if output.ndim not in (2, 3) or (output.ndim == 3 and output.shape[-1] != 1) or not output.size:
                raise NoMap(
                    f"the model gives labels of shape {output.shape} per image; expected (height, width)"
                )
            return np.clip(output.reshape(output.shape[:2]), 0, IDS - 1).astype(np.uint8)
        if output.ndim == 2:  # the mask of one class
            output = output[..., None]
        if output.ndim != 3 or 0 in output.shape:
            raise NoMap(
                f"the model gives an output of shape {output.shape} per image; expected (height, width, classes)"
            )
        logits = self.runner.output == "logits"
        if output.shape[-1] == 1:
            found = foreground(output, logits)
        else:
            found = softmax(output) if logits else output.astype(np.float32, copy=False)
        if self.threshold == 0.5:
            return found
        more, less = found[..., 1] * (1 - self.threshold), found[..., 0] * self.threshold
        return of_two(more / (more + less))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float32."""
    logits = logits.astype(np.float32, copy=False)
    if logits.shape[-1] == 2:  # one exponential in place of two
        return of_two(1 / (1 + cv2.exp(np.clip(logits[..., 0] - logits[..., 1], -60, 60))))
    planes = planes_of(logits)  # sums and maxima over whole planes take a third of the time
    powers = cv2.exp((planes - planes.max(0)).reshape(len(planes), -1)).reshape(planes.shape)
    powers /= powers.sum(0)
    return powers.transpose(1, 2, 0)


def foreground(mask: np.ndarray, logits: bool) -> np.ndarray:
    """Background and foreground of a one-channel output, of logits through a sigmoid."""
    mask = mask[..., 0].astype(np.float32)
    return of_two(1 / (1 + np.exp(-np.clip(mask, -60, 60))) if logits else mask)


def load(
    what: str,
    *,
    size: tuple[int, int] | None = None,
    threads: int | None = None,
    precision: str = "int8",
    values: str | None = None,
    output: str | None = None,
    threshold: float = 0.5,
    trust: bool = False,
) -> Segmentation:
    """A model for frames by the name of a preset or by its file.

    Args:
        what: a preset's name, a .keras file, or an exported file (.tflite, .onnx).
        size: (height, width) that frames are stretched to, where the model leaves it open.
        threads: of the runtime; None takes one a core. A .keras file's are TensorFlow's own, set before it begins to
            work; later a `KsegWarning` says that they stay.
        precision: of a preset: "int8" (its TFLite file) or "float32" (its .keras file).
        values: what a foreign float model takes, one of `RANGES`; None: -1..1, or 0..255 for kseg's own.
        output: what the model's output is, "logits", "probabilities" or "labels"; None: what its file says, by its
            metadata or the end of its graph.
        threshold: see `Segmentation`.
        trust: open a .tflite or .onnx file without having run it in a process of its own before, where a file that
            was damaged or made to do harm crashes alone.

    Returns:
        A `Segmentation`.

    Raises:
        ModelError: no such preset or file, or one that cannot be run on images.
        SettingsError: a size the model does not take, an unknown range, a threshold of more than two classes.

    Example:

    >>> from kseg.webcam import load
    >>> load("people", size=(192, 192), precision="float32").size
    (192, 192)
    """
    if values is not None and values not in RANGES:
        raise SettingsError(f"--input-range is one of {', '.join(RANGES)}, got {values!r}")
    if output not in (None, "logits", "probabilities", "labels"):
        raise SettingsError(f"--output-kind is logits, probabilities or labels, got {output!r}")
    path = Path(what)
    if path.suffix.lower() not in (".keras", *suffixes()):
        from kseg.models import preset_file

        try:
            path = preset_file(what, "keras" if precision == "float32" else precision)
        except ModelError:
            if not path.suffix and "/" not in what:
                raise
            raise ModelError(f"{what}: expected a preset's name, or a .keras, .tflite or .onnx file") from None
    elif not path.is_file():
        raise ModelError(f"{path}: no such model file")
    elif not trust:
        check_runs(path, size)
    try:
        if path.suffix.lower() == ".keras":
            frames, working_size = keras_frames(path, threads, values, output)
            return Segmentation(frames, size or working_size, threshold)
        runtime = format_for(path).open(path, threads)
        _check_frames(runtime.metadata, path)
        frames = runtime.frames(values, size)
        frames = frames if output is None else replace(frames, output=output)
        return Segmentation(frames, size, threshold)
    except NoMap as error:
        raise ModelError(f"{path}: {error}") from None
    except KsegError:
        raise
    except Exception as error:  # each runtime has its own kinds
        raise ModelError(
            f"{path}: cannot be run on one RGB image: {' '.join(str(error).split())[:200]}"
        ) from error


def _check_frames(metadata: dict[str, Any], path: Path) -> None:
    """Errors, as of a .keras file, where an exported file takes no RGB frames of 0-255, or its classes overlap."""
    given = metadata.get("input") or {}
    channels, (low, high) = given.get("channels", "RGB"), given.get("range", (0, 255))
    if (channels, low, high) != ("RGB", 0, 255):
        raise ModelError(f"{path} takes images of {channels} channels of {low:g} to {high:g}; expected RGB, 0 to 255")
    if metadata.get("multilabel"):
        raise SettingsError(f"The classes of {path} overlap, and the webcam needs one class a pixel")


def keras_frames(
    path: Path, threads: int | None, values: str | None = None, output: str | None = None
) -> tuple[Frames, tuple[int, int] | None]:
    """A .keras file as a compiled graph that gives probabilities, and the size that it takes or works at."""
    from kseg.inference.checks import check_one_class
    from kseg.inference.forward import Forward, limit_threads
    from kseg.inference.model_info import check_rgb, inspect_model
    from kseg.models import load as load_keras

    if threads is not None:
        limit_threads(threads)
    model = load_keras(path)
    info = check_rgb(inspect_model(model, output))
    check_one_class(info, "the webcam")
    forward = Forward(model, info=info)
    range_ = RANGES[values or "0..255"]
    frames = Frames(
        lambda image: forward.run(scaled(image[None], range_))[0],
        info.size,
        "probabilities",
        getattr(model, "classes", None),
        getattr(model, "palette", None),
    )
    return frames, info.size or getattr(model, "working_size", None)
