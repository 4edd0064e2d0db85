"""`ProposalPredictor`: prediction object by object, put together to a label map of the image."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import cv2
import keras
import numpy as np

from kseg import checks
from kseg.data.objects import cut_out, inside, with_context
from kseg.errors import KsegWarning, SettingsError
from kseg.inference.checks import check_one_class, checked_image
from kseg.inference.model_info import check_rgb, inspect_model
from kseg.inference.proposals.edge_boxes import Propose, edge_box_proposals
from kseg.ops.resize import resize
from kseg.progress import Progress

MODES = ("max", "sum")


class ProposalPredictor:
    """Predicts an image by its object proposals, as DeconvNet does.

    Each box is cut out (black where it reaches beyond the image), warped to the model's size and predicted;
    its logits are warped back and joined with those of the other boxes pixel by pixel, starting from zero.
    The softmax of the result are the probabilities; a pixel that no box covers has equal ones and is labelled
    class 0, the background.

    Call it with an image, uint8 `(height, width, 3)` RGB: it returns labels `(height, width)`, uint8, or
    uint16 for more than 255 classes. `probabilities(image)` returns float32 `(height, width, classes)`. Both
    take `progress`, called with (boxes done, boxes in all). Where no box is found the whole image is the only
    box, and a `KsegWarning` says so.

    Args:
        model: Keras model, input (B, h, w, 3) RGB 0-255, output logits of that size.
        size: (height, width), or one integer, that a box is warped to; a model with a fixed size has its own.
        count: the most proposals to ask for.
        best: how many of them are used, the best ones that are not too small.
        smallest: boxes whose shorter side, with the context, is below this many pixels are skipped.
        context: boxes grow by this factor around their centre.
        mode: "max" (the release) or "sum" of the logits.
        batch_size: boxes per model call.
        propose: called with (image, count), gives boxes (N, 4) as `edge_box_proposals` does.
        crf: called with (image, probabilities), gives probabilities, such as `DenseCRF()`.
        output: what the model's output is, see `Predictor`. Probabilities are joined as they are and divided by
            their sum over the classes at the end, in place of the softmax.

    Raises:
        SettingsError: a setting out of its range.
        ModelError: not a model from images to class logits.
        DataError: of a call, an array that is not an RGB image, or has NaN or values outside 0-255.

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, sections 4.2 and
        5.1; released `generate_EDeconvNet_CRF_results.m`, whose shift by one pixel is not repeated.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    >>> def propose(image, count):  # or `edge_box_proposals`, the default
    ...     return np.array([[0, 0, 20, 30], [10, 10, 40, 60]])
    >>> predict = kseg.inference.ProposalPredictor(model, size=32, smallest=16, propose=propose)
    >>> predict(np.zeros((40, 60, 3), "uint8")).shape
    (40, 60)
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        size: int | tuple[int, int] = (224, 224),
        count: int = 2000,
        best: int = 50,
        smallest: int = 112,
        context: float = 1.2,
        mode: str = "max",
        batch_size: int = 10,
        propose: Propose = edge_box_proposals,
        crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        output: str | None = None,
    ) -> None:
        if mode not in MODES:
            raise SettingsError(f"Boxes are joined by {' or '.join(MODES)}; got {mode!r}")
        if min(count, best, smallest, batch_size) < 1 or not context > 0:
            raise SettingsError(
                "count, best, smallest and batch_size are at least 1 and context is positive; got "
                f"{count}, {best}, {smallest}, {batch_size} and {context}"
            )
        self.info = check_rgb(inspect_model(model, output))
        check_one_class(self.info, "joining proposals")
        self._fixed_batch, fixed, self.num_classes = self.info.batch, self.info.size, self.info.num_classes
        self.model, self.mode, self.crf = model, mode, crf
        self.size = fixed or checks.pair(size, "size")
        self.count, self.best, self.smallest, self.context = count, best, smallest, context
        self.batch_size, self.propose = self._fixed_batch or batch_size, propose

    @property
    def label_dtype(self) -> type:
        return np.uint8 if self.num_classes <= 255 else np.uint16

    def __call__(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        return self.probabilities(image, progress).argmax(-1).astype(self.label_dtype)

    def probabilities(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """Compute the probabilities of the joined logits, after the CRF if there is one.

        Args:
            image: uint8 or float `(height, width, 3)`, RGB 0-255.
            progress: called with (boxes done, boxes in all).

        Returns:
            float32 `(height, width, classes)`.
        """
        for _, logits in self.accumulate(image, progress):
            last = logits
        if self.info.output == "logits":
            odds = np.exp(last - last.max(-1, keepdims=True))
        else:
            odds = np.where(last.any(-1, keepdims=True), last, np.float32(1))  # alike where no box was
        result = odds / odds.sum(-1, keepdims=True)
        return result if self.crf is None else np.asarray(self.crf(image, result), np.float32)

    def batch(self, images: np.ndarray) -> np.ndarray:
        """Predict images of one size.

        Args:
            images: `(batch, height, width, 3)`, RGB 0-255.

        Returns:
            Labels `(batch, height, width)`, uint8, or uint16 for more than 255 classes.
        """
        return np.stack([self(image) for image in images])

    def accumulate(
        self,
        image: np.ndarray,
        progress: Progress | None = None,
        *,
        boxes: np.ndarray | None = None,
        singly: bool = False,
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Join the logits of the boxes, and give what is joined so far after every batch.

        The array is the same every time: copy what is to be kept.

        Args:
            image: uint8 or float `(height, width, 3)`, RGB 0-255.
            progress: called with (boxes done, boxes in all).
            boxes: int32 `(boxes, 4)`, predicted in place of `boxes(image)`.
            singly: yield after every box; they are still predicted in batches.

        Yields:
            (boxes done, logits joined so far, float32 `(height, width, classes)`).
        """
        image = checked_image(image)
        boxes = self.boxes(image) if boxes is None else boxes
        joined = np.zeros((*image.shape[:2], self.num_classes), np.float32)
        for start in range(0, len(boxes), self.batch_size):
            chunk = boxes[start : start + self.batch_size]
            done = start + len(chunk)
            crops = (cut_out(image, box).astype(np.float32) for box in chunk)
            crops = np.stack(
                [cv2.resize(one, self.size[::-1], interpolation=cv2.INTER_LINEAR) for one in crops]
            )
            if self._fixed_batch:
                missing = self._fixed_batch - len(crops)
                crops = np.pad(crops, ((0, missing), (0, 0), (0, 0), (0, 0)))
            scores = np.asarray(self.info.scores(self.model.predict_on_batch(crops)))[: len(chunk)]
            for number, (box, logits) in enumerate(zip(chunk, scores, strict=True), start + 1):
                top, left, bottom, right = (int(edge) for edge in box)
                whole = np.asarray(resize(logits[None], (bottom - top, right - left)))[0]
                rows, columns = inside(box, joined.shape)
                if rows.start < rows.stop and columns.start < columns.stop:  # not wholly beyond the image
                    part = whole[
                        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
                    ]
                    target = joined[rows, columns]
                    (np.maximum if self.mode == "max" else np.add)(target, part, out=target)
                if singly and number < done:
                    yield number, joined
            if progress is not None:
                progress(done, len(boxes))
            yield done, joined

    def boxes(self, image: np.ndarray) -> np.ndarray:
        """Find the boxes that are predicted, with their context.

        Args:
            image: uint8 or float `(height, width, 3)`, RGB 0-255.

        Returns:
            int32 `(boxes, 4)`: top, left, bottom, right in pixels, which may lie beyond the image; best
            first.
        """
        image = checked_image(image)
        found = np.asarray(self.propose(image, self.count)).reshape(-1, 4)
        boxes = with_context(found, self.context)
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(-1, initial=2**31 - 1) >= self.smallest][: self.best]
        if len(boxes):
            return boxes
        warnings.warn(
            f"none of {len(found)} proposals has a shorter side of {self.smallest} pixels or more: the whole image "
            "is predicted at once",
            KsegWarning,
            stacklevel=4,
        )
        return np.array([[0, 0, *image.shape[:2]]], np.int32)
