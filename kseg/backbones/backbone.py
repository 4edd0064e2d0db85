"""`Backbone`: an encoder that names its stages."""

import keras


class Backbone(keras.Model):
    """A functional Keras model whose intermediate feature maps have names.

    Args:
        image: the `keras.Input` of shape `(height, width, 3)`, RGB in 0-255; sizes may be None.
        stages: dict from stage name to feature tensor `(batch, h, w, channels)`, shallow first. Stages are known
            by name and not by stride, since dilated stages share a stride.
        **kwargs: Keras's `name`, `trainable`, `dtype`.

    Attributes:
        stages: the dict given above.
        input: the image tensor.

    Calling a backbone returns a dict from stage name to features. Heads build on `backbone.input` and
    `backbone.stages` directly.
    """

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

    def get_config(self):
        # A subclass adds its own arguments; the functional graph is rebuilt by its constructor.
        return {"name": self.name, "trainable": self.trainable, "dtype": keras.saving.serialize_keras_object(self.dtype_policy)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(config["dtype"])
        return cls(**config)
