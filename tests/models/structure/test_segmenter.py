import warnings

import keras
import numpy as np
import pytest

from kseg import backbones, inference, models
from kseg.backbones import VGG16
from kseg.errors import KsegWarning, SettingsError
from kseg.losses import CrossEntropy
from kseg.metrics import MeanIoU
from kseg.models import FCN


@pytest.fixture
def model():
    return FCN(VGG16(widths=(4, 4, 4, 4, 4), filters=4, name="vgg16"), 2, stride=32)


def test_classes_and_palette_count(model):
    with pytest.raises(ValueError, match="needs 2 entries"):
        model.classes = ("only one",)
    with pytest.raises(ValueError, match="needs 2 entries"):
        model.palette = [(0, 0, 0)] * 3


def test_compiled_model_loads_with_its_loss(model, tmp_path):
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    image, label = np.ones((2, 32, 32, 3), "float32"), np.ones((2, 32, 32), "uint8")
    model.fit(image, label, verbose=0)
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras")
    assert twin.optimizer.iterations == 1
    assert twin.evaluate(image, label, verbose=0) == pytest.approx(model.evaluate(image, label, verbose=0))


def test_the_working_size_is_saved(model, tmp_path):
    model.save(tmp_path / "any.keras")
    model.working_size = (48, 64)
    model.save(tmp_path / "one.keras")
    found = [keras.saving.load_model(tmp_path / f"{name}.keras").working_size for name in ("any", "one")]
    assert found == [None, (48, 64)]
    for wrong in (300, "ab", (0, 5), (3, 4, 5), (64.0, 64.0)):
        with pytest.raises(ValueError, match="height, width"):
            model.working_size = wrong


def test_cloning_shares_nothing(model):
    twin = keras.models.clone_model(model)
    assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
    assert twin.count_params() == model.count_params()


def test_losses_of_probabilities_are_warned_of(model):
    with pytest.warns(KsegWarning, match="gives logits, and sparse_categorical_crossentropy"):
        model.compile("sgd", "sparse_categorical_crossentropy")
    with warnings.catch_warnings():
        warnings.simplefilter("error", KsegWarning)
        model.compile("sgd", CrossEntropy(), metrics=["accuracy", MeanIoU(2)])


def test_class_weight_belongs_to_the_loss(model):
    model.compile("sgd", CrossEntropy())
    image, label = np.ones((2, 32, 32, 3), "float32"), np.ones((2, 32, 32), "uint8")
    with pytest.raises(SettingsError, match=r"CrossEntropy\(class_weights"):
        model.fit(image, label, class_weight={0: 1.0, 1: 2.0}, verbose=0)


def test_callbacks_of_keras_know_which_score_is_better(model, tmp_path):
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "m.keras", monitor="val_mean_iou", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_mean_iou"),
        keras.callbacks.ReduceLROnPlateau(monitor="val_mean_iou"),
    ]
    model.compile("sgd", CrossEntropy(), metrics=[MeanIoU(2)])
    image, label = np.ones((2, 32, 32, 3), "float32"), np.ones((2, 32, 32), "uint8")
    model.fit(image, label, validation_data=(image, label), callbacks=callbacks, verbose=0)
    assert all(bool(callback.monitor_op(2.0, 1.0)) for callback in callbacks)
    assert keras.saving.load_model(tmp_path / "m.keras").loss.ignore_label == 255


HEADS = [
    lambda b: models.PSPNet(b, 3, filters=2),
    lambda b: models.DeepLabV2(b, 3, rates=(1,)),
    lambda b: models.DeepLabV3(b, 3, rates=(2,), filters=2),
    lambda b: models.DeepLabV3Plus(b, 3, rates=(2,), filters=2, mix=True),
    lambda b: models.DilatedFCN(b, 3, filters=2, concatenate=True),
    lambda b: models.LRASPP(b, 3, filters=2),
]


@pytest.mark.full
@pytest.mark.parametrize("head", HEADS)
def test_a_backbone_whose_layers_have_the_heads_names(head, tmp_path):
    """keras.applications' MobileNetV3 has "conv", DenseNet "bn" and "relu"; a user's own anything."""
    plain = backbones.ResNet(18, filters=1)
    names = {layer.name for layer in head(plain).layers} - {layer.name for layer in plain.layers} - {"logits"}
    image = x = keras.Input((None, None, 3))
    for name in sorted(names):
        x = keras.layers.Rescaling(0.9, name=name)(x)
    stages = {}
    for number in range(1, 6):
        x = keras.layers.Conv2D(2, 3, 2, "same", name=f"own{number}")(x)
        stages[f"stage{number}"] = x
    model = head(backbones.Backbone(image, stages, output_stride=32))
    assert {f"head_{name}" for name in names} <= {layer.name for layer in model.layers}
    if not isinstance(model, (models.DeepLabV2, models.LRASPP)):
        models.with_auxiliary_head(model, filters=2)
    model.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 33, 47, 3)).astype("uint8")
    again = models.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(pixels)), np.asarray(model(pixels)))


@pytest.mark.full
def test_one_class_is_background_and_object(tmp_path):
    model = models.LRASPP(backbones.ResNet(18, filters=1), 1, filters=2)
    model.classes, model.palette = ("ground", "road"), ((0, 0, 0), (9, 9, 9))
    with pytest.raises(SettingsError, match="needs 2 entries"):
        model.classes = ("road",)
    model.save(tmp_path / "one.keras")
    again = keras.saving.load_model(tmp_path / "one.keras")
    assert again.classes == ("ground", "road")
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 47, 3)).astype("float32")
    logits = np.asarray(again(image))
    assert logits.shape == (1, 33, 47, 1)
    found = inference.Predictor(again)
    np.testing.assert_array_equal(found(image[0]), (logits[0, ..., 0] > 0).astype("uint8"))
    expected = 1 / (1 + np.exp(-logits[0, ..., 0]))
    np.testing.assert_allclose(found.probabilities(image[0])[..., 1], expected, rtol=1e-3, atol=1e-5)
