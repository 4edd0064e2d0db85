"""`Jaccard`: overlap of regions."""

from typing import Any

import keras

from kseg.losses.tversky import Tversky


@keras.saving.register_keras_serializable(package="kseg")
class Jaccard(Tversky):
    """1 - TP / (TP + FP + FN) of soft regions, the mean over the classes that the labels have.

    Sums, modes, arguments and errors are those of `Tversky` with alpha and beta of 1.0.

    Args:
        smooth, mode, ignore_label, class_weights, from_logits, name: as in `Tversky`.

    Reference:
        Rahman and Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation", ISVC 2016.

    Example:

    >>> loss = Jaccard(mode="binary", ignore_label=None)
    >>> float(loss(np.ones((1, 2, 2)), np.full((1, 2, 2, 1), 20.0))) < 1e-3
    True
    """

    def __init__(
        self,
        smooth: float = 1e-6,
        mode: str = "multiclass",
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        name: str = "jaccard",
    ) -> None:
        super().__init__(1.0, 1.0, 1.0, smooth, mode, ignore_label, class_weights, from_logits, name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in ("alpha", "beta", "gamma")}
