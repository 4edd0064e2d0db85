"""`ProposalCache`: proposals kept on disk, so that an image is searched once."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import SettingsError
from kseg.inference.proposals import edge_boxes
from kseg.inference.proposals.edge_boxes import Propose, edge_box_proposals
from kseg.io.atomic import write_bytes
from kseg.io.cache import cache_folder


class ProposalCache:
    """Remembers the proposals of images in a folder.

    Call it like `edge_box_proposals`, with (image, count). A file is named by a hash of the image's pixels,
    the count and the settings of the search, so that renamed images are known and changed ones are searched
    again. It appears whole or not at all: a search that was broken off goes on where it was, and several
    processes may share the folder. A file that cannot be read is made again.

    Args:
        folder: where to keep them; it is made. 2000 boxes take 32 kB.
        propose: what finds the boxes.
        settings: a text that changes whenever `propose` would find other boxes; known for Edge Boxes.

    Raises:
        SettingsError: no `settings` for another `propose`, or a folder that cannot be made.

    Example:

    >>> propose = kseg.inference.ProposalCache("proposals")
    >>> image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), "uint8")
    >>> boxes = propose(image, 10)
    >>> propose.path_of(image, 10).is_file()
    True
    """

    def __init__(
        self, folder: str | Path, propose: Propose = edge_box_proposals, settings: str | None = None
    ) -> None:
        if settings is None and propose is not edge_box_proposals:
            raise SettingsError("A cache of other proposals than Edge Boxes needs a text for their settings")
        self.folder, self.propose, self.settings = Path(folder), propose, settings or edge_box_settings()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{folder}: proposals cannot be kept here ({error.strerror})") from None

    def __call__(self, image: np.ndarray, count: int = 2000) -> np.ndarray:
        path = self.path_of(image, count)
        boxes = _read(path, image.shape)
        if boxes is None:
            boxes = np.asarray(self.propose(image, count), np.int32).reshape(-1, 4)
            write_bytes(path, _packed(boxes))
        return boxes

    def path_of(self, image: np.ndarray, count: int) -> Path:
        """Say where the proposals of an image are kept.

        Args:
            image: `(height, width, 3)` RGB.
            count: the most boxes that are asked for.

        Returns:
            The file's path, whether it is there or not.
        """
        image = np.ascontiguousarray(image)
        key = hashlib.sha256(f"{self.settings} {count} {image.shape} {image.dtype}".encode())
        key.update(image)
        return self.folder / f"{key.hexdigest()[:40]}.npy"


def default_cache_folder() -> Path:
    """`proposals` in `$KSEG_CACHE`, else in `~/.cache/kseg`."""
    return cache_folder("proposals")


def edge_box_settings() -> str:
    """Everything that decides what `edge_box_proposals` finds in an image."""
    ours = (
        edge_boxes.LONGEST,
        edge_boxes.LEAST_SIDE,
        edge_boxes.EDGE_SCALES,
        edge_boxes.FULL_EDGE,
        edge_boxes.LEAST_FULL_EDGE,
    )
    return f"edge boxes 1, opencv {cv2.__version__}, {ours}"


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The boxes of a file, or None where there is none, or one that is broken."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head = len(_packed(np.zeros((0, 4), np.int32)))
    if len(data) < head or (len(data) - head) % 16:
        return None
    boxes = np.frombuffer(data, np.int32, offset=head).reshape(-1, 4).copy()
    # Compared with the header that these boxes have: NumPy's reader fails in many ways on a damaged one.
    whole = data[:head] == _packed(boxes)[:head]
    return boxes if whole and (boxes >= 0).all() and (boxes <= [*shape[:2], *shape[:2]]).all() else None


def _packed(boxes: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, boxes, allow_pickle=False)
    return data.getvalue()
