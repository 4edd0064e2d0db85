"""Starting from another model's file."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import kseg
from kseg import models
from kseg.errors import ModelError
from kseg.training import SGD, default_recipe, initialise_from, objective_of
from kseg.training.initialise import initialise_second_head


def stage(skip, classes=3):
    """A net with "fr" scores, and with "skip" also zero-initialised scores of an earlier map."""
    image = keras.Input((None, None, 3))
    body = keras.layers.Conv2D(4, 3, padding="same", name="body")(image)
    norm = keras.layers.BatchNormalization(name="norm")(body)
    x = keras.layers.Conv2D(classes, 1, name="score_fr")(norm)
    if skip:
        earlier = keras.layers.Conv2D(classes, 1, kernel_initializer="zeros", name="score_skip")(body)
        x = keras.layers.Add(name="fuse")([x, earlier])
    return keras.Model(image, x)


@pytest.mark.parametrize("file", ["a.keras", "a.weights.h5"])
def test_the_next_stage_begins_with_the_scores_of_the_one_before(file, tmp_path):
    before, after = stage(False), stage(True)
    before.compile(SGD(0.01), "mse")
    images = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")
    before.train_on_batch(images, np.ones((2, 5, 7, 3)))
    (before.save if file.endswith(".keras") else before.save_weights)(tmp_path / file)
    assert np.abs(before(images) - after(images)).max() > 0.01
    done = initialise_from(after, tmp_path / file)
    assert done.copied == ("body", "norm", "score_fr")
    assert done.kept == ("score_skip",)
    assert done.unused == ()
    np.testing.assert_array_equal(after(images), before(images))
    assert "score_skip" in str(done)


def test_other_number_of_classes_keeps_its_scores(tmp_path):
    before, after = stage(True), stage(False, classes=5)
    own = after.get_layer("score_fr").get_weights()
    before.save(tmp_path / "a.keras")
    done = initialise_from(after, tmp_path / "a.keras")
    assert done.copied == ("body", "norm")
    assert done.kept == ("score_fr",)
    assert set(done.unused) == {"score_fr", "score_skip"}
    for one, two in zip(after.get_layer("score_fr").get_weights(), own, strict=True):
        np.testing.assert_array_equal(one, two)


def test_models_inside_models(tmp_path):
    inner = stage(False)
    image = keras.Input((None, None, 3))
    outer = keras.Model(image, keras.layers.ReLU()(inner(image)))
    stage(False).save(tmp_path / "a.keras")
    assert initialise_from(outer, tmp_path / "a.keras").copied == ("body", "norm", "score_fr")
    outer.save(tmp_path / "b.keras")
    again = stage(False)
    initialise_from(again, tmp_path / "b.keras")
    for one, two in zip(again.get_weights(), outer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.full
@pytest.mark.parametrize(
    "name",
    [
        "fcn8s_efficientnetlite0",
        *(
            pytest.param(f"{family}_efficientnetlite0", marks=pytest.mark.slow)
            for family in ("deconvnet", "deeplabv2", "pspnet")
        ),
    ],
)
def test_every_layer_of_a_net_of_the_catalog_finds_its_weights(name, tmp_path):
    first, second = (models.build(name, 4, weights=None) for _ in range(2))
    random = np.random.default_rng(0)
    for variable in first.variables:
        if variable.dtype == "float32":
            variable.assign(random.normal(size=variable.shape))
    first.save(tmp_path / "a.keras")
    done = initialise_from(second, tmp_path / "a.keras")
    assert done.kept == ()
    assert done.unused == ()
    for one, two in zip(second.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_nothing_fits(tmp_path):
    image = keras.Input((4,))
    keras.Model(image, keras.layers.Dense(2, name="other")(image)).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="other"):
        initialise_from(stage(False), tmp_path / "a.keras")


@pytest.mark.parametrize("file", ["a.keras", "a.weights.h5", "missing.keras"])
def test_other_files_are_refused(file, tmp_path):
    if "missing" not in file:
        (tmp_path / file).write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ModelError, match=file):
        initialise_from(stage(False), tmp_path / file)


def test_a_net_of_bfloat16_gives_its_weights(tmp_path):
    """HDF5 has no such type: Keras writes two bytes a number and says so in an attribute."""
    image = keras.Input((None, None, 3))
    body = keras.layers.Conv2D(4, 3, dtype="bfloat16", name="body")
    keras.Model(image, body(image)).save(tmp_path / "a.keras")
    after = stage(False)
    assert initialise_from(after, tmp_path / "a.keras").copied == ("body",)
    kernel = np.asarray(keras.ops.cast(body.kernel, "float32"))
    np.testing.assert_array_equal(after.get_layer("body").kernel, kernel)


def _twins():
    """Two layers of one name and shape, each inside of another one."""
    image = keras.Input((None, None, 3))
    body = keras.layers.Conv2D(3, 1, name="body")(image)
    first, second = (keras.Sequential([keras.layers.Conv2D(3, 1, name="twin")], name=n) for n in "ab")
    return keras.Model(image, second(first(body)))


def test_twins_are_not_mixed_up(tmp_path):
    first, second = _twins(), _twins()
    first.save(tmp_path / "a.keras")
    before = second.get_layer("a").get_weights()
    done = initialise_from(second, tmp_path / "a.keras")
    assert (done.copied, done.kept, done.unused) == (("body",), ("twin", "twin"), ("twin",))
    np.testing.assert_array_equal(second.get_layer("a").get_weights()[0], before[0])


@pytest.mark.full
def test_a_second_head_goes_on_from_a_file_that_has_one(tmp_path):
    def network(classes):
        backbone = kseg.backbones.ResNet(18, filters=4, output_stride=8)
        return kseg.models.DilatedFCN(backbone, classes, filters=4)

    full = kseg.models.with_auxiliary_head(network(3), filters=6, stage="stage3")
    full.get_layer("auxiliary_bn").gamma.assign(np.linspace(1, 2, 6))
    full.save(tmp_path / "full.keras")
    full.segmenter.save(tmp_path / "plain.keras")
    for classes, file, words in (
        (3, "full.keras", "goes on from the file"),
        (5, "full.keras", "goes on from the file, but for auxiliary_score"),
        (3, "plain.keras", "starts from random weights"),
    ):
        model, said = models.with_classes(models.load(tmp_path / file), classes), []
        recipe = default_recipe(model, "mine", "mine")
        assert recipe.auxiliary_weight == (0.4 if file == "full.keras" else None)
        made = objective_of(model, recipe.replace(auxiliary_weight=0.4))
        trainer = SimpleNamespace(training_model=made.model, own_layers=made.own_layers)
        initialise_second_head(trainer, tmp_path / file, said.append)
        assert words in said[0]
        if file == "full.keras":
            heads = {layer.name: layer for layer in made.own_layers}
            for name in ("auxiliary_conv", "auxiliary_bn"):
                for mine, theirs in zip(heads[name].weights, full.get_layer(name).weights, strict=True):
                    np.testing.assert_array_equal(mine, theirs)
