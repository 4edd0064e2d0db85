import keras
import numpy as np
import pytest

from kseg.errors import ModelError, SettingsError
from kseg.webcam.segmentation import Segmentation, foreground, load, softmax
from kseg.webcam.smoothing import Smoothing, labels_of


class Runner:
    names, palette = None, None

    def __init__(self, function, size=None, output="logits"):
        self.function, self.size, self.output = function, size, output

    def __call__(self, image):
        return self.function(image)


def test_frames_come_as_rgb_at_the_models_size():
    seen = []

    def function(image):
        seen.append(image)
        return np.zeros((*image.shape[:2], 3), np.float32)

    model = Segmentation(Runner(function, (6, 8)))
    frame = np.zeros((12, 16, 3), np.uint8)
    frame[..., 0] = 200  # blue first, as OpenCV has it
    assert model(frame).shape == (6, 8, 3)
    np.testing.assert_array_equal(seen[-1][0, 0], [0, 0, 200])
    assert seen[-1].dtype == np.uint8
    assert model.classes == ("class 0", "class 1", "class 2")
    assert len(model.palette) == 3


def test_a_fixed_size_is_kept():
    with pytest.raises(SettingsError, match=r"takes 6x8 pixels only.*--precision float32"):
        Segmentation(Runner(lambda x: x, (6, 8)), (8, 8))


@pytest.mark.parametrize("classes", [2, 5])
def test_softmax_as_the_formula_says(classes):
    logits = np.random.default_rng(0).normal(size=(4, 5, classes)).astype("float32") * 6
    powers = np.exp(logits.astype("float64"))
    np.testing.assert_allclose(softmax(logits), powers / powers.sum(-1, keepdims=True), atol=1e-5)


def test_what_the_values_are_is_decided_once_not_by_each_frame():
    """A frame whose logits look like probabilities gets a softmax as every other does; one pixel changes no other."""
    given = np.random.default_rng(0).dirichlet(np.ones(4), (3, 3)).astype("float32")
    powers = np.exp(given.astype("float64"))
    as_logits = Segmentation(Runner(lambda image: given, (3, 3)))
    np.testing.assert_allclose(
        as_logits.probabilities(given), powers / powers.sum(-1, keepdims=True), atol=1e-6
    )
    other = given.copy()
    other[0, 0] = 7, -3, 0, 1
    np.testing.assert_array_equal(as_logits.probabilities(other)[1:], as_logits.probabilities(given)[1:])
    as_probabilities = Segmentation(Runner(lambda image: given, (3, 3), "probabilities"))
    np.testing.assert_array_equal(as_probabilities.probabilities(given), given)
    np.testing.assert_array_equal(as_probabilities.probabilities(other), other)


def test_one_channel_is_foreground():
    mask = np.array([[[0.25], [0.9]]], "float32")
    np.testing.assert_allclose(foreground(mask, logits=False)[0], [[0.75, 0.25], [0.1, 0.9]], atol=1e-6)
    np.testing.assert_allclose(
        foreground(mask, logits=True)[..., 1], 1 / (1 + np.exp([[-0.25, -0.9]])), atol=1e-6
    )


def test_class_ids_are_taken_too():
    """Also such as come later than with the first image, and with an axis for the one channel."""
    given = [np.zeros((2, 2), np.int64), np.array([[0, 2], [1, 40]]), np.array([[[0], [2]], [[1], [40]]])]
    model = Segmentation(Runner(lambda image: given.pop(0), (2, 2), "labels"))
    for _ in range(2):
        found = model(np.zeros((4, 4, 3), np.uint8))
        np.testing.assert_array_equal(found, [[0, 2], [1, 40]])
        assert found.dtype == np.uint8
    assert model.classes[40] == "class 40"
    assert len(set(model.palette)) == 256


def test_ids_go_through_smoothing_and_are_enlarged_by_the_nearest():
    ids = np.array([[0, 40], [255, 1]], np.uint8)
    np.testing.assert_array_equal(labels_of(Smoothing(0.5)(ids), (4, 4)), np.kron(ids, np.ones((2, 2))))


def test_outputs_that_are_no_maps_are_refused():
    with pytest.raises(ModelError, match=r"output of shape \(5,\)"):
        Segmentation(Runner(lambda image: np.zeros(5, np.float32)))


def test_more_classes_than_ids_have_room_for_are_refused():
    with pytest.raises(ModelError, match="gives 300 classes; expected 256"):
        Segmentation(Runner(lambda image: np.zeros((4, 4, 300), np.float32)))


def test_voc_models_have_vocs_names():
    model = Segmentation(Runner(lambda image: np.zeros((2, 2, 21), np.float32)))
    assert model.classes[15] == "person"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nowhere.tflite", "no such model file"),
        ("nobody", "no preset named 'nobody'"),
        ("runs/x/last.h5", "expected a preset's name"),
    ],
)
def test_models_that_are_not_there(what, words):
    with pytest.raises(ModelError, match=words):
        load(what)


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"0000nothing")
    with pytest.raises(ModelError, match="not a TFLite file"):
        load(str(tmp_path / "a.tflite"))
    with pytest.raises(SettingsError, match="one of 0"):
        load(str(tmp_path / "a.tflite"), values="0..2")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small Keras model that scores red against blue, as files of every kind."""

    from kseg import export

    folder = tmp_path_factory.mktemp("models")
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(2, 1)
    model = keras.Model(image, layer(image))
    layer.set_weights([np.array([[[[0, 1], [0, 0], [1, 0]]]]) / 50, np.zeros(2)])
    model.save(folder / "m.keras")
    export.tflite(model, folder / "m.tflite", size=(16, 24))
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 16, 24, 3)).astype("float32")
    export.tflite(model, folder / "q.tflite", size=(16, 24), precision="int8", calibration=pictures)
    export.tflite(model, folder / "d.tflite", size=(16, 24), dynamic=True)
    return folder


@pytest.mark.parametrize("name", ["m.keras", "m.tflite", "q.tflite", "d.tflite"])
def test_files_of_every_kind_agree(exported, name):
    model = load(str(exported / name), size=(16, 24))
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, :24, 2], frame[:, 24:, 0] = 255, 255  # red on the left, blue on the right
    found = model(frame)
    assert found.shape == (16, 24, 2)
    np.testing.assert_allclose(found[:, :10, 1], 1 / (1 + np.exp(-255 / 50)), atol=0.01)
    np.testing.assert_allclose(found[:, 14:, 0], 1 / (1 + np.exp(-255 / 50)), atol=0.01)


@pytest.mark.parametrize("kind", ["keras", pytest.param("tflite", marks=pytest.mark.full), "int8"])
@pytest.mark.parametrize("end", ["softmax", pytest.param("sigmoid", marks=pytest.mark.full)])
def test_models_that_give_probabilities(tmp_path, end, kind):
    """The probabilities of a frame are the model's own output, in every kind of file."""

    from kseg import export

    image = keras.Input((8, 12, 3))
    layer = keras.layers.Conv2D(3, 1, kernel_initializer="orthogonal")
    model = keras.Model(image, keras.layers.Activation(end)(layer(image / 60)))
    path = tmp_path / ("m.keras" if kind == "keras" else "m.tflite")
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3)).astype("uint8")
    if kind == "keras":
        model.save(path)
    else:
        export.tflite(model, path, precision="int8" if kind == "int8" else "float32", calibration=pictures)
    expected = np.asarray(model(pictures[:1].astype("float32")))[0]
    found = load(str(path))(pictures[0][..., ::-1])
    np.testing.assert_allclose(found, expected, atol=0.03 if kind == "int8" else 1e-4)
    with pytest.raises(SettingsError, match="output-kind"):
        load(str(path), output="softmax")
    if kind == "tflite":
        powers = np.exp(expected.astype("float64"))
        found = load(str(path), output="logits")(pictures[0][..., ::-1])
        np.testing.assert_allclose(found, powers / powers.sum(-1, keepdims=True), atol=1e-4)


@pytest.mark.tensorflow
def test_threads_of_keras_models(exported, monkeypatch):
    import tensorflow as tf

    from kseg.errors import KsegWarning

    path, threading = str(exported / "m.keras"), tf.config.threading
    load(path).probabilities(np.zeros((4, 4, 2), np.float32))  # from here on TensorFlow is at work
    with pytest.warns(KsegWarning, match="threads=7: TensorFlow has begun to work"):
        load(path, threads=7)
    said = []
    monkeypatch.setattr(threading, "set_intra_op_parallelism_threads", said.append)
    load(path, threads=3)
    assert said == [3]


def test_wrong_rank_is_refused(tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "flat.keras")
    with pytest.raises(ModelError, match="not a segmentation model"):
        load(str(tmp_path / "flat.keras"))
    function = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    (tmp_path / "flat.tflite").write_bytes(converter.convert())
    with pytest.raises(ModelError, match=r"\(1, 4\).*expected one input"):
        load(str(tmp_path / "flat.tflite"))


def test_unknown_operations_are_named(tmp_path):
    import tensorflow as tf

    function = tf.function(
        lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")[0],
        input_signature=[tf.TensorSpec((1, 4, 4, 3), tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "flex.tflite").write_bytes(converter.convert())
    with pytest.raises(ModelError, match="FlexMaxPoolWithArgmax"):
        load(str(tmp_path / "flex.tflite"))


def test_presets_by_precision(monkeypatch, exported):
    import kseg.models

    monkeypatch.setattr(
        kseg.models,
        "preset_file",
        lambda name, kind: exported / {"int8": "q.tflite", "keras": "m.keras"}[kind],
    )
    assert load("people", threads=1).runner.size == (16, 24)  # the TFLite file has one size
    assert load("people", precision="float32").runner.size is None


def test_the_range_of_a_keras_model_is_honoured(tmp_path):
    """Class 1 where red is more than 0.2 above blue, of pixels from 0 to 1: a quarter of this frame."""

    image = keras.Input((64, 64, 3))
    layer = keras.layers.Conv2D(2, 1)
    model = keras.Model(image, layer(image))
    layer.set_weights([np.array([[[[0, 20.0], [0, 0], [0, -20.0]]]]), np.array([0, -4.0])])
    model.save(tmp_path / "m.keras")
    frame = np.full((64, 64, 3), 120, np.uint8)
    frame[16:48, 16:48, 2] = 180  # BGR
    frame[:8, :8, 2] = 150
    # 0..255: every red above blue; -1..1: 60 / 127.5 and 30 / 127.5 are both above 0.2.
    for values, share in ((None, 0.265625), ("0..1", 0.25), ("0..255", 0.265625), ("-1..1", 0.265625)):
        found = load(str(tmp_path / "m.keras"), values=values)(frame)
        assert (found.argmax(-1) == 1).mean() == share, values


@pytest.mark.parametrize("channels", [1, 2])
def test_a_threshold_moves_the_border_of_two_classes(channels):
    chance = np.random.default_rng(0).uniform(0.01, 0.99, (6, 8, 1)).astype("float32")
    given = chance if channels == 1 else np.concatenate([1 - chance, chance], -1)
    for threshold in (0.2, 0.5, 0.9):
        model = Segmentation(Runner(lambda image: given, (6, 8), "probabilities"), threshold=threshold)
        found = model(np.zeros((6, 8, 3), np.uint8))
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
        np.testing.assert_array_equal(labels_of(found, (6, 8)), chance[..., 0] > threshold)
        odds = chance[..., 0] / (1 - chance[..., 0]) * (1 - threshold) / threshold
        np.testing.assert_allclose(found[..., 1] / found[..., 0], odds, rtol=1e-3)


def test_a_threshold_needs_two_classes():
    with pytest.raises(SettingsError, match="one channel or two classes; of 3 the most probable is taken"):
        Segmentation(Runner(lambda image: np.zeros((6, 8, 3)), (6, 8)), threshold=0.3)
    with pytest.raises(SettingsError, match="this model gives class ids"):
        Segmentation(Runner(lambda image: np.zeros((6, 8)), (6, 8), "labels"), threshold=0.3)
