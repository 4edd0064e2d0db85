import keras
import numpy as np

from kseg.backbones.blocks.lite_blocks import conv_bn, inverted_residuals

GROUPS = ((1, 3, 1, 1, 4), (2, 3, 2, 2, 8), (2, 5, 2, 3, 8))


def test_names_widths_and_where_it_ends():
    x = keras.Input((32, 32, 4))
    whole, expanded = inverted_residuals(x, GROUPS, 32, None)
    assert whole.shape == (None, 8, 8, 8)
    widths = {name: tensor.shape[-1] for name, tensor in expanded.items()}
    assert widths == {
        "block1a_expand": 4,
        "block2a_expand": 8,
        "block2b_expand": 16,
        "block3a_expand": 24,
        "block3b_expand": 24,
    }
    part, found = inverted_residuals(x, GROUPS, 32, "block3a_expand")
    assert part.shape == (None, 16, 16, 24)
    assert list(found)[-1] == "block3a_expand"


def test_shortcut_only_where_shapes_agree():
    x = keras.Input((16, 16, 4))
    model = keras.Model(x, inverted_residuals(x, GROUPS, 32, None)[0])
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)] == [
        "block1a_add",
        "block2b_add",
        "block3b_add",
    ]


def test_relu6_behind_the_normalisation():
    x = keras.Input((8, 8, 2))
    model = keras.Model(x, conv_bn(x, 2, 1, "c"))
    model.get_layer("c_conv").set_weights([np.eye(2)[None, None]])
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype("float32") * 6
    expected = np.clip(image / np.sqrt(1 + 1e-3), 0, 6)
    np.testing.assert_allclose(np.asarray(model(image)), expected, rtol=1e-5, atol=1e-5)
