"""Claims on testing, which need no training: two ways to predict with one network, compared image by image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kseg
from kseg.data import Dataset
from kseg.evaluation import BoundaryF1, TrimapIoU
from kseg.inference import DenseCRF, Ensemble, Predictor, ProposalPredictor
from kseg.metrics import confusion_matrix, mean_iou

from .intervals import bootstrap

# The weights of the preset camvid before it was trained on val as well.
CAMVID = Path(__file__).with_name("camvid_train.keras")
WIDEST = 20  # pixels of the trimap curves
BOXES = (1, 2, 5, 10, 20, 50)
MANY_BOXES = (10, 50, 200, 500, 2000)
Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Protocols:
    """Ways to predict that are compared.

    Args:
        key: names the line of results.
        data: "camvid" or "people".
        ways: gives a name -> a function from an image to labels; or from an image to several maps by name.
        edges: whether trimap curves and boundary F1 are taken too.
        limit: so many images, evenly spaced.
    """

    key: str
    data: str
    ways: Callable[[], Mapping[str, Predict]]
    edges: bool = False
    limit: int | None = 40


def compare(protocols: Protocols, dataset: Dataset) -> dict[str, Any]:
    """The scores of every way, and the intervals of their differences: a line of the results.

    The interval of a difference is that of the mean IoU over images drawn again and again from the same ones
    (percentile bootstrap, both ways on the same draws).
    """
    wall, classes = time.perf_counter(), dataset.num_classes
    ways, count = protocols.ways(), len(dataset)
    limit = min(protocols.limit or count, count)
    confusions: dict[str, list[np.ndarray]] = {}
    edges: dict[str, tuple[TrimapIoU, BoundaryF1]] = {}
    for index in (count * number // limit for number in range(limit)):
        image, labels = dataset.load(index)
        for name, predicted in _predictions(ways, image):
            found = confusion_matrix(labels, predicted, classes, dataset.ignore_label)
            confusions.setdefault(name, []).append(found)
            if protocols.edges:
                measures = edges.setdefault(name, (TrimapIoU(classes, widest=WIDEST), BoundaryF1(classes)))
                for measure in measures:
                    measure.update(labels, predicted)
    names = list(confusions)
    pairs = [(a, b) for number, b in enumerate(names) for a in names[number + 1 :]]
    line = {
        "test": protocols.key,
        "data": protocols.data,
        "images": limit,
        "mean_iou": {name: round(float(mean_iou(sum(all_))), 6) for name, all_ in confusions.items()},
        "differences": {
            f"{a} - {b}": [round(value, 6) for value in bootstrap(np.stack(confusions[a]), np.stack(confusions[b]))]
            for a, b in pairs
        },
    }
    if protocols.data == "people":
        line["people"] = kseg.models.presets()["people"]["files"]["keras"]["sha256"][:12]
    if protocols.edges:
        line["trimap"] = {name: [round(float(v), 5) for v in one.curve()] for name, (one, _) in edges.items()}
        line["boundary_f1"] = {name: round(float(one.result()), 6) for name, (_, one) in edges.items()}
    return {**line, "seconds": round(time.perf_counter() - wall, 1)}


def _predictions(ways: Mapping[str, Predict], image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for name, predict in ways.items():
        found = predict(image)
        if isinstance(found, dict):
            yield from found.items()
        else:
            yield name, found


def _crf() -> dict[str, Predict]:
    """Without a CRF, with that of DeepLab v1's release, and with that tuned on eight of these images (`crf.md`)."""
    predictor = Predictor(kseg.models.load(CAMVID))
    released = DenseCRF()
    tuned = DenseCRF(bilateral_xy_std=15, bilateral_rgb_std=3, bilateral_weight=6.5)

    def predict(image: np.ndarray) -> dict[str, np.ndarray]:
        probabilities = predictor.probabilities(image)
        found = {"no CRF": probabilities}
        found |= {name: crf(image, probabilities) for name, crf in (("released CRF", released), ("tuned CRF", tuned))}
        return {name: one.argmax(-1).astype(np.uint8) for name, one in found.items()}

    return {"all": predict}


def _crf_people() -> dict[str, Predict]:
    """Without a CRF, with DeepLab v1's, and with the finer one of DeconvNet's release."""
    predictor = Predictor(kseg.models.from_preset("people"))
    crfs = {
        "DeepLab's CRF": DenseCRF(),
        "DeconvNet's CRF": DenseCRF(bilateral_xy_std=20, bilateral_rgb_std=3, bilateral_weight=5),
    }

    def predict(image: np.ndarray) -> dict[str, np.ndarray]:
        probabilities = predictor.probabilities(image)
        found = {"no CRF": probabilities} | {name: crf(image, probabilities) for name, crf in crfs.items()}
        return {name: one.argmax(-1).astype(np.uint8) for name, one in found.items()}

    return {"all": predict}


def _scales() -> dict[str, Predict]:
    model = kseg.models.load(CAMVID)
    several = (0.75, 1.0, 1.25)
    return {
        "single scale": Predictor(model),
        "mirrored": Predictor(model, flip=True),
        "several scales": Predictor(model, scales=several),
        "several scales, mirrored": Predictor(model, scales=several, flip=True),
    }


def _windows() -> dict[str, Predict]:
    model, window = kseg.models.load(CAMVID), (192, 256)
    return {
        "side by side": Predictor(model, window=window, stride=1.0),
        "overlapping by a third": Predictor(model, window=window, stride=2 / 3),
        "whole image": Predictor(model),
    }


def _ensembles() -> dict[str, Predict]:
    members = [Predictor(kseg.models.from_preset(name)) for name in ("people", "people_portrait")]
    return {
        "people_portrait": members[1],
        "people": members[0],
        "product": Ensemble(members, "product"),
        "mean": Ensemble(members),
    }


def _proposals(counts: tuple[int, ...] = BOXES, **settings: Any) -> dict[str, Predict]:
    predictor = ProposalPredictor(kseg.models.from_preset("people"), best=max(counts), **settings)

    def predict(image: np.ndarray) -> dict[str, np.ndarray]:
        found, logits = {}, None
        for done, logits in predictor.accumulate(image, singly=True):
            if done in counts:
                found[f"{done} boxes"] = logits.argmax(-1).astype(np.uint8)
        # An image with fewer boxes than asked for keeps what all of them gave.
        last = logits.argmax(-1).astype(np.uint8)
        return {f"{count} boxes": found.get(f"{count} boxes", last) for count in counts}

    return {"all": predict}


def _many_proposals() -> dict[str, Predict]:
    """Up to 2000 boxes an image: small ones count too, and all are seen at half the usual size, which saves time."""
    return _proposals(MANY_BOXES, smallest=32, size=112)


TESTS = (
    Protocols("scales", "camvid", _scales),
    Protocols("windows", "camvid", _windows),
    Protocols("ensemble", "people", _ensembles, limit=None),
    Protocols("proposals", "people", _proposals, limit=30),
    Protocols("many-proposals", "people", _many_proposals, limit=8),
    Protocols("crf", "camvid", _crf, edges=True, limit=20),
    Protocols("crf-people", "people", _crf_people, edges=True, limit=40),
)
