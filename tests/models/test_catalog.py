import keras
import numpy as np
import pytest

from kseg import models
from kseg.errors import ModelError, SettingsError

# Parameters of the published nets at 21 classes, fixed upsampling not counted.
PUBLISHED = {"fcn32s_vgg16": 134_346_581, "fcn16s_vgg16": 134_357_354, "fcn8s_vgg16": 134_362_751}
PUBLISHED["fcn8s_atonce_vgg16"] = PUBLISHED["fcn8s_vgg16"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    assert models.build(name, 21).count_params() == PUBLISHED[name]


LITE = [name for name in models.names() if "lite0" in name]
EVERY_DAY = {"fcn8s_efficientnetlite0", "deeplabv3plus_efficientnetlite0", "pspnet_efficientnetlite0"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in EVERY_DAY else pytest.mark.full) for n in LITE])
def test_builds_and_runs(name):
    model = models.build(name, 4, weights=None)
    assert model.name == name
    assert np.asarray(model(np.zeros((1, 32, 64, 3), "uint8"))).shape == (1, 32, 64, 4)


@pytest.mark.full
@pytest.mark.parametrize(
    "name",
    [
        "deconvnet_small",
        pytest.param("pspnet_efficientnetlite0", marks=pytest.mark.slow),
        pytest.param("deeplabv3plus_efficientnetlite0", marks=pytest.mark.slow),
    ],
)
def test_random_weights_come_from_the_seed_and_from_no_other_layer(name):
    first, again, other = (_drawn(name, seed) for seed in (1, 1, 2))
    for path, kernel in first.items():
        np.testing.assert_array_equal(kernel, again[path])
        assert not np.array_equal(kernel, other[path]), path
    assert len({kernel.tobytes() for kernel in first.values()}) == len(first)


def _drawn(name, seed):
    """The kernels by path that do not start at one value, nor as a fixed enlargement."""
    keras.utils.set_random_seed(seed)
    model = models.build(name, 3, weights=None)
    found = {v.path: np.asarray(v) for v in model.trainable_variables if "kernel" in v.name}
    return {path: kernel for path, kernel in found.items() if kernel.std()}


def test_packaged_weights_are_used():
    """ImageNet features differ from random ones: the stem's kernel is the same in two builds."""
    first, second = (models.build("fcn8s_efficientnetlite0", 4) for _ in range(2))
    for a, b in zip(first.backbone.variables, second.backbone.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.full
def test_dtype_policy_is_for_this_model_only():
    model = models.build("fcn32s_efficientnetlite0", 4, weights=None, dtype="mixed_float16")
    assert model.compute_dtype == "float16"
    assert models.build("fcn32s_efficientnetlite0", 4, weights=None).compute_dtype == "float32"


def test_descriptions_tell_the_entries_apart():
    assert len({models.describe(name) for name in models.names()}) == len(models.names())
    assert models.describe("fcn16s_vgg16").endswith("(stride 16)")


def test_every_entry_is_described():
    for name in models.names():
        assert len(models.describe(name)) > 20


def test_unknown_name_suggests():
    with pytest.raises(ModelError, match="fcn8s_vgg16"):
        models.build("fcn8_vgg16", 21)


def test_no_class_is_refused():
    with pytest.raises(SettingsError, match="num_classes"):
        models.build("fcn8s_vgg16", 0)


def test_an_encoder_goes_with_a_head_alone():
    with pytest.raises(SettingsError, match="has its encoder"):
        models.build("fcn8s_vgg16", 2, encoder="resnet50")


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("fcn32s_vgg16", (122.67891434, 116.66876762, 104.00698793)),  # voc_layers.py of the release
        ("deconvnet_vgg16", (122.67891434, 116.66876762, 104.00698793)),
        ("deeplabv1_vgg16", (122.675, 116.669, 104.008)),  # train.prototxt
        ("deeplabv2_resnet101", (122.675, 116.669, 104.008)),
        ("pspnet_resnet50", (123.68, 116.779, 103.939)),  # pspnet's evaluation code
    ],
)
def test_names_that_promise_a_paper_have_its_mean(name, mean, monkeypatch):
    """Caught while the network is being built: the first layer is all that is needed."""

    class Found(Exception):
        pass

    def stop(means, *_, **__):
        raise Found(means)

    for module in ("vgg", "vgg_bn", "deeplab_vgg", "resnet"):
        monkeypatch.setattr(f"kseg.backbones.{module}.Normalize", stop)
    with pytest.raises(Found) as caught:
        models.build(name, 3)
    assert caught.value.args[0] == mean
