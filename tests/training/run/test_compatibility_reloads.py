import keras
import pytest

import kseg
from kseg.errors import ModelError
from kseg.training.run.compatibility import check


class Mine(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_model_that_cannot_be_loaded_again_is_not_trained():
    """Before anything else is looked at: nothing of the data is read."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, 4, "same")(Mine(name="mine")(image))
    model = kseg.models.LRASPP(
        kseg.backbones.Backbone(image, {"stage2": x}), 3, filters=2, low_level="stage2"
    )
    with pytest.raises(ModelError, match=r"'mine'.*not registered"):
        check(model, kseg.training.Recipe(), None, None, None)
