"""`SavedModel`: a SavedModel's version folder in TensorFlow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from kseg.errors import ModelError
from kseg.export.formats.description import of_folder
from kseg.export.runtimes.frames import fitting, fixed_size


class SavedModel:
    """A SavedModel's version folder through `tf.saved_model.load`, called like `TFLite`.

    `operations` counts the operations of `serving_default`.
    """

    format = "saved_model"
    output = "labels"

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        import tensorflow as tf

        self.path, self.metadata = Path(path), of_folder(path)
        try:
            self.loaded = tf.saved_model.load(str(path))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path}: TensorFlow cannot load it: {str(error).splitlines()[0][:200]}"
            ) from error
        if "serving_default" not in self.loaded.signatures:
            raise ModelError(f"{path}: no signature serving_default; it has {sorted(self.loaded.signatures)}")
        self._function = self.loaded.signatures["serving_default"]
        definition = self._function.graph.as_graph_def()
        bodies = [definition.node, *(body.node_def for body in definition.library.function)]
        self.operations = Counter(node.op for nodes in bodies for node in nodes)
        (self._name, self._spec), *_ = self._function.structured_input_signature[1].items()

    @property
    def size(self) -> tuple[int, int] | None:
        """The fixed (height, width), or None where any goes in."""
        return fixed_size(self._spec.shape.as_list())

    def __call__(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        images = fitting(images, self._spec.shape.as_list(), self.path)
        outputs = self._function(**{self._name: tf.cast(images, self._spec.dtype)})
        return (outputs["mask"] if "mask" in outputs else next(iter(outputs.values()))).numpy()
