import keras
import numpy as np

from kseg.layers import CropLike


def test_cuts_from_the_offset():
    x = np.arange(2 * 9 * 8 * 3, dtype="float32").reshape(2, 9, 8, 3)
    like = np.zeros((2, 5, 4, 7), "float32")
    np.testing.assert_array_equal(np.asarray(CropLike(3)([x, like])), x[:, 3:8, 3:7])


def test_unknown_sizes_and_config():
    a, b = keras.Input((None, None, 2)), keras.Input((None, None, 5))
    layer = CropLike(1, name="crop")
    model = keras.Model([a, b], layer([a, b]))
    got = model.predict([np.ones((1, 7, 7, 2)), np.ones((1, 4, 6, 5))], verbose=0)
    assert got.shape == (1, 4, 6, 2)
    assert CropLike.from_config(layer.get_config()).offset == 1
