"""`Backbone`: an encoder that names its stages."""

from contextlib import contextmanager

import keras


@contextmanager
def precision(policy):
    """Build layers under a Keras dtype policy ("float32", "mixed_float16", ...; None keeps the current one)."""
    previous = keras.config.dtype_policy()
    if policy is not None:
        keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


class Backbone(keras.Model):
    """A functional Keras model whose intermediate feature maps have names.

    Args:
        image: the `keras.Input` of shape `(height, width, 3)`, RGB in 0-255; sizes may be None.
        stages: dict from stage name to feature tensor `(batch, h, w, channels)`, shallow first. Stages are known
            by name and not by stride, since dilated stages share a stride.
        **kwargs: Keras's `name` and `trainable`. The dtype policy is the one in force during construction; it is
            saved with the model and in force again when it is loaded.

    Attributes:
        stages: the dict given above.
        input: the image tensor.
        padding: "same"; "original" where the network pads the image itself by 100 pixels (the released FCN); "image"
            where it fills the image up to a multiple of its stride.
        image_scale: what the network enlarges the picture by before anything else; 1 is not at all.

    Calling a backbone returns a dict from stage name to features. Heads build on `backbone.input` and
    `backbone.stages` directly.
    """

    padding = "same"
    image_scale = 1

    def __init__(self, image, stages, **kwargs):
        super().__init__(inputs=image, outputs=dict(stages), **kwargs)
        # Keras sorts dict outputs by key; heads want them as given, shallow first.
        self._stage_names = tuple(stages)

    @property
    def stages(self):
        named = dict(self.output)
        return {name: named[name] for name in self._stage_names}

    @property
    def deepest(self):
        """The last stage's features."""
        return self.stages[self._stage_names[-1]]

    def stride_of(self, stage):
        """Pixels of the image from one cell of a stage ("stage3") to the next.

        2 to its number, up to `output_stride`, divided by `image_scale`: a fraction where that does not divide it.
        """
        stride = min(2 ** int(stage.removeprefix("stage")), getattr(self, "output_stride", 32))
        return stride if self.image_scale == 1 else stride / self.image_scale

    def get_config(self):
        # The functional graph is not part of it: the subclass adds its arguments, its constructor draws the graph.
        frozen = {} if self.trainable else {"trainable": False}
        return {"name": self.name, "dtype": self.dtype_policy.name, **frozen}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        trainable = config.pop("trainable", True)
        with precision(config.pop("dtype", None)):
            backbone = cls(**config)
        if not trainable:  # Keras sets it before the layers are there
            backbone.trainable = False
        return backbone
