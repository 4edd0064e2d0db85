"""Fine-tune presets on 40 images of 3 classes, beside the same networks from ImageNet's weights or from random ones.

    KSEG_DATA=../shared/data python tools/fine_tuning.py streets people animals --seeds 0 1 2 >> fine_tuning.jsonl

Every case takes its 40 images and its test images from the val splits below KSEG_DATA, on which no preset was trained.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import cv2
import keras
import numpy as np

import kseg

DATA = Path(os.environ.get("KSEG_DATA", "../shared/data"))
STREETS = {"surroundings": (0, 1, 2, 5, 6, 7), "ground": (3, 4), "traffic": (8, 9, 10)}
PEOPLE = {"background": (0,), "person": (15,), "animal": (3, 8, 10, 12, 13, 17)}
PETS = {"background": (0,), "cat": (8,), "dog": (12,)}
# case: folder of images, of masks, classes, size, starts
CASES = {
    "streets": ("camvid/images/val", "camvid/masks/val", STREETS, (192, 256), ("camvid", "camvid from ImageNet")),
    "people": (
        "voc_animals/images/val", "voc_animals/masks_voc21/val", PEOPLE, (256, 256),
        ("people", "people from random", "people_portrait", "people_portrait from ImageNet"),
    ),
    "animals": (
        "voc_animals/images/val", "voc_animals/masks_voc21/val", PETS, (192, 192), ("camvid", "camvid from ImageNet"),
    ),
}  # fmt: skip
NETWORKS = {
    "camvid": "deeplabv3plus_efficientnetlite0_stride8",
    "people_portrait": "deeplabv3plus_efficientnetlite0_fast",
}


def pairs(case):
    """Images and masks in the case's own classes; every image shows something other than the first class."""
    images, masks, classes, size, _ = CASES[case]
    table = np.full(256, 255, np.uint8)
    for number, ids in enumerate(classes.values()):
        table[list(ids)] = number
    x, y = [], []
    for path in sorted((DATA / masks).glob("*.png")):
        image = next((DATA / images).glob(path.stem + ".*"))
        mask = cv2.resize(table[kseg.data.read_mask(path)], size[::-1], interpolation=cv2.INTER_NEAREST)
        if (mask == 255).mean() < 0.5 and np.isin(mask, (1, 2)).mean() > 0.02:
            x.append(cv2.resize(kseg.data.read_image(image), size[::-1], interpolation=cv2.INTER_AREA))
            y.append(mask)
    return np.stack(x), np.stack(y), list(classes)


def drawn(y, seed, count=40):
    """The numbers of the images to train on, as many with class 1 as with class 2 as far as there are."""
    order = np.random.default_rng(seed).permutation(len(y))
    with_1, with_2 = ([i for i in order if (y[i] == c).mean() > 0.02] for c in (1, 2))
    chosen = dict.fromkeys(n for pair in zip(with_1, with_2, strict=False) for n in pair)
    return list(dict.fromkeys([*chosen, *order]))[:count]


def started(start, classes):
    preset, _, other = start.partition(" from ")
    if not other:
        return kseg.models.from_preset(preset, len(classes), classes=classes)
    if other == "ImageNet":
        return kseg.models.build(NETWORKS[preset], len(classes))
    config = kseg.models.from_preset(preset).get_config()
    return kseg.models.LiteFPN.from_config(
        {**config, "num_classes": len(classes), "classes": None, "palette": None}
    )


def run(case, start, seed, epochs):
    x, y, classes = pairs(case)
    own = drawn(y, seed)
    rest = [i for i in range(len(y)) if i not in own][:100]
    train, test = (kseg.data.from_arrays(x[n], y[n], classes=classes) for n in (own, rest))
    keras.utils.set_random_seed(seed)
    model = started(start, classes)
    model.compile(learning_rates={"backbone": 0.3})
    augment = kseg.data.Augment(mirror=True, scale=(0.75, 1.5), brightness=0.2)
    loader = kseg.data.Loader(train, batch_size=4, size=CASES[case][3], augment=augment, seed=seed)
    began = time.time()
    model.fit(loader, epochs=epochs, verbose=0)
    seconds = time.time() - began
    found = kseg.evaluation.evaluate(model, test)
    row = {
        "case": case,
        "start": start,
        "seed": seed,
        "images": len(own),
        "test": len(rest),
        "epochs": epochs,
    }
    row |= {
        "mean_iou": round(float(found.mean_iou), 4),
        "class_iou": [round(float(v), 4) for v in found.class_iou],
    }
    print(json.dumps(row | {"seconds": round(seconds)}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    for seed in options.seeds:
        for case in options.cases:
            for start in CASES[case][4]:
                run(case, start, seed, options.epochs)
                sys.stdout.flush()
