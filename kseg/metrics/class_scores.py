"""`ClassScores`: what the Keras metrics of single classes share, counts of hits, true and predicted pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from keras import ops

from kseg import checks
from kseg.errors import SettingsError
from kseg.metrics.confusion import ConfusionMatrix


class LoggedNames(str):
    """A metric's name that equals each name it logs under: there Keras's callbacks look for its direction."""

    __slots__ = ("logged",)
    __hash__ = str.__hash__

    def __new__(cls, name: str, logged: Sequence[str]) -> Any:
        made = super().__new__(cls, name)
        made.logged = frozenset(logged)
        return made

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or other in self.logged

    def __ne__(self, other: object) -> bool:
        return not self == other


class ClassScores(ConfusionMatrix):
    """Scores of every class, and their mean, under names of their own in the logs.

    Args:
        classes: names, or how many there are.
        mode: "multiclass", where predictions of one channel are those of class 1 of two; or "multilabel", where
            labels `(batch, height, width, classes)` hold 0, 1 or the ignored label, and each channel is a sigmoid.
        ignore_label, name, dtype, from_logits, threshold: as in `ConfusionMatrix`; a subclass has its `usual_name`.
    """

    usual_name = "score"
    _direction = "up"  # where Keras's callbacks look, with mode="auto"

    def __init__(
        self,
        classes: Sequence[str] | int,
        ignore_label: int | None = 255,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = True,
        threshold: float = 0.5,
        mode: str = "multiclass",
    ) -> None:
        if mode not in ("multiclass", "multilabel"):
            raise SettingsError(f'`mode` is "multiclass" or "multilabel"; got {mode!r}.')
        if isinstance(classes, (str, Mapping, Set)):
            raise checks.wrong("classes", "several names in the order of their ids, or a number", classes)
        classes = list(classes) if isinstance(classes, Iterable) else checks.whole(classes, "classes")
        count = classes if isinstance(classes, int) else len(classes)
        if mode == "multiclass" and count == 1:
            classes = 2 if isinstance(classes, int) else ("background", *classes)
        name = name or self.usual_name
        self.classes = [f"class_{i}" for i in range(classes)] if isinstance(classes, int) else list(classes)
        super().__init__(len(self.classes), ignore_label, name, dtype, from_logits, threshold)
        self.mode = mode
        if mode == "multilabel":  # counts[i]: true negatives, false positives, false negatives, true positives
            self.num_classes = len(self.classes)
            self.counts = self.add_variable(
                (self.num_classes, 4), "zeros", dtype="int64", name="channel_counts"
            )
        self.name = LoggedNames(name, [f"{name}_{_key(one)}" for one in self.classes])

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.mode == "multiclass":
            super().update_state(y_true, y_pred, sample_weight)
            return
        labels, scores = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
        if (
            len(labels.shape) != 4
            or labels.shape[-1] != self.num_classes
            or scores.shape[-1] != self.num_classes
        ):
            raise SettingsError(
                f"Expected labels and predictions (batch, height, width, {self.num_classes}); got "
                f"{tuple(labels.shape)} and {tuple(scores.shape)}"
            )
        found = ops.cast((ops.sigmoid(scores) if self.from_logits else scores) > self.threshold, "int32")
        valid = self._counted(labels, sample_weight)
        known = (labels == 0) | (labels == 1)
        pairs = ops.where(valid & known, 2 * labels + found, -1)
        counts = [ops.sum(ops.cast(pairs == kind, "int32"), axis=(0, 1, 2)) for kind in range(4)]
        self.counts.assign_add(ops.cast(ops.stack(counts, axis=-1), self.counts.dtype))
        unknown = ops.sum(ops.cast(valid & ops.logical_not(known), "int32"))
        self.unknown.assign_add(ops.cast(unknown, self.unknown.dtype))

    def hits(self) -> tuple[Any, Any, Any]:
        """Of each class the pixels that are right, the true and the predicted ones, float32 `(classes,)`."""
        counts = ops.cast(self.counts, "float32")
        if self.mode == "multilabel":
            return counts[:, 3], counts[:, 2] + counts[:, 3], counts[:, 1] + counts[:, 3]
        return ops.diagonal(counts), ops.sum(counts, 1), ops.sum(counts, 0)

    def named(self, part: Any, whole: Any) -> dict[str, Any]:
        """Shares of each class and the mean of those whose whole is above 0, by the names they are logged under.

        Without a pixel counted all are 0, as every metric of Keras is; else a class that has none is NaN.
        """
        absent = ops.where(ops.any(whole > 0), float("nan"), 0.0)
        scores = ops.where(whole > 0, ops.divide_no_nan(part, whole), absent)
        present = ops.cast(whole > 0, "float32")
        mean = ops.divide_no_nan(ops.sum(ops.divide_no_nan(part, whole)), ops.sum(present))
        bad = self.unknown > 0
        values = {str(self.name): ops.where(bad, float("nan"), mean)}
        for index, one in enumerate(self.classes):
            values[f"{self.name!s}_{_key(one)}"] = ops.where(bad, float("nan"), scores[index])
        return values

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_classes"]
        return {**config, "name": str.__str__(self.name), "classes": self.classes, "mode": self.mode}


def _key(name: str) -> str:
    return str(name).strip().replace(" ", "_").replace("/", "_")
