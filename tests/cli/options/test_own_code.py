import pytest

from kseg.cli.main import main
from kseg.cli.options.own_code import own_loss, own_model
from kseg.errors import ModelError, SettingsError

CODE = """
import keras
from keras import layers

@keras.saving.register_keras_serializable("own_code")
class Scale(layers.Layer):
    def call(self, image):
        return keras.ops.cast(image, "float32") / 255

class Unregistered(layers.Layer):
    def call(self, image):
        return image

def network(num_classes, first):
    image = layers.Input((None, None, 3))
    return keras.Model(image, layers.Conv2D(num_classes, 1)(first(image)), name="mine")

def build(num_classes):
    return network(num_classes, Scale())

def plain(num_classes):
    return network(num_classes, layers.Rescaling(1 / 255))

def unregistered(num_classes):
    return network(num_classes, Unregistered())

def more(num_classes):
    return network(num_classes + 1, Scale())

def fails(num_classes):
    raise RuntimeError("no weights here")

def nothing(num_classes):
    pass

class Loss(keras.losses.Loss):
    pass
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("import no_such_package_of_anybody")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("code")
def test_a_network_of_ones_own(capsys):
    model = own_model("mine.py:build", 3, "mixed_float16")
    assert (model.output_shape[-1], model.layers[-1].compute_dtype) == (3, "float16")
    assert "has classes of mine.py" in capsys.readouterr().err
    own_model("mine.py:plain", 3, None)
    assert not capsys.readouterr().err
    assert type(own_loss("mine.py:Loss")).__name__ == "Loss"


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("word", "kind", "message"),
    [
        ("mine.py:unregistered", ModelError, "Unregistered is not registered"),
        ("mine.py:fails", SettingsError, r"fails\(2\) fails \(RuntimeError: no weights here\)"),
        ("mine.py:nothing", SettingsError, "returned NoneType"),
        ("mine.py:absent", SettingsError, "has no absent"),
        ("gone.py:build", SettingsError, "no file gone.py"),
        ("broken.py:build", SettingsError, "broken.py fails .ModuleNotFoundError"),
    ],
)
def test_refusals(word, kind, message):
    with pytest.raises(kind, match=message):
        own_model(word, 2, None)


@pytest.mark.full
@pytest.mark.usefixtures("code")
@pytest.mark.tensorflow
def test_it_trains_and_goes_on(write, tmp_path, capsys):
    for split in ("train", "val"):
        write.folder_pair(tmp_path / "data", 4, classes=2, split=split)
    data, settings = ["--data", "folder", "--root", "data"], ["--steps-per-epoch", "1", "--batch-size", "2"]
    words = [*data, *settings, "--size", "16", "16", "--out", "run"]
    for epochs in (1, 2):
        assert main(["train", "--model", "mine.py:plain", *words, "--epochs", str(epochs)]) == 0
    assert "going on after epoch 1" in capsys.readouterr().err
    for wrong, message in (
        (["mine.py:more"], "num_classes=2"),
        (["mine.py:plain", "--seed", "7"], "another --out, or start again here with --no-resume"),
        (["mine.py:plain", "--weights", "none"], "brings its weights itself"),
    ):
        assert main(["train", "--model", *wrong, *words, "--epochs", "2"]) == 2
        assert message in capsys.readouterr().err
