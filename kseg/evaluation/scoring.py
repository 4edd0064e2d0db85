"""`evaluate`: a model's scores on a data set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from kseg.data import Dataset, as_dataset
from kseg.data.masks import kind_of
from kseg.errors import DataError, ModelError, SettingsError
from kseg.evaluation.boundary import BoundaryF1, TrimapIoU
from kseg.evaluation.overlap_report import OverlapReport
from kseg.evaluation.report import Report, WorstImage
from kseg.inference.checks import check_images, checked_image
from kseg.metrics import class_confusions, confusion_matrix
from kseg.progress import Progress

if TYPE_CHECKING:
    import keras

    from kseg.inference import Ensemble, FilePredictor, Predictor, ProposalPredictor

    AnyPredictor = Predictor | FilePredictor | ProposalPredictor | Ensemble

BATCH_PIXELS = 2_000_000  # images of one size are predicted together up to this many pixels
BATCH_IMAGES = 8
AHEAD = 4  # images read while the model works

Item = tuple[int, np.ndarray, np.ndarray]


def evaluate(
    model_or_predictor: keras.Model | AnyPredictor,
    dataset: Any,
    *,
    worst: int = 8,
    limit: int | None = None,
    boundaries: bool = False,
    batch_size: int | None = None,
    progress: Progress | None = None,
    output: str | None = None,
) -> Report:
    """Predict every image of a data set at its own size and compare with its mask, pixel by pixel.

    Args:
        model_or_predictor: a Keras model with class logits, or a predictor (`Predictor`, `FilePredictor`,
            `ProposalPredictor`, `Ensemble`) with the test protocol wanted.
        dataset: a `kseg.data.Dataset`, or what `kseg.data.as_dataset` takes, whose classes are then the model's:
            `(x, y)`, a `tf.data.Dataset` or a `keras.utils.PyDataset` of (images, masks).
        worst: number of worst images that the report lists.
        limit: evaluate only this many images, evenly spaced over the data set; None takes all.
        boundaries: whether to score the edges too (trimap IoU and boundary F1), which takes some time.
        batch_size: number of consecutive images of one size that are predicted together; None takes as many
            as have two megapixels, at most 8.
        progress: called with (images done, images in all).
        output: what a model's output is: "logits", "probabilities" or "labels"; None: what its graph says
            (`kseg.inference.inspect_model`). A predictor knows it already.

    Returns:
        A `Report`.

    Raises:
        ModelError: the model's classes are not the data set's.
        DataError: an image or mask that cannot be read or used (names the file), a data set without images or
            without a labelled pixel.
        SettingsError: a `limit`, `worst` or `batch_size` that makes no sense.

    Example:

    >>> images, masks = np.zeros((2, 32, 32, 3), "uint8"), np.ones((2, 32, 32), "uint8")
    >>> data = kseg.data.from_arrays(images, masks, classes=["background", "person"])
    >>> report = kseg.evaluation.evaluate(kseg.models.from_preset("people"), data)
    >>> report.images, report.confusion.sum()
    (2, np.int64(2048))
    """
    predictor = model_or_predictor
    if not hasattr(predictor, "probabilities"):
        from kseg.inference import Predictor

        predictor = Predictor(model_or_predictor, output=output)
    elif output is not None:
        raise SettingsError("`output` says what a model gives; a predictor takes it when it is made")
    dataset = labelled_data(predictor, dataset)
    _check(predictor, dataset, worst, limit, batch_size, boundaries)
    count = min(limit or len(dataset), len(dataset))
    indices = [len(dataset) * i // count for i in range(count)]  # evenly spaced
    scores = _Scores(dataset, boundaries)
    for batch in _batches(_loaded(dataset, indices, getattr(predictor, "info", None)), batch_size):
        predictions = predictor.batch(np.stack([image for _, image, _ in batch]))
        for (index, _, labels), predicted in zip(batch, predictions, strict=True):
            scores.add(index, labels, predicted)
            if progress is not None:
                progress(len(scores.by_image), count)
    return scores.report(worst)


class _Scores:
    """Counts of all images seen, and the mean IoU of each one."""

    def __init__(self, dataset: Dataset, boundaries: bool) -> None:
        classes, ignored = dataset.num_classes, dataset.ignore_label
        self.dataset = dataset
        self.kind, self.count = Report, partial(confusion_matrix, num_classes=classes)
        if kind_of(dataset).multilabel:
            self.kind, self.count = OverlapReport, class_confusions
        self.edges = (TrimapIoU(classes, ignored), BoundaryF1(classes, ignored)) if boundaries else ()
        self.confusion: Any = 0
        self.by_image: dict[int, float] = {}

    def add(self, index: int, labels: np.ndarray, predicted: np.ndarray) -> None:
        confusion = self.count(labels, predicted, ignore_label=self.dataset.ignore_label)
        self.confusion = self.confusion + confusion
        counted = confusion.any()
        self.by_image[index] = self.kind(self.dataset.classes, confusion, 1).mean_iou if counted else math.nan
        for measure in self.edges:
            measure.update(labels, predicted)

    def report(self, worst: int) -> Report:
        """The scores of all images together, and which had the lowest; DataError where no pixel counted."""
        dataset, count = self.dataset, len(self.by_image)
        if not self.confusion.any():
            raise DataError(
                f"The data set {dataset.name} {dataset.split} has no labelled pixel in {count} images: all are "
                f"{dataset.ignore_label}, which is ignored, so there is nothing to score"
            )
        lowest = sorted((score, index) for index, score in self.by_image.items() if not math.isnan(score))
        return self.kind(
            classes=tuple(dataset.classes),
            confusion=self.confusion,
            images=count,
            dataset=f"{dataset.name} {dataset.split}".strip(),
            worst=tuple(WorstImage(index, dataset.name_of(index), score) for score, index in lowest[:worst]),
            trimap=tuple(self.edges[0].curve().tolist()) if self.edges else (),
            boundary_f1=self.edges[1].result() if self.edges else None,
        )


def _check(
    predictor: AnyPredictor,
    dataset: Dataset,
    worst: int,
    limit: int | None,
    batch_size: int | None,
    boundaries: bool,
) -> None:
    if worst < 0 or (limit is not None and limit < 1) or (batch_size is not None and batch_size < 1):
        raise SettingsError(
            "worst is 0 or more, limit and batch_size 1 or more (or None); got "
            f"worst={worst}, limit={limit}, batch_size={batch_size}"
        )
    if not len(dataset):
        raise DataError(f"The data set {dataset.name} {dataset.split} has no images to evaluate on")
    if boundaries and kind_of(dataset).multilabel:
        raise SettingsError("boundaries are of data whose pixels have one class each")
    if (info := getattr(predictor, "info", None)) is not None:
        check_images(info, dataset)
    check_classes(predictor, dataset)


def _loaded(dataset: Dataset, indices: Sequence[int], info: Any) -> Iterator[Item]:
    """Images and masks in order, a few read and checked ahead in a thread while the model works."""

    def load(index: int) -> Item:
        image, labels = dataset.load(index)
        try:
            checked_image(image, info)
        except DataError as error:
            raise DataError(f"{dataset.name_of(index)}: {error}") from None
        return index, image, labels

    with ThreadPoolExecutor(1) as reader:
        waiting = []
        for index in indices:
            waiting.append(reader.submit(load, index))
            if len(waiting) > AHEAD:
                yield waiting.pop(0).result()
        for loading in waiting:
            yield loading.result()


def _batches(items: Iterator[Item], batch_size: int | None) -> Iterator[list[Item]]:
    """Runs of images of one size."""
    batch: list[Item] = []
    most = 0
    for item in items:
        if batch and (item[1].shape != batch[0][1].shape or len(batch) >= most):
            yield batch
            batch = []
        if not batch:
            height, width = item[1].shape[:2]
            most = batch_size or min(max(BATCH_PIXELS // (height * width), 1), BATCH_IMAGES)
        batch.append(item)
    if batch:
        yield batch


def labelled_data(predictor: AnyPredictor, data: Any) -> Dataset:
    """The data set that `data` is, of the predictor's classes where it does not say its own."""
    model, count = getattr(predictor, "model", None), predictor.num_classes
    named = len(getattr(model, "classes", None) or ()) == count
    colours = len(getattr(model, "palette", None) or ()) == count
    info, kind = getattr(predictor, "info", None), {}
    if info is not None:
        kind = {"channels": info.channels, "value_range": info.value_range, "multilabel": info.multilabel}
    return as_dataset(data, model.classes if named else count, palette=model.palette if colours else None, **kind)


def check_classes(predictor: AnyPredictor, dataset: Dataset) -> None:
    """ModelError where a predictor's classes are not the data set's, or stand in another order."""
    ours, theirs = getattr(predictor.model, "classes", None), tuple(dataset.classes)
    reordered = ours is not None and sorted(ours) == sorted(theirs) and tuple(ours) != theirs
    if predictor.num_classes != len(theirs) or reordered:
        raise ModelError(
            f"The model was made for {predictor.num_classes} classes{_listed(ours)}, the data set "
            f"{dataset.name} has {len(theirs)}{_listed(theirs)}: evaluate it on data with the classes it was trained on"
        )


def _listed(classes: Sequence[str] | None) -> str:
    if not classes:
        return ""
    shown = list(islice(classes, 12))
    return f" ({', '.join(shown)}{', ...' if len(classes) > len(shown) else ''})"
