import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg.backbones import Backbone
from kseg.errors import ModelError, SettingsError
from kseg.models import FCN, DeepLabV2, MultiScale, load

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter

RNG = np.random.default_rng(0)


@keras.saving.register_keras_serializable(package="test_multi_scale")
class Tiny(Backbone):
    """Symmetric convolutions of stride 2: cell i of a stage of stride s stands at pixel s i."""

    def __init__(self, depth=3, name="tiny"):
        image = keras.Input((None, None, 3), name="image")
        x = keras.layers.Rescaling(1 / 127, -1, name="normalize")(image)
        stages = {}
        for number in range(1, depth + 1):
            x = keras.layers.ZeroPadding2D(1, name=f"pad{number}")(x)
            x = keras.layers.Conv2D(3, 3, 2, activation="relu", name=f"conv{number}")(x)
            stages[f"stage{number}"] = x
        super().__init__(image, stages, name=name)
        self.depth, self.output_stride = depth, 2**depth

    def get_config(self):
        return {"depth": self.depth, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def test_contract(tmp_path):
    check_segmenter(MultiScale(DeepLabV2(Tiny(), 3, rates=(1, 2)), (0.5, 1, 1.5)), tmp_path)


@pytest.mark.parametrize("align_corners", [True, False])
def test_highest_score_of_all_scales(align_corners):
    """Pictures and scores resized by numpy.interp."""
    model = DeepLabV2(Tiny(), 2, rates=(1,), align_corners=align_corners)
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape) * 0.3)
    image = RNG.uniform(0, 255, (1, 33, 33, 3)).astype("float32")
    network = keras.Model(model.input, model.get_layer("logits").input[0])
    maps = []
    for side in (33, 17 if align_corners else 16):
        at = np.linspace(0, 32, side) if align_corners else (np.arange(side) + 0.5) * 33 / side - 0.5
        x = image
        for axis in (1, 2):
            x = np.apply_along_axis(lambda line, at=at: np.interp(at, np.arange(33), line), axis, x)
        scores = np.asarray(network(x.astype("float32")))
        length = scores.shape[1]
        at = np.linspace(0, length - 1, 5) if align_corners else (np.arange(5) + 0.5) * length / 5 - 0.5
        for axis in (1, 2):
            scores = np.apply_along_axis(
                lambda line, at=at, n=length: np.interp(at, np.arange(n), line), axis, scores
            )
        maps.append(scores)
    at = np.arange(33) / 8 if align_corners else (np.arange(33) + 0.5) / 8 - 0.5
    expected = np.max(maps, axis=0)
    for axis in (1, 2):
        expected = np.apply_along_axis(lambda line: np.interp(at, np.arange(5), line), axis, expected)
    got = np.asarray(MultiScale(model, (0.5, 1))(image))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_one_scale_is_the_model_and_the_file_is_a_segmenter(tmp_path):
    model = DeepLabV2(Tiny(), 3, rates=(1,))
    model.classes, model.palette = ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2))
    image = RNG.uniform(0, 255, (2, 41, 25, 3)).astype("float32")
    np.testing.assert_allclose(
        np.asarray(MultiScale(model, (1,))(image)), np.asarray(model(image)), atol=1e-6
    )
    MultiScale(model).save(tmp_path / "scales.keras")
    again = load(tmp_path / "scales.keras")
    assert (again.scales, again.classes, again.num_classes) == ((0.5, 0.75, 1.0), ("a", "b", "c"), 3)
    assert again.count_params() == model.count_params()


def test_logits_are_fused_of_a_model_without_an_enlargement():
    model = FCN(Tiny(5), 3, stride=8)
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape) * 0.3)
    image = RNG.uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    fused, plain = (np.asarray(one(image)) for one in (MultiScale(model, (0.5, 1)), model))
    assert fused.shape == plain.shape
    assert (fused >= plain - 1e-5).all()
    assert (fused > plain + 1e-3).any()


def test_the_working_size_stays_and_survives_saving(tmp_path):
    """What a preset works at: `MultiScale(from_preset("people"))` works at it too."""
    model = FCN(Tiny(5), 4, stride=32)
    model.working_size = (24, 40)
    wrapped = MultiScale(model, (0.5, 1.0))
    assert wrapped.working_size == (24, 40)
    wrapped.save(tmp_path / "m.keras")
    assert load(tmp_path / "m.keras").working_size == (24, 40)
    wrapped.working_size = (16, 16)
    wrapped.save(tmp_path / "m.keras")
    assert load(tmp_path / "m.keras").working_size == (16, 16)


def test_refusals():
    image = keras.Input((None, None, 3))
    with pytest.raises(ModelError, match="Segmenter"):
        MultiScale(keras.Model(image, keras.layers.Conv2D(2, 1)(image)))
    for scales in ((0.5, 0.75), (1, 1), (0, 1), (), (1, float("nan")), (1, float("inf")), ("a", 1), None):
        with pytest.raises(SettingsError, match="scales"):
            MultiScale(DeepLabV2(Tiny(), 3, rates=(1,)), scales)
