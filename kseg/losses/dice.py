"""`Dice`: overlap of regions."""

from typing import Any

import keras

from kseg.losses.tversky import Tversky


@keras.saving.register_keras_serializable(package="kseg")
class Dice(Tversky):
    """1 - 2 TP / (2 TP + FP + FN) of soft regions, the mean over the classes that the labels have.

    Sums, modes, arguments and errors are those of `Tversky` with alpha and beta of 0.5.

    Args:
        smooth, mode, ignore_label, class_weights, from_logits, name: as in `Tversky`.

    Reference:
        Milletari, Navab and Ahmadi, "V-Net", 3DV 2016 (there with squared denominators).

    Example:

    >>> loss = Dice(mode="binary", ignore_label=None)
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
        name: str = "dice",
    ) -> None:
        super().__init__(0.5, 0.5, 1.0, smooth, mode, ignore_label, class_weights, from_logits, name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in ("alpha", "beta", "gamma")}
