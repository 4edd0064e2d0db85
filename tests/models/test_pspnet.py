import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg import models
from kseg.backbones import ResNet
from kseg.errors import SettingsError
from kseg.models import PSPNet, with_auxiliary_head

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter

# released nets at 150 classes, auxiliary head left out
PUBLISHED = {50: 46_782_550, 101: 65_774_678, 152: 81_418_326, 269: 123_298_902}
AUXILIARY = 2_398_358


def small(**arguments):
    backbone = ResNet(50, filters=4, stem="deep", output_stride=8, name="resnet50")
    return PSPNet(backbone, 3, filters=4, **arguments)


def test_contract(tmp_path):
    check_segmenter(small(bins=(6, 2), mode="max", dropout=0.25, momentum=0.8), tmp_path)


@pytest.mark.full
def test_contract_of_the_form_of_segmentation_models_pytorch(tmp_path):
    backbone = ResNet(18, filters=4, output_stride=8, last_stage="stage3", name="resnet18")
    own = {"level_filters": 2, "kernel": 1, "score_kernel": 3, "upsampling": "corners"}
    check_segmenter(PSPNet(backbone, 3, filters=5, normalize_global=False, **own), tmp_path)


def test_auxiliary_head_trains_with_the_model_and_stays_outside_it():
    model = small()
    names = {v.path for v in model.trainable_variables}
    twin = with_auxiliary_head(model, filters=2)
    assert {v.path for v in model.trainable_variables} == names
    added = [v for v in twin.trainable_variables if v.path not in names]
    assert sum(int(np.prod(v.shape)) for v in added) == 9 * 64 * 2 + 2 * 2 + 2 * 3 + 3
    image = np.zeros((2, 33, 41, 3), "float32")
    outputs = twin(image)
    assert outputs["auxiliary"].shape == (2, 33, 41, 3)
    np.testing.assert_array_equal(np.asarray(outputs["logits"]), np.asarray(model(image)))


@pytest.mark.full
def test_a_second_head_is_saved_with_its_network_and_left_out_for_other_classes(tmp_path):
    twin = with_auxiliary_head(small(), filters=2, stage="stage3")
    twin.save(tmp_path / "twin.keras")
    again, image = keras.saving.load_model(tmp_path / "twin.keras"), np.full((1, 33, 41, 3), 90, "float32")
    assert (type(again.segmenter), again.second_head) == (PSPNet, (2, "stage3"))
    for name, expected in twin(image).items():
        np.testing.assert_array_equal(np.asarray(again(image)[name]), np.asarray(expected))
    loaded = models.load(tmp_path / "twin.keras")
    np.testing.assert_array_equal(np.asarray(loaded(image)), np.asarray(twin(image)["logits"]))
    other = models.with_classes(loaded, 5)
    assert (type(other), other.num_classes, other.second_head) == (PSPNet, 5, (2, "stage3"))
    np.testing.assert_array_equal(
        np.asarray(other.get_layer("conv").kernel), np.asarray(twin.get_layer("conv").kernel)
    )
    with pytest.raises(SettingsError, match="stage9"):
        with_auxiliary_head(small(), stage="stage9")


def test_without_bins_it_is_the_papers_baseline():
    model = small(bins=())
    names = [layer.name for layer in model.layers]
    assert "pyramid" not in names
    assert model.get_layer("conv").kernel.shape[2] == model.backbone.deepest.shape[-1] == 128
    config = {**model.get_config(), "backbone": model.backbone}
    for bins in ((), [], None):
        assert PSPNet.from_config({**config, "bins": bins}).bins == ()
    with pytest.raises(SettingsError, match="`bins` must be"):
        PSPNet.from_config({**config, "bins": 3})


@pytest.mark.tensorflow
def test_synchronised_as_a_whole():
    backbone = ResNet(50, filters=2, stem="deep", output_stride=8, synchronized=True, name="resnet50")
    model = PSPNet(backbone, 3, filters=2, synchronized=True)
    found = [
        layer.synchronized
        for layer in with_auxiliary_head(model, filters=2)._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(found) == 55 + 4 + 1 + 1  # ResNet-50 with the deep stem, the levels, the head, the second head
    assert all(found)


@pytest.mark.full
def test_one_pixel():
    image = np.full((1, 1, 1, 3), 200, "float32")
    logits = np.asarray(small(bins=(1, 2, 3, 6))(image))
    assert logits.shape == (1, 1, 1, 3)
    assert np.isfinite(logits).all()


@pytest.mark.slow
@pytest.mark.parametrize("depth", PUBLISHED)
def test_published_parameter_counts(depth):
    model = models.build(f"pspnet_resnet{depth}", 150)
    count = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    twin = with_auxiliary_head(model)
    assert count == PUBLISHED[depth]
    assert sum(int(np.prod(w.shape)) for w in twin.trainable_weights) == count + AUXILIARY
