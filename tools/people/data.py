"""The packed images (`pack.py`) in memory: decoded once, cut out and augmented on the device (`augment.py`)."""

import itertools
import json
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
import torch
from teacher import resized

SIDE = 512  # of the squares in which images lie, at their upper left
TEACHER_SIDE = 160
BODIES = 6  # the largest connected parts of a mask
IGNORED = 255
# Who says what is right: the mask alone; mask and teacher; the teacher alone; mask and teacher where they agree.
MASK, BOTH, TEACHER, AGREED = 0, 1, 2, 3
# Masks that count bags as people and leave out passers-by.
DOUBTED = "ccp_people"
# How often an image with people is drawn, and one without, by its source.
PEOPLE_SHARES = {
    "voc_people": 1.5,
    "voc_animals": 1.2,
    "ccp_people": 0.6,
    "coco128": 1.2,
    "voc_vehicles": 1.2,
}
EMPTY_SHARES = {"rooms": 0.5}


@dataclass
class Sample:
    """One decoded image.

    Attributes:
        source: the folder it comes from, such as "voc_people".
        split: "train" or "val".
        image: uint8 (SIDE, SIDE, 3), RGB, its last column and row repeated.
        mask: uint8 (SIDE, SIDE): 0, 1 person, 255 ignored.
        teacher: uint8 (TEACHER_SIDE, TEACHER_SIDE): the teachers' probability of person, of the whole image.
        size: (height, width) of the image in its square.
        bodies: float32 (BODIES, 5): left, top, width, height, area of the mask's parts, the largest first.
        count: how many of them there are.
        taught: MASK, BOTH, TEACHER or AGREED.
        share: of the image that is person; -1 without a mask.
    """

    source: str
    split: str
    image: np.ndarray
    mask: np.ndarray
    teacher: np.ndarray
    size: tuple[int, int]
    bodies: np.ndarray
    count: int
    taught: int
    share: float

    def squeezed(self, side: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask at side x side, as a preset sees and is scored on them."""
        image, mask = self.inside()
        mask = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
        return resized(image, (side, side)), mask

    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask without what fills their squares up."""
        height, width = self.size
        return self.image[:height, :width], self.mask[:height, :width]


def load(
    folder: str | Path, limit: int | None = None, processes: int = 2, split: str | None = None
) -> list[Sample]:
    """The images of `FOLDER/people.json`, evenly spaced where there is a limit, of one split or of both."""
    folder = Path(folder)
    entries = json.loads((folder / "people.json").read_text(encoding="utf-8"))
    entries = [entry for entry in entries if split in (None, entry[1])]
    if limit:
        entries = entries[:: max(1, len(entries) // limit)]
    with Pool(processes, _open, (folder,)) as pool:
        return pool.map(_decoded, entries, chunksize=16)


def _open(folder: Path) -> None:
    global _files
    cv2.setNumThreads(1)
    paths = [folder / f"people{number}.bin" for number in (0, 1)]
    _files = [np.memmap(path, np.uint8, "r") if path.stat().st_size else None for path in paths]


def _decoded(entry: list) -> Sample:
    source, split, _, file, offset, *lengths = entry
    ends = np.cumsum([offset, *lengths])
    image, mask, teacher = (_files[file][a:b] for a, b in itertools.pairwise(ends))
    image = cv2.imdecode(image, cv2.IMREAD_COLOR)[:, :, ::-1]
    height, width = image.shape[:2]
    has_mask = len(mask) > 0
    taught = (AGREED if source == DOUBTED else BOTH) if len(teacher) else MASK
    mask = (
        cv2.imdecode(mask, cv2.IMREAD_GRAYSCALE) if has_mask else np.full((height, width), IGNORED, np.uint8)
    )
    seen = cv2.imdecode(teacher, cv2.IMREAD_GRAYSCALE) if len(teacher) > 1 else None  # one byte: nobody seen
    bodies = _bodies(mask)
    return Sample(
        source,
        split,
        np.pad(image, ((0, SIDE - height), (0, SIDE - width), (0, 0)), mode="edge"),
        np.pad(mask, ((0, SIDE - height), (0, SIDE - width)), constant_values=IGNORED),
        np.zeros((TEACHER_SIDE, TEACHER_SIDE), np.uint8) if seen is None else seen,
        (height, width),
        np.pad(bodies, ((0, BODIES - len(bodies)), (0, 0))),
        len(bodies),
        taught if has_mask else TEACHER,
        float((mask == 1).mean()) if has_mask else -1.0,
    )


def _bodies(mask: np.ndarray) -> np.ndarray:
    _, _, parts, _ = cv2.connectedComponentsWithStats((mask == 1).astype(np.uint8))
    parts = sorted((part for part in parts[1:] if part[4] > 0.0015 * mask.size), key=lambda part: -part[4])
    return np.array(parts[:BODIES], np.float32).reshape(-1, 5)


class TrainingImages:
    """The images to train on, on the device, with the shares by which they are drawn.

    Attributes:
        images, masks, teachers, sizes, bodies, counts, taught: as in `Sample`, one behind the other; images NCHW.
        people, empty, unlabelled: how often each is drawn as an image with people, without, without a mask.
    """

    def __init__(self, samples: list[Sample], device: torch.device) -> None:
        def tensor(values) -> torch.Tensor:
            return torch.from_numpy(np.stack(values)).to(device)

        self.device = device
        self.images = tensor([one.image for one in samples]).permute(0, 3, 1, 2).contiguous()
        self.masks, self.teachers = tensor([s.mask for s in samples]), tensor([s.teacher for s in samples])
        self.sizes = torch.tensor([s.size for s in samples], dtype=torch.float32, device=device)
        self.bodies = tensor([one.bodies for one in samples])
        self.counts = torch.tensor([one.count for one in samples], device=device)
        self.taught = torch.tensor([one.taught for one in samples], device=device)
        people = [PEOPLE_SHARES.get(s.source, 0) * (s.share > 0 and s.count > 0) for s in samples]
        empty = [EMPTY_SHARES.get(s.source, 1) * (s.share == 0) for s in samples]
        unlabelled = [s.share < 0 for s in samples]
        self.people, self.empty, self.unlabelled = (
            torch.tensor(shares, dtype=torch.float32, device=device) for shares in (people, empty, unlabelled)
        )
        for shares in (self.empty, self.unlabelled):
            if not shares.sum():  # a small part of the data
                shares += 1
