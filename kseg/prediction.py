"""`predict` and `predictor`: a trained model used on anything, as the command line uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kseg.checks import pair
from kseg.errors import DataError, SettingsError
from kseg.export.formats import suffixes

if TYPE_CHECKING:
    from kseg.inference.result import Result

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
    """The predictor that `kseg predict` and `kseg evaluate` build of the same settings.

    Args:
        model: a Keras model, the path of a .keras file, or the name of a preset; or the path of a .tflite or .onnx
            file, which takes `size`, `crf`, `output` and `threshold` of these settings.
        scales, flip, window, pad, size, long_side, output, threshold: see `kseg.inference.Predictor`.
        fuse: how several scales are joined: "mean" of their probabilities, or "max", the highest scores, as DeepLab
            v2 does (`kseg.models.MultiScale`).
        proposals: predict so many object proposals one by one (`kseg.inference.ProposalPredictor`).
        proposal_size: (height, width) that a proposal is warped to; None: the size that the model works at, that of
            the crops it was trained on (the recipe beside its file), or 224.
        smallest, join: of the proposals, see `ProposalPredictor`.
        ensemble: other models for the same classes, predicted as whole images and joined with the first
            (`kseg.inference.Ensemble`).
        ensemble_mode: "mean" or "product" of their probabilities.
        crf: called with (image, probabilities) at the end, such as `kseg.inference.DenseCRF()`.
        trust: open a .tflite or .onnx file without trying it in a process of its own first.

    Returns:
        A `Predictor`, `ProposalPredictor`, `Ensemble` or `FilePredictor`: called with an image it gives labels,
        `probabilities(image)` the probabilities.

    Raises:
        SettingsError: settings that do not go together. ModelError: no such model, or one that does not fit.

    Example:
        ```python
        predict = kseg.predictor("runs/voc/best.keras", scales=(0.5, 1.0, 1.5), flip=True)
        labels = predict(image)
        ```
    """
    if fuse not in FUSIONS:
        raise SettingsError(f"Scales are joined by {' or '.join(FUSIONS)}; got fuse={fuse!r}")
    if pad and window is None:
        raise SettingsError("pad (--pad) fills images up to the window: give --window too")
    whole = bool(window or flip or size or long_side or pad or fuse != "mean" or list(scales) != [1.0])
    if threshold != 0.5 and (proposals or ensemble):
        raise SettingsError("A threshold (--threshold) goes with one model, without --proposals or --ensemble")
    if proposals and whole and not ensemble:
        raise SettingsError(
            "--scales, --fuse, --flip, --window, --pad, --size and --long-side are for whole images, not for "
            "--proposals, whose size is --proposal-size"
        )
    if isinstance(model, str | Path) and Path(model).suffix.lower() in suffixes():
        if proposals or ensemble or window or flip or long_side or pad or list(scales) != [1.0]:
            raise SettingsError(
                f"{model}: only size, crf, output and threshold go with an exported file; give the .keras file"
            )
        size = None if size is None else pair(size, "size")
        return file_predictor(Path(model), size, output, crf, trust, threshold)

    from kseg.inference import Ensemble, Predictor, ProposalCache, ProposalPredictor
    from kseg.inference.proposals.cache import default_cache_folder

    def of_whole_images(model: Any, crf: Any) -> Predictor:
        used = tuple(scales)
        if fuse == "max":
            from kseg.models import MultiScale

            model, used = MultiScale(model, used), (1.0,)
        return Predictor(
            model,
            used,
            flip,
            window,
            crf,
            pad=pad,
            size=size,
            long_side=long_side,
            output=output,
            threshold=threshold,
        )

    def of_proposals(model: Any, crf: Any) -> ProposalPredictor:
        return ProposalPredictor(
            model,
            size=proposal_size or getattr(model, "working_size", None) or trained,
            best=proposals,
            smallest=smallest,
            mode=join,
            propose=ProposalCache(default_cache_folder()),
            crf=crf,
            output=output,
        )

    trained = trained_size(Path(model)) if isinstance(model, str | Path) else PUBLISHED_SIZE
    first = of_proposals if proposals else of_whole_images
    if not ensemble:
        return first(_loaded(model), crf)
    others = [of_whole_images(_loaded(one), None) for one in ensemble]
    return Ensemble([first(_loaded(model), None), *others], ensemble_mode, crf)


def file_predictor(
    path: Path,
    size: tuple[int, int] | None = None,
    output: str | None = None,
    crf: Any = None,
    trust: bool = False,
    threshold: float = 0.5,
) -> Any:
    """A `FilePredictor` on a .tflite or .onnx file, which needs neither TensorFlow nor Keras.

    Args:
        path: the file.
        size: (height, width) that images are brought to, where the file leaves it open.
        output: what its values are; None: what the file says.
        crf: called with (image, probabilities) at the end.
        trust: open the file without trying it in a process of its own first.
        threshold: above which probability a pixel is class 1, of one channel or two classes.
    """
    from kseg.export.formats import format_for
    from kseg.inference.file_predictor import FilePredictor
    from kseg.io.untrusted import check_runs

    size = None if size is None else tuple(size)
    if not trust:
        check_runs(path, size)
    runtime = format_for(path).open(path)
    if size is not None and runtime.size is not None and size != runtime.size:
        raise SettingsError(
            f"--size: {path} takes {runtime.size[0]}x{runtime.size[1]} pixels only, not {size[0]}x{size[1]}"
        )
    classes, palette = runtime.metadata.get("classes"), runtime.metadata.get("palette")
    if runtime.size is None and size is None and runtime.metadata:  # kseg's own: images at their own size
        def whole(image: np.ndarray) -> np.ndarray:
            return runtime(image[None])[0]

        return FilePredictor(whole, output or runtime.output, None, classes, palette, crf, threshold)
    frames = runtime.frames(None, size)
    brought = frames.size or size or (256, 256)
    return FilePredictor(frames, output or frames.output, brought, classes, palette, crf, threshold)


def _loaded(model: Any) -> Any:
    from kseg.models import load_trained

    return load_trained(str(model)) if isinstance(model, str | Path) else model


def trained_size(model: Path) -> tuple[int, int]:
    """The size of the crops that a run's model was trained on, by the recipe.json beside it; else the paper's 224."""
    if not model.is_file():  # a preset by its name
        return PUBLISHED_SIZE
    try:
        recipe = json.loads(model.with_name("recipe.json").read_text(encoding="utf-8"))["recipe"]
        height, width = recipe["size"] if recipe["crops"] else PUBLISHED_SIZE
        return int(height), int(width)
    except (OSError, ValueError, TypeError, KeyError):  # no run folder, or an older one
        return PUBLISHED_SIZE


def predict(model: Any, source: Any, **settings: Any) -> Result | list[Result] | Iterator[Result]:
    """Predict anything that holds images.

    Args:
        model: a Keras model, the path of a .keras file, the name of a preset, or a predictor.
        source: one image: a path, the bytes of a file, a PIL image, an array `(height, width, 3)`. Several: an array
            `(batch, height, width, 3)`, or a list or tuple of such. A folder, a pattern such as ``"photos/*.jpg"``, a
            video's path, the number of a camera, or anything that can be iterated.
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
    from kseg.inference.results import camera, result_of

    if hasattr(model, "probabilities"):
        if settings:
            raise SettingsError(f"A predictor has its settings; {', '.join(settings)} came with it")
        used = model
    else:
        used = predictor(model, **settings)
    if isinstance(source, str | Path):
        return _of_path(used, Path(source))
    if isinstance(source, bool | float):
        raise DataError(f"Expected images to predict; got {source!r}")
    if isinstance(source, int):
        return (result_of(used, image) for image in camera(source))
    if isinstance(source, np.ndarray) and source.ndim == 4:
        return [result_of(used, image) for image in source]
    if isinstance(source, list | tuple):
        if source and all(isinstance(one, list | tuple | int | float) for one in source):
            raise DataError(
                "Expected images; got nested lists of numbers: make an array of them, np.array(images)"
            )
        return [result_of(used, one) for one in source]
    if isinstance(source, bytes | bytearray | np.ndarray) or hasattr(source, "getexif"):
        return result_of(used, source)
    if hasattr(source, "__array__"):
        return predict(used, np.asarray(source))
    if hasattr(source, "__iter__"):
        return (result_of(used, one) for one in source)
    raise DataError(f"Expected images to predict; got {type(source).__name__}")


def _of_path(used: Any, path: Path) -> Any:
    from kseg.inference.files.images import find_images
    from kseg.inference.results import frames, result_of
    from kseg.io.video import SUFFIXES

    if path.suffix.lower() in SUFFIXES and path.is_file():
        return (result_of(used, image) for image in frames(path))
    if path.is_file():
        return result_of(used, path)
    found = find_images(path, Path())  # says what is wrong before the first is asked for
    return (result_of(used, one) for one in found)
