"""Search of a dense CRF's bilateral parameters on a few validation images, as DeepLab did."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.inference.crf.dense_crf import DenseCRF
from kseg.inference.crf.kernels import bilateral_kernel
from kseg.metrics import confusion_matrix, mean_iou

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]
NAMES = ("bilateral_weight", "bilateral_xy_std", "bilateral_rgb_std")


@dataclass(frozen=True)
class Trial:
    """One setting that was tried and its mean IoU on the samples."""

    bilateral_weight: float
    bilateral_xy_std: float
    bilateral_rgb_std: float
    mean_iou: float


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        best: the CRF of the highest mean IoU; of equals the one tried first.
        mean_iou: its mean IoU.
        without: mean IoU of the probabilities as they are.
        trials: everything tried, in order.

    Example:
    ```python
    found = kseg.inference.search_crf(samples)
    print(f"{found.without:.4f} -> {found.mean_iou:.4f}")
    predict = kseg.inference.Predictor(model, crf=found.best)
    ```
    """

    best: DenseCRF
    mean_iou: float
    without: float
    trials: tuple[Trial, ...]


def search_crf(
    samples: Sequence[Sample],
    *,
    crf: DenseCRF | None = None,
    weights: Sequence[float] = (5, 6, 7, 8, 9, 10),
    xy_stds: Sequence[float] = (50, 60, 70, 80, 90, 100),
    rgb_stds: Sequence[float] = (3, 4, 5, 6, 7, 8, 9, 10),
    refinements: int = 1,
    ignore_label: int = 255,
    progress: Callable[[Trial], None] | None = None,
) -> SearchResult:
    """Find the bilateral kernel of the highest mean IoU, on a coarse grid and then on finer ones around the best.

    The spatial kernel stays as it is. Each refinement tries the best setting with its neighbours at half the
    last step, in all three parameters. One lattice is built for an image and a pair of standard deviations,
    and every weight runs on it; images are refined whole, whatever `tile` says.

    The default grid is the paper's first one, 288 settings: thin it out, or take few images, where time is
    short.

    Args:
        samples: a list of (image, probabilities, labels), gone through again and again: image (height, width, 3),
            probabilities (height, width, classes), integer labels (height, width).
        crf: the CRF to start from (its spatial kernel, iterations and so on), `DenseCRF()` where None.
        weights, xy_stds, rgb_stds: the coarse grid.
        refinements: how often the steps are halved.
        ignore_label: label of pixels that do not count.
        progress: called with every trial as it ends.

    Returns:
        `SearchResult`.

    Raises:
        DataError: no samples, samples that the CRF would refuse, labels of another size or outside the classes, or
            none at all.
        SettingsError: an empty grid, a value out of its range, or an image over the CRF's `memory_limit`.

    Reference:
        Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR
        2015, section 4.1 (100 validation images, 10 iterations).

    Example:
    ```python
    samples = [(image, predictor.probabilities(image), labels) for image, labels in validation]
    found = kseg.inference.search_crf(samples, weights=(4, 6), xy_stds=(40, 60), rgb_stds=(3, 5))
    found.best, found.mean_iou, found.without
    ```
    """
    crf = DenseCRF() if crf is None else crf
    grids = [sorted(set(map(float, grid))) for grid in (weights, xy_stds, rgb_stds)]
    if not all(grids):
        raise SettingsError("search_crf needs at least one value for each of weights, xy_stds and rgb_stds")
    if not isinstance(refinements, int | np.integer) or refinements < 0:
        raise SettingsError(f"refinements of search_crf is a whole number from 0 on, got {refinements!r}")
    classes = _check_samples(samples, crf, ignore_label)
    counts = sum(confusion_matrix(y, p.argmax(-1), classes, ignore_label) for _, p, y in samples)
    if not counts.sum():
        raise DataError("search_crf needs pixels with a label to compare, the samples have none")
    without = mean_iou(counts)

    tried: dict[tuple[float, ...], Trial] = {}
    steps = [min(np.diff(grid), default=0.0) for grid in grids]
    for _ in range(refinements + 1):
        settings = [s for s in itertools.product(*grids) if s not in tried]
        for trial in _try(samples, crf, settings, classes, ignore_label):
            tried[trial.bilateral_weight, trial.bilateral_xy_std, trial.bilateral_rgb_std] = trial
            if progress is not None:
                progress(trial)
        best = max(tried, key=lambda setting: tried[setting].mean_iou)
        steps = [step / 2 for step in steps]
        grids = [
            sorted({value + k * step for k in (-1, 0, 1) if value + k * step > 0})
            for value, step in zip(best, steps, strict=True)
        ]
    found = replace(crf, **dict(zip(NAMES, best, strict=True)))
    return SearchResult(found, tried[best].mean_iou, without, tuple(tried.values()))


def _try(
    samples: Sequence[Sample], crf: DenseCRF, settings: list, classes: int, ignore_label: int
) -> Iterable[Trial]:
    """Try settings, all weights of a pair of standard deviations on one lattice."""
    ordered = sorted(settings, key=lambda setting: setting[1:])
    for stds, group in itertools.groupby(ordered, key=lambda setting: setting[1:]):
        group = list(group)
        candidates = [replace(crf, **dict(zip(NAMES, setting, strict=True))) for setting in group]
        totals = np.zeros((len(group), classes, classes), np.int64)
        for image, probabilities, labels in samples:
            kernel = bilateral_kernel(image, *stds, crf.device)
            for total, candidate in zip(totals, candidates, strict=True):
                refined = candidate.refine(image, probabilities, kernel)
                total += confusion_matrix(labels, refined.argmax(-1), classes, ignore_label)
        for setting, total in zip(group, totals, strict=True):
            yield Trial(*setting, mean_iou(total))


def _check_samples(samples: Sequence[Sample], crf: DenseCRF, ignore_label: int) -> int:
    if not len(samples):
        raise DataError("search_crf needs at least one sample (image, probabilities, labels), got none")
    classes = samples[0][1].shape[-1]
    for n, (image, probabilities, labels) in enumerate(samples):
        crf.check(image, probabilities)
        crf.check_memory(*probabilities.shape, "search on smaller images")
        if getattr(labels, "dtype", np.dtype(object)).kind not in "iu":
            raise DataError(f"sample {n} of search_crf has labels that are not an array of whole numbers")
        if probabilities.shape != (*labels.shape, classes):
            raise DataError(
                f"sample {n} of search_crf has labels {labels.shape} and probabilities {probabilities.shape}, "
                f"expected {(*labels.shape, classes)}"
            )
        strange = labels[(labels != ignore_label) & ((labels < 0) | (labels >= classes))]
        if strange.size:
            raise DataError(f"sample {n} of search_crf has label {strange[0]}, expected 0 to {classes - 1}")
    return classes
