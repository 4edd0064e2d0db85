"""`tune_crf`: the settings of a dense CRF that fit a model and a data set."""

from __future__ import annotations

import inspect
from typing import Any

from kseg.checks import whole
from kseg.errors import DataError, SettingsError
from kseg.evaluation.scoring import check_classes, labelled_data
from kseg.inference import Predictor, search_crf
from kseg.io.memory import GIB, free_memory
from kseg.progress import Progress

SHARE = 0.5  # of the free memory that the probabilities may take


def tune_crf(
    model_or_predictor: Any,
    dataset: Any,
    *,
    limit: int = 20,
    predicting: Progress | None = None,
    **search: Any,
) -> Any:
    """Find the settings of a dense CRF that give a model the highest mean IoU, as `kseg tune-crf` does.

    Images, evenly spaced over the data set, are predicted once; a grid of settings is then tried on their
    probabilities. Measure the result on other images than these.

    Args:
        model_or_predictor: a Keras model, or a predictor without a CRF.
        dataset: a `kseg.data.Dataset`, or what `kseg.data.as_dataset` takes: `(x, y)`, a `tf.data.Dataset`, a
            `keras.utils.PyDataset`.
        limit: how many images are used.
        predicting: called with (images predicted, images in all).
        **search: the grids and other arguments of `kseg.inference.search_crf`.

    Returns:
        A `kseg.inference.SearchResult`; its `best` is a `DenseCRF` for `Predictor(crf=)`.

    Raises:
        DataError: no images, or an image or mask that cannot be used.
        ModelError: the model's classes are not the data set's.
        SettingsError: as `search_crf`; or more probabilities than half of the free memory holds.

    Example:

    ```python
    found = kseg.evaluation.tune_crf(model, (x_val, y_val), limit=50)
    labels = kseg.inference.Predictor(model, crf=found.best)(image)
    ```
    """
    inspect.signature(search_crf).bind(None, **search)  # a wrong name is reported before the images are predicted
    predictor = model_or_predictor
    if not hasattr(predictor, "probabilities"):
        predictor = Predictor(predictor)
    dataset = labelled_data(predictor, dataset)
    check_classes(predictor, dataset)
    if not len(dataset):
        raise DataError(f"{dataset.name}: the {dataset.split} split has no images to search on")
    count = min(whole(limit, "limit"), len(dataset))
    samples = []
    for number in range(count):
        image, labels = dataset.load(len(dataset) * number // count)
        need = image.shape[0] * image.shape[1] * predictor.num_classes * 4 * (count - number)
        if need > SHARE * free_memory():
            raise SettingsError(
                f"the probabilities of the images left would take about {need / GIB:.1f} GiB, more than half of the "
                "free memory; give a smaller limit (--limit)"
            )
        samples.append((image, predictor.probabilities(image), labels))
        if predicting is not None:
            predicting(number + 1, count)
    return search_crf(samples, **{"ignore_label": dataset.ignore_label, **search})
