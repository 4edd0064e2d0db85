"""The data that the claims are tested on, and how it is brought to one size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import kseg
from kseg.data import Augment, Dataset

# data set -> (height, width) of the cached views, multiples of 32
SIZES = {"voc": (224, 224), "camvid": (192, 256)}
# The images are 400 x 300 (VOC) and 480 x 360 (CamVid): about the scale at which view 0 shows them, and up to twice it.
AUGMENT = {
    "voc": Augment(scale=(0.5, 1.0), mirror=True),
    "camvid": Augment(scale=(0.54, 0.8), mirror=True),
}


def load(name: str, root: Path, split: str) -> Dataset:
    """A split of "camvid", or of "voc": the animals and the people, 21 classes."""
    if name == "camvid":
        return kseg.data.load("camvid", root / "camvid", split)
    people = kseg.data.load("voc", root / "voc_people", split)
    folder = root / "voc_animals"
    animals = kseg.data.from_pairs(
        folder / "images" / split, folder / "masks_voc21" / split, people.classes, name="voc_animals", split=split
    )
    return animals + people


def people(root: Path, split: str) -> Dataset:
    """VOC's people: background and person."""
    dataset = kseg.data.load("voc", root / "voc_people", split)
    return dataset.remap({name: "background" for name in dataset.classes if name not in ("background", "person")})


class Fitted:
    """A data set's images, made as large as fit into one size, as the source of another data set."""

    makes_samples = True

    def __init__(self, dataset: Dataset, size: tuple[int, int]):
        self.dataset, self.size = dataset, size

    def __len__(self) -> int:
        return len(self.dataset)

    def name_of(self, index: int) -> str:
        return self.dataset.name_of(index)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, labels = self.dataset.load(index)
        factor = min(there / here for there, here in zip(self.size, labels.shape, strict=True))
        width, height = (max(round(side * factor), 1) for side in labels.shape[::-1])
        return (
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA),
            cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST),
        )


def fitted(dataset: Dataset, size: tuple[int, int]) -> Dataset:
    """The data set with its images as large as fit into `size`; `kseg.data.pipeline` pads them to it."""
    return Dataset(
        dataset.name, dataset.split, dataset.classes, dataset.palette, Fitted(dataset, size), dataset.ignore_label
    )
