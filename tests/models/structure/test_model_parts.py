import keras
import numpy as np
import pytest

from kseg.backbones import ResNet
from kseg.errors import SettingsError
from kseg.models import DeepLabV2, DeepLabV3Plus
from kseg.models.structure.model_parts import layer_multipliers, layers_of_part


@pytest.fixture(scope="module")
def model():
    return DeepLabV3Plus(ResNet(18, filters=2, output_stride=16), 3, filters=4, rates=(2,))


def weights_of(layers):
    return {id(variable) for layer in layers for variable in layer.weights}


def test_backbone_and_head_are_everything_and_share_nothing(model):
    backbone, head = (weights_of(layers_of_part(model, part)) for part in ("backbone", "head"))
    assert backbone == weights_of([model.backbone])
    assert not backbone & head
    assert backbone | head == weights_of([model])


def test_stages_divide_the_backbone(model):
    stages = [weights_of(layers_of_part(model, stage)) for stage in model.backbone.stages]
    assert set.union(*stages) == weights_of([model.backbone])
    assert sum(map(len, stages)) == len(weights_of([model.backbone]))
    assert [layer.name for layer in layers_of_part(model, "score")] == ["score"]
    kinds = {type(layer).__mro__ for layer in layers_of_part(model, "batch_normalization")}
    assert all(keras.layers.BatchNormalization in kind for kind in kinds)


def test_the_last_factor_counts_and_frozen_layers_have_none(model):
    found = layer_multipliers(model, {"backbone": 0.1, "stage5": 0.5, "head": 2})
    assert {found[layer.name] for layer in layers_of_part(model, "stage5") if layer.weights} == {0.5}
    assert {found[layer.name] for layer in layers_of_part(model, "stage2") if layer.weights} == {0.1}
    assert found["score"] == 2.0
    layer = model.get_layer("score")
    layer.trainable = False
    assert "score" not in layer_multipliers(model, {"head": 2.0})
    layer.trainable = True


@pytest.mark.full
def test_layers_inside_of_layers_count():
    model = DeepLabV2(ResNet(18, filters=1, output_stride=8), 3, rates=(1, 2))
    model.compile("sgd", learning_rates={"backbone": 0.0, "head": 1.0})
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]
    image = np.random.default_rng(0).uniform(0, 255, (2, 33, 33, 3)).astype("float32")
    model.fit(image, np.random.default_rng(1).integers(0, 3, (2, 33, 33)), verbose=0)
    moved = {
        variable.path
        for variable, value in zip(model.trainable_variables, before, strict=True)
        if not np.array_equal(keras.ops.convert_to_numpy(variable), value)
    }
    assert {path.split("/")[0] for path in moved} == {"aspp"}


def test_refusals(model):
    with pytest.raises(SettingsError, match=r"no part 'neck': its parts are backbone, head, .*stage5"):
        layers_of_part(model, "neck")
    with pytest.raises(SettingsError, match="learning_rates"):
        layer_multipliers(model, {"backbone": -1})
    with pytest.raises(SettingsError, match="dict from part"):
        layer_multipliers(model, 0.1)
    plain = keras.Sequential([keras.layers.Dense(2, name="only")])
    assert [layer.name for layer in layers_of_part(plain, "only")] == ["only"]
    with pytest.raises(SettingsError, match="its parts are batch_normalization, and"):
        layers_of_part(plain, "backbone")
