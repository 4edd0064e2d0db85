"""`import_weights` and `identify`: sources, labels, refusals."""

import numpy as np
import pytest

import kseg
from kseg.errors import ModelError, SettingsError
from kseg.weights import SOURCES, identify, import_weights
from tests.weights.conftest import stream_checkpoint, tensor, zip_checkpoint
from tests.weights.layouts.test_semseg import narrow_state

CLASSES, PALETTE = ("road", "sky", "car"), [[128, 64, 128], [70, 130, 180], [0, 0, 142]]


def write(path, arrays, meta=None, writer=zip_checkpoint):
    tree = {key: tensor(array, str(number)) for number, (key, array) in enumerate(arrays.items())}
    storages = {str(number): array for number, array in enumerate(arrays.values())}
    path.write_bytes(writer({"state_dict": tree, "meta": meta or {}}, storages))
    return path


@pytest.fixture(scope="module")
def arrays():
    return narrow_state()


def test_names_and_colours_of_the_file(tmp_path, arrays):
    path = write(tmp_path / "net.pth", arrays, {"CLASSES": CLASSES, "PALETTE": PALETTE}, stream_checkpoint)
    found = import_weights(path)
    assert found.source == "semseg/pspnet"
    assert found.model.classes == CLASSES
    assert found.model.palette == tuple(map(tuple, PALETTE))
    assert found.copied == tuple(key for key in arrays if not key.startswith("aux."))
    assert "3 classes" in found.note
    found.model.save(tmp_path / "m.keras")
    again = kseg.models.load(tmp_path / "m.keras")
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 41, 3)).astype("f4")
    np.testing.assert_array_equal(again(image, training=False), found.model(image, training=False))
    assert again.classes == CLASSES


def test_given_names_win_and_have_to_fit(tmp_path, arrays):
    path = write(tmp_path / "net.pth", arrays, {"CLASSES": ("one", "two"), "PALETTE": PALETTE[:1]})
    found = import_weights(path, "semseg/pspnet", palette=PALETTE)
    assert found.source == "semseg/pspnet"
    assert found.model.classes is None  # the file's own are not one a class
    assert found.model.palette == tuple(map(tuple, PALETTE))
    with pytest.raises(SettingsError, match="needs 3 entries"):
        import_weights(path, classes=("one", "two"))


def test_sources(tmp_path, arrays):
    path = write(tmp_path / "net.pth", arrays)
    with pytest.raises(SettingsError, match="semseg/pspnet"):
        import_weights(path, "semseg/psp")
    with pytest.raises(ModelError, match=r"net\.pth: caffe/fcn"):
        import_weights(path, "caffe/fcn")
    with pytest.raises(SettingsError, match="output stride 8"):
        import_weights(path, output_stride=16)


def test_unknown_and_incomplete_files(tmp_path, arrays):
    with pytest.raises(ModelError, match="no source"):
        import_weights(write(tmp_path / "other.pth", {"first.0.weight": np.zeros((2, 3, 3, 3), "f4")}))
    less = {key: array for key, array in arrays.items() if key != "layer2.0.bn1.running_mean"}
    with pytest.raises(ModelError, match=r"conv3_block1_1_bn/moving_mean.*no place: none"):
        import_weights(write(tmp_path / "less.pth", less))
    lost = {key: array for key, array in arrays.items() if key != "layer2.1.conv1.weight"}
    with pytest.raises(
        ModelError, match=r"got no array: conv3_block2_1_conv/kernel; keys that found no place: none"
    ):
        import_weights(write(tmp_path / "lost.pth", lost))
    lost = {
        key: array for key, array in arrays.items() if key not in ("cls.4.weight", "layer2.1.conv1.weight")
    }
    with pytest.raises(
        ModelError, match=r"drawn without 'cls\.4\.weight'. Layers that got no array: .*no place"
    ):
        import_weights(write(tmp_path / "lost.pth", lost))
    lost = {key: array for key, array in arrays.items() if key != "ppm.features.0.1.weight"} | {
        "ppm.features.0.1.bias": np.zeros(2)
    }
    with pytest.raises(
        ModelError, match=r"look like semseg/pspnet.*ppm\.features\.0\.1\.weight.*no array.*no place"
    ):
        import_weights(write(tmp_path / "lost.pth", lost))
    more = {**arrays, "layer5.weight": np.zeros(3, "f4")}
    with pytest.raises(ModelError, match=r"no place: layer5\.weight"):
        import_weights(write(tmp_path / "more.pth", more))
    wrong = {**arrays, "cls.4.bias": np.zeros(4, "f4")}
    with pytest.raises(ModelError, match=r"score/bias \(3,\) from cls\.4\.bias \(4,\)"):
        import_weights(write(tmp_path / "wrong.pth", wrong))


def test_a_part_of_a_file(tmp_path, arrays):
    tree = {f"detector.backbone.{key}": array for key, array in arrays.items()} | {
        "detector.head.x": np.zeros(3, "f4")
    }
    path = write(tmp_path / "net.pth", tree)
    with pytest.raises(
        ModelError,
        match=r"as a whole, with semseg/pspnet below 'detector\.backbone'.*--part detector\.backbone",
    ):
        import_weights(path)
    found = import_weights(path, part="detector.backbone")
    assert found.source == "semseg/pspnet"
    assert "detector.head.x" in found.unused
    assert "left out beside the network: detector.head.x" in found.note


def test_a_running_average_beside_the_network_asks_which(tmp_path, arrays):
    average = {f"ema_model.{key}": 2 * array for key, array in arrays.items()}
    path = write(tmp_path / "net.pth", {f"model.{key}": array for key, array in arrays.items()} | average)
    with pytest.raises(
        ModelError, match=r"below 'model' and .* below 'ema_model'.*--part model or --part ema_model"
    ):
        import_weights(path)
    found = import_weights(path, part="ema_model")
    np.testing.assert_array_equal(
        found.model.get_layer("score").kernel, 2 * arrays["cls.4.weight"].transpose(2, 3, 1, 0)
    )


def test_what_an_import_says_besides(tmp_path, arrays):
    tree = {f"model.{key}": array for key, array in arrays.items()} | {"mean": np.zeros(3, "f4")}
    found = import_weights(write(tmp_path / "net.pth", tree, {"CLASSES": ("one",)}))
    assert "left out beside the network: mean" in found.note
    assert "the file's 1 classes were left out" in found.note
    assert "mean" in found.unused


def test_strangers_are_named(tmp_path):
    kernel = np.zeros((2, 3, 3, 3), "f4")
    for key, words in [
        (
            "decoder.blocks.0.conv1.0.weight",
            "a U-Net of segmentation_models.pytorch, which kseg does not import",
        ),
        ("roi_heads.box_head.fc6.weight", "a detection network of torchvision"),
    ]:
        with pytest.raises(ModelError, match=words):
            import_weights(write(tmp_path / "net.pth", {key: kernel}))


def test_kseg_s_own_model_is_said_to_be_that(tmp_path):
    model = kseg.models.PSPNet(kseg.backbones.ResNet(18, filters=2, output_stride=8), 3, filters=2)
    model.save(tmp_path / "own.keras")
    with pytest.raises(ModelError, match=r"own\.keras: a model of kseg itself.*kseg\.models\.load"):
        import_weights(tmp_path / "own.keras")


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("cls.0.weight", ()),
        ("cls.0.weight", (0, 3, 1, 1)),
        ("cls.4.weight", (0,)),
        ("layer0.0.weight", (3,)),
        ("layer1.0.conv1.weight", ()),
        ("layer1.0.conv2.weight", (1, 1, 1, 1, 1)),
    ],
)
def test_hostile_shapes_are_one_sentence(tmp_path, arrays, key, shape):
    """Of keys that the network's size is read from."""
    with pytest.raises(ModelError, match=r"net\.pth"):
        import_weights(write(tmp_path / "net.pth", {**arrays, key: np.zeros(shape, "f4")}))


def test_ambiguous_keys_ask_for_the_source(arrays):
    blob = np.zeros((2, 3, 1, 1), "f4")
    with pytest.raises(ModelError, match="say which"):
        identify({**arrays, "seg-score-voc/0": blob})
    assert len(SOURCES) == len(set(SOURCES))
