import h5py
import keras
import numpy as np
import pytest

from kseg.backbones import TORCH, ResNet, weights
from kseg.errors import ModelError, SettingsError

IMAGE = np.random.default_rng(0).uniform(0, 255, (1, 65, 97, 3)).astype("float32")


def small(**arguments):
    return ResNet(50, filters=4, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width", "ceil"), [(65, 97, True), (64, 96, False)])
def test_features_of_keras_applications(height, width, ceil):
    """Random biases and statistics in Keras's ResNet-50, copied: its last features, from its own preprocessing."""
    theirs = keras.applications.ResNet50(include_top=False, weights=None)
    rng = np.random.default_rng(1)
    for variable in theirs.weights:
        if not variable.path.endswith("kernel"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    ours = ResNet(50, ceil_pooling=ceil, weights=theirs)
    image = rng.uniform(0, 255, (1, height, width, 3)).astype("float32")
    expected = np.asarray(theirs(keras.applications.resnet50.preprocess_input(image.copy())))
    features = np.asarray(ours(image)["stage5"])
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.std())


@pytest.mark.full
def test_biases_of_a_keras_applications_file_go_into_the_moving_means(tmp_path):
    """Such a file has a bias behind every kernel, which this network has no place for."""
    net = small()
    rng = np.random.default_rng(0)
    saved = {
        layer.name: [rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in layer.weights]
        for layer in net.layers
    }
    biases = {}
    for name in [name for name in saved if name.endswith("_conv")]:
        biases[name] = rng.normal(size=saved[name][0].shape[-1]).astype("float32")
        saved[name].append(biases[name])
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs["layer_names"] = list(saved)
        for name, arrays in saved.items():
            file.create_group(name).attrs["weight_names"] = [str(n) for n in range(len(arrays))]
            for number, array in enumerate(arrays):
                file[f"{name}/{number}"] = array
    found = small(weights=str(tmp_path / "r.h5"))
    for name, bias in biases.items():
        mean = saved[name.replace("_conv", "_bn")][2]
        moved = found.get_layer(name.replace("_conv", "_bn")).moving_mean
        np.testing.assert_allclose(moved, mean - bias, rtol=1e-6)
        np.testing.assert_array_equal(found.get_layer(name).kernel, saved[name][0])


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_stage_sizes(output_stride):
    """32 k + 1 pixels: every stage has (size - 1) / stride + 1 cells, the last ones at the output stride."""
    stages = small(output_stride=output_stride, stem="deep")(IMAGE)
    for number in range(1, 6):
        stride = min(2**number, output_stride)
        assert stages[f"stage{number}"].shape[1] == 64 // stride + 1
    channels = [stages[f"stage{n}"].shape[-1] for n in range(1, 6)]
    assert channels == [8, 16, 32, 64, 128]


@pytest.mark.full
def test_dilated_features_are_the_undilated_ones_between():
    """Stride in the 1x1: sampled at the old stride, the dilated net is the net."""
    plain, dilated = small(), small(output_stride=8)
    rng = np.random.default_rng(2)
    for a, b in zip(plain.variables, dilated.variables, strict=True):
        if a.path.endswith(("mean", "variance", "gamma", "beta")):
            a.assign(rng.uniform(0.5, 1.5, a.shape))
        b.assign(a)
    expected = np.asarray(plain(IMAGE)["stage5"])
    sampled = np.asarray(dilated(IMAGE)["stage5"])[:, ::4, ::4]
    np.testing.assert_allclose(sampled, expected, rtol=1e-3, atol=1e-4 * expected.std())


@pytest.mark.full
def test_config_round_trip():
    arguments = {
        "depth": 50,
        "stem": "deep",
        "stem_filters": (3, 5, 4),
        "output_stride": 16,
        "first_rate": "previous",
        "rate_in": "first",
        "multi_grid": (1, 2, 3),
        "shortcut": "average",
        "mean": (1.0, 2.0, 3.0),
        "std": (4.0, 5.0, 6.0),
        "bgr": False,
        "epsilon": 0.25,
        "stride_in": "3x3",
        "ceil_pooling": False,
        "filters": 4,
        "momentum": 0.8,
        "synchronized": True,
        "frozen_normalization": True,
    }
    backbone = ResNet(**arguments, name="r")
    again = ResNet.from_config(backbone.get_config())
    assert {k: again.get_config()[k] for k in arguments} == arguments
    assert not [v.path for v in again.trainable_variables if "_bn" in v.path]
    assert again.get_layer("conv3_block1_1_conv").strides == (1, 1)
    assert again.get_layer("conv3_block1_2_conv").strides == (2, 2)


@pytest.mark.full
def test_weights_of_another_net_are_refused():
    with pytest.raises(ModelError, match="no layer conv1_1_conv"):
        small(stem="deep", weights=small())
    with pytest.raises(ModelError, match="7x7 stem, not for ResNet-50"):
        small(weights="imagenet")


@pytest.mark.slow
def test_weights_of_a_deeper_net_are_refused(tmp_path):
    """They have every layer that the shallower one needs, of the same shapes."""
    deeper = ResNet(101, filters=2, name="r101")
    with pytest.raises(ModelError, match=r"r101: has conv4_block7_1_conv, which .*of the same depth"):
        ResNet(50, filters=2, weights=deeper)
    weights.save(deeper, tmp_path / "r.npz")
    with h5py.File(tmp_path / "r.h5", "w") as file:
        named = [layer for layer in deeper.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name for layer in named]
        for layer in named:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [str(number) for number in range(len(layer.weights))]
            for number, values in enumerate(layer.get_weights()):
                group[str(number)] = values
    for name in ("r.npz", "r.h5"):
        with pytest.raises(ModelError, match=rf"{name}: has conv4_block7_1_"):
            ResNet(50, filters=2, weights=tmp_path / name)
        ResNet(101, filters=2, weights=tmp_path / name)


@pytest.mark.parametrize(
    "arguments", [{"depth": 35}, {"stem": "5x5"}, {"output_stride": 4}, {"stride_in": "1"}]
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(SettingsError, match=f"`{next(iter(arguments))}` must be "):
        ResNet(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"multi_grid": (1, 2)},
        {"mean": (1, 2)},
        {"std": (1, 2, 0)},
        {"epsilon": 0},
        {"first_rate": 2},
        {"rate_in": "second"},
        {"shortcut": "max"},
        {"filters": 0},
        {"momentum": 2},
        {"bgr": "no"},
    ],
)
def test_values_out_of_range_are_refused(arguments):
    with pytest.raises(SettingsError, match=f"`{next(iter(arguments))}` must be "):
        ResNet(50, **arguments)


def test_stem_filters_without_the_deep_stem_are_refused():
    with pytest.raises(SettingsError, match="stem='deep'"):
        ResNet(50, stem_filters=(1, 2, 3))


@pytest.mark.full
def test_defaults_are_caffes():
    """As released with DeepLab v2 and PSPNet; TORCH is torchvision's."""
    config = small().get_config()
    expected = {
        "stem": "7x7",
        "stem_filters": None,
        "output_stride": 32,
        "first_rate": "stage",
        "rate_in": "both",
        "multi_grid": None,
        "stride_in": "1x1",
        "shortcut": "convolution",
        "ceil_pooling": True,
        "mean": (123.68, 116.779, 103.939),
        "std": (1, 1, 1),
        "bgr": True,
        "epsilon": 1.001e-5,
        "momentum": 0.95,
        "synchronized": False,
        "frozen_normalization": False,
    }
    assert {name: config[name] for name in expected} == expected
    assert TORCH["mean"] == tuple(255 * m for m in (0.485, 0.456, 0.406))
    np.testing.assert_allclose(TORCH["std"], [255 * s for s in (0.229, 0.224, 0.225)])
    assert small(stem="deep").get_layer("conv1_3_conv").filters == 8


@pytest.mark.full
@pytest.mark.parametrize(
    ("output_stride", "rates"), [(8, {"4": 2, "5": 4}), (16, {"4": 1, "5": 2}), (32, {"4": 1, "5": 1})]
)
def test_rates(output_stride, rates):
    for first, divisor in (("stage", 1), ("previous", 2)):
        backbone = small(output_stride=output_stride, first_rate=first)
        for stage, rate in rates.items():
            found = [
                backbone.get_layer(f"conv{stage}_block{block}_2_conv").dilation_rate[0] for block in (1, 2, 3)
            ]
            assert found == [max(rate // divisor, 1), rate, rate]


@pytest.mark.parametrize("last_stage", ["stage3", pytest.param("stage4", marks=pytest.mark.full)])
def test_a_network_that_ends_early_is_the_beginning_of_the_whole_one(last_stage):
    whole, early = small(output_stride=8), small(output_stride=8, last_stage=last_stage)
    assert list(early.stages) == [f"stage{n}" for n in range(1, int(last_stage[-1]) + 1)]
    for layer in early.layers:
        layer.set_weights(whole.get_layer(layer.name).get_weights())
    np.testing.assert_array_equal(early(IMAGE)[last_stage], whole(IMAGE)[last_stage])
    again = ResNet.from_config(early.get_config())
    assert [v.path for v in again.variables] == [v.path for v in early.variables]
    with pytest.raises(SettingsError, match="multi_grid"):
        small(last_stage=last_stage, multi_grid=(1, 2, 4))
