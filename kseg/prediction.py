"""`predict` and `predictor`: a trained model used on anything, as the command line uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kseg.checks import pair
from kseg.errors import DataError, SettingsError
from kseg.export.formats import suffixes

if TYPE_CHECKING:
    from kseg.inference.results.result import Result

PUBLISHED_SIZE = (224, 224)  # of DeconvNet's proposals
FUSIONS = ("mean", "max")


def predictor(
    model: Any,
    *,
    scales: Sequence[float] = (1.0,),
    fuse: str = "mean",
    flip: bool = False,
    window: int | tuple[int, int] | None = None,
    pad: bool = False,
    size: int | tuple[int, int] | None = None,
    long_side: int | None = None,
    proposals: int | None = None,
    proposal_size: int | tuple[int, int] | None = None,
    smallest: int = 112,
    join: str = "max",
    ensemble: Sequence[Any] = (),
    ensemble_mode: str = "mean",
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    output: str | None = None,
    threshold: float = 0.5,
    trust: bool = False,
) -> Any:
    """Make the predictor that `kseg predict` and `kseg evaluate` build of the same settings.

    Args:
        model: a Keras model, the path of a .keras file, or the name of a preset; or the path of a .tflite or
            .onnx file, which takes `size`, `crf`, `output` and `threshold` of these settings.
        scales: the image is predicted at each of these factors of its size.
        fuse: how several scales are joined: "mean" of their probabilities, or "max", the highest scores, as
            DeepLab v2 does (`kseg.models.MultiScale`).
        flip: average with the prediction of the mirrored image.
        window: (height, width), or one integer: predict in windows of this size, see
            `kseg.inference.Predictor`.
        pad: fill images smaller than the window up to it.
        size: (height, width), or one integer, that images are resized to.
        long_side: length in pixels that the longer side of images is resized to.
        proposals: how many object proposals to predict one by one (`kseg.inference.ProposalPredictor`).
        proposal_size: (height, width) that a proposal is warped to; None: the size that the model works at,
            that of the crops it was trained on (the recipe beside its file), or 224.
        smallest: proposals whose shorter side is below this many pixels are skipped.
        join: how proposals are joined, "max" or "sum" of their logits.
        ensemble: other models for the same classes, predicted as whole images and joined with the first
            (`kseg.inference.Ensemble`).
        ensemble_mode: "mean" or "product" of their probabilities.
        crf: called with (image, probabilities) at the end, such as `kseg.inference.DenseCRF()`.
        output: what the model's output is: "logits", "probabilities" or "labels"; None: what its graph or
            file says.
        threshold: above which probability a pixel is class 1, of a model of one channel or two classes.
        trust: open a .tflite or .onnx file without trying it in a process of its own first.

    Returns:
        A `Predictor`, `ProposalPredictor`, `Ensemble` or `FilePredictor`: called with an image it gives labels,
        `probabilities(image)` the probabilities.

    Raises:
        SettingsError: settings that do not go together.
        ModelError: no such model, or one that does not fit.

    Example:
        ```python
        predict = kseg.predictor("runs/voc/best.keras", scales=(0.5, 1.0, 1.5), flip=True)
        labels = predict(image)
        ```
    """
    whole = _WholeImages(tuple(scales), fuse, flip, window, pad, size, long_side, output, threshold)
    if threshold != 0.5 and (proposals or ensemble):
        raise SettingsError("A threshold (--threshold) is for one model, not for --proposals or --ensemble")
    if proposals and whole != _WholeImages(output=output) and not ensemble:
        raise SettingsError(
            "--scales, --fuse, --flip, --window, --pad, --size and --long-side are for whole images, not for "
            "--proposals, whose size is --proposal-size"
        )
    if isinstance(model, str | Path) and Path(model).suffix.lower() in suffixes():
        of_files = _WholeImages(fuse=fuse, size=size, output=output, threshold=threshold)
        if proposals or ensemble or whole != of_files:
            raise SettingsError(
                f"{model}: only size, crf, output and threshold go with an exported file; give the .keras file"
            )
        return file_predictor(Path(model), size, output, crf, trust, threshold)

    from kseg.inference import Ensemble, ProposalCache, ProposalPredictor
    from kseg.inference.proposals.cache import default_cache_folder

    others = [whole.predictor(_loaded(one)) for one in ensemble]
    used, own = _loaded(model), None if ensemble else crf
    if proposals:
        size = proposal_size or getattr(used, "working_size", None) or trained_size(model)
        settings = {"best": proposals, "smallest": smallest, "mode": join, "output": output}
        settings["propose"] = ProposalCache(default_cache_folder())
        first = ProposalPredictor(used, size=size, crf=own, **settings)
    else:
        first = whole.predictor(used, own)
    return Ensemble([first, *others], ensemble_mode, crf) if ensemble else first


@dataclass(frozen=True)
class _WholeImages:
    """How whole images are predicted: at which sizes and scales, in which windows."""

    scales: tuple[float, ...] = (1.0,)
    fuse: str = "mean"
    flip: bool = False
    window: int | tuple[int, int] | None = None
    pad: bool = False
    size: int | tuple[int, int] | None = None
    long_side: int | None = None
    output: str | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.fuse not in FUSIONS:
            raise SettingsError(f"Scales are joined by {' or '.join(FUSIONS)}; got fuse={self.fuse!r}")
        if self.pad and self.window is None:
            raise SettingsError("pad (--pad) fills images up to the window: give --window too")

    def predictor(self, model: Any, crf: Any = None) -> Any:
        """A `Predictor` of a model."""
        from kseg.inference import Predictor

        scales = self.scales
        if self.fuse == "max":
            from kseg.models import MultiScale

            model, scales = MultiScale(model, scales), (1.0,)
        more = {name: getattr(self, name) for name in ("pad", "size", "long_side", "output", "threshold")}
        return Predictor(model, scales, self.flip, self.window, crf, **more)


def file_predictor(
    path: Path,
    size: int | tuple[int, int] | None = None,
    output: str | None = None,
    crf: Any = None,
    trust: bool = False,
    threshold: float = 0.5,
) -> Any:
    """Make a `FilePredictor` of a .tflite or .onnx file, which needs neither TensorFlow nor Keras.

    Args:
        path: the file.
        size: (height, width), or one integer, that images are resized to, where the file leaves it open.
        output: what its values are; None: what the file says.
        crf: called with (image, probabilities) at the end.
        trust: open the file without trying it in a process of its own first.
        threshold: above which probability a pixel is class 1, of one channel or two classes.
    """
    from kseg.export.formats import format_of
    from kseg.inference.file_predictor import FilePredictor
    from kseg.io.untrusted import check_runs

    size = None if size is None else pair(size, "size")
    if not trust:
        check_runs(path, size)
    runtime = format_of(path).open(path)
    if size is not None and runtime.size is not None and size != runtime.size:
        raise SettingsError(
            f"--size: {path} takes {runtime.size[0]}x{runtime.size[1]} pixels only, not {size[0]}x{size[1]}"
        )
    classes, palette = runtime.metadata.get("classes"), runtime.metadata.get("palette")
    info = file_info(runtime.metadata, path)
    own = not info.is_rgb or info.multilabel
    if own or (runtime.size is None and size is None and runtime.metadata):  # kseg's own: images at their own size

        def whole(image: np.ndarray) -> np.ndarray:
            found = runtime(image[None])[0]
            return found.astype(np.float32) if info.multilabel else found

        working = (runtime.size or size) if own else None
        return FilePredictor(whole, output or runtime.output, working, classes, palette, crf, threshold, info)
    frames = runtime.frames(None, size)
    working = frames.size or size or (256, 256)
    return FilePredictor(frames, output or frames.output, working, classes, palette, crf, threshold)


def file_info(metadata: dict[str, Any], path: Path) -> Any:
    """What an exported file takes and gives, by its metadata; RGB of 0-255 where it has none."""
    from kseg.inference.file_predictor import FileInfo

    given = metadata.get("input") or {}
    channels, values = given.get("channels", "RGB"), given.get("range", (0, 255))
    return FileInfo(
        name=path.name,
        channels=3 if channels == "RGB" else int(channels),
        value_range=tuple(map(float, values)),
        multilabel=bool(metadata.get("multilabel")),
    )


def _loaded(model: Any) -> Any:
    from kseg.models import load_trained

    return load_trained(str(model)) if isinstance(model, str | Path) else model


def trained_size(model: Any) -> tuple[int, int]:
    """The size of the crops that a run's model was trained on, by the recipe.json beside it; else the paper's 224."""
    if not isinstance(model, str | Path) or not Path(model).is_file():  # a model, or a preset by its name
        return PUBLISHED_SIZE
    try:
        recipe = json.loads(Path(model).with_name("recipe.json").read_text(encoding="utf-8"))["recipe"]
        height, width = recipe["size"] if recipe["crops"] else PUBLISHED_SIZE
        return int(height), int(width)
    except (OSError, ValueError, TypeError, KeyError):  # no run folder, or an older one
        return PUBLISHED_SIZE


def predict(model: Any, source: Any, **settings: Any) -> Result | list[Result] | Iterator[Result]:
    """Predict anything that holds images.

    Args:
        model: a Keras model, the path of a .keras file, the name of a preset, or a predictor.
        source: one image: a path, the bytes of a file, a file open in binary mode, a PIL image, an array
            `(height, width, 3)`. Several: an array `(batch, height, width, 3)`, or a list or tuple of such; `(x, y)`
            of arrays as Keras takes them. A folder, a pattern such as ``"photos/*.jpg"``, a video's path, the number of
            a camera, a data set (`kseg.data.Dataset`, `tf.data.Dataset`, `PyDataset`), or anything that can be
            iterated. Of (image, mask) the image is predicted.
        **settings: of `predictor`.

    Returns:
        A `Result` for one image, a list for a batch or list, an iterator for everything else, which predicts when it
        is asked for the next.

    Raises:
        DataError: what is not an image. SettingsError, ModelError: see `predictor`.

    Example:
        ```python
        result = kseg.predict("people", "photo.jpg")
        result.labels, result.areas(), result.polygons()
        for result in kseg.predict("people", "holiday/"):
            result.save(f"masks/{result.path.stem}.png")
        ```
    """
    from kseg.inference.files.images import find_images
    from kseg.inference.results.sources import camera, frames, images_in, result_of
    from kseg.io.video import SUFFIXES

    is_predictor = hasattr(model, "probabilities")
    if is_predictor and settings:
        raise SettingsError(f"A predictor has settings of its own: leave out {', '.join(settings)}")
    used = model if is_predictor else predictor(model, **settings)
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            found = find_images(path, Path())  # says what is wrong before the first is asked for
            return (result_of(used, one) for one in found)
        if path.suffix.lower() in SUFFIXES:
            return (result_of(used, image) for image in frames(path))
        return result_of(used, path)
    if isinstance(source, bool | float):
        raise DataError(f"Expected images to predict; got {source!r}")
    if isinstance(source, int):
        return (result_of(used, image) for image in camera(source))
    if isinstance(source, np.ndarray) and source.ndim == 4:
        return [result_of(used, image) for image in source]
    if isinstance(source, list | tuple):
        if source and all(map(_of_numbers, source)):
            raise DataError(
                "Expected images; got nested lists of numbers: make an array of them, np.array(images)"
            )
        return [result_of(used, one) for one in images_in(source)]
    open_file = hasattr(source, "read") and not hasattr(source, "__getitem__")
    if isinstance(source, bytes | bytearray | np.ndarray) or hasattr(source, "getexif") or open_file:
        return result_of(used, source)
    if hasattr(source, "__array__"):
        return predict(used, np.asarray(source))
    if isinstance(source, Mapping):
        raise DataError(f"Expected images to predict; got a dict with the keys {', '.join(map(str, source))}")
    if hasattr(source, "__iter__") or hasattr(source, "__getitem__"):
        return (result_of(used, one) for one in images_in(source))
    raise DataError(f"Expected images to predict; got {type(source).__name__}")


def _of_numbers(value: Any) -> bool:
    """Whether a value is a number or nested lists of numbers."""
    if isinstance(value, list | tuple):
        return all(map(_of_numbers, value[:1]))
    return isinstance(value, int | float)
