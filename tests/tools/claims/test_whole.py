"""Whole networks: recipes that differ in one thing, stages one after the other, networks scored together."""

import keras
import numpy as np
import pytest

import kseg

pytestmark = pytest.mark.tensorflow
CHANGED = {
    "whole-psp-auxiliary": {"auxiliary_weight"},
    "whole-psp-step": {"schedule", "step_every"},
    "whole-psp-one-scale": {"scale"},
    "whole-psp-one-rate": {"head_multiplier"},
    "whole-psp-batch-4": {"batch_size"},
    "whole-psp-inputs": {"input_scales"},
}


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (6, 5, 7)).astype(np.uint8).repeat(16, 1).repeat(16, 2)
    pixels = (masks[..., None] * 120 + rng.integers(0, 40, (*masks.shape, 3))).astype(np.uint8)
    return [kseg.data.from_arrays(pixels, masks, classes=["a", "b"], split=split) for split in ("train", "val")]


def tiny(classes):
    return kseg.models.LiteFPN(kseg.backbones.DeepLabMobileNetV2(0.25), classes, context=8)


@pytest.mark.parametrize("key", CHANGED)
def test_variants_of_pspnet_change_one_thing(claims, key):
    networks = {network.key: network for network in claims.whole.NETWORKS}
    base, other = (
        claims.whole.recipe_of(networks[name], {}, 3, 30).to_flat() for name in ("whole-psp-base", key)
    )
    assert {name for name in base if base[name] != other[name]} - {"name"} == CHANGED[key]


def test_members_are_networks_on_the_same_data(claims):
    data = {network.key: network.data for network in claims.whole.NETWORKS}
    for scored in claims.whole.SCORED:
        assert {data[key] for key in scored.members} == {scored.data}


@pytest.mark.full
def test_stages_share_the_steps_and_start_from_each_other(claims, images, tmp_path, monkeypatch):
    trained = []

    def fit(model, recipe, train, val, out, init_from=None, **settings):
        trained.append((recipe.crops, recipe.steps_per_epoch, init_from))
        out.mkdir()
        (out / "last.keras").write_text("")
        return [{"loss": 1.0}]

    monkeypatch.setattr(kseg.training, "fit", fit)
    network = claims.whole.Network("stages", tiny, data="people", stages=claims.whole.TWO_STAGES, times=2)
    claims.whole.run(network, 0, tmp_path, images, steps=7)
    assert trained == [("objects", 7, None), ("proposals", 7, tmp_path / "before.keras")]


@pytest.mark.full
def test_networks_are_trained_and_scored_together(claims, images, tmp_path, monkeypatch):
    """The mean of two networks has the mean IoU that their probabilities, averaged by hand, have."""
    monkeypatch.setitem(claims.whole.SIZES, "camvid", (80, 112))
    scored = claims.whole.Scored("mean", ("one", "two"), claims.whole.ensemble("mean"))
    monkeypatch.setattr(claims.whole, "SCORED", (scored,))
    with pytest.raises(kseg.errors.SettingsError, match=r"one-4\.keras is not there"):
        claims.whole.run(scored, 4, tmp_path, images, steps=1)
    for key in scored.members:
        line = claims.whole.run(claims.whole.Network(key, tiny), 4, tmp_path, images, steps=1)
        assert 0 <= line["mean_iou"] <= 1
        assert line["weights"] > 0
    line = claims.whole.run(scored, 4, tmp_path, images, steps=1)
    models = [keras.models.load_model(tmp_path / f"{key}-4.keras", compile=False) for key in scored.members]
    pixels, masks = (np.stack(part) for part in zip(*(images[1][index] for index in range(6)), strict=True))
    mean = np.mean([keras.ops.softmax(model(pixels)) for model in models], axis=0).argmax(-1)
    ious = [np.sum((mean == c) & (masks == c)) / np.sum((mean == c) | (masks == c)) for c in (0, 1)]
    assert line["mean_iou"] == pytest.approx(np.mean(ious), abs=1e-3)
