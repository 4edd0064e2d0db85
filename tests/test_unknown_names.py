"""No public callable takes a name that it does not use."""

import importlib
import inspect
import pkgutil

import keras
import pytest

import kseg
from kseg.errors import SettingsError

ANY = inspect.Parameter.VAR_KEYWORD
# Callables with **kwargs, and how to call them: they hand the rest to Keras, which refuses what it does not know.
CALLS = {
    "kseg.evaluation.tune_crf": (None, None),
    "kseg.predict": ("people", "image.jpg"),
    "kseg.layers.AtrousConv2D": (2, 3),
    "kseg.layers.AtrousSpatialPyramidPooling": (3,),
    "kseg.layers.BilinearUpsampling": (2,),
    "kseg.layers.DepthToSpace": (2,),
    "kseg.layers.Conv2D": (3, 1),
    "kseg.layers.DepthwiseConv2D": (3,),
    "kseg.layers.PadToLeast": (4,),
    "kseg.layers.PadToMultiple": (4,),
    "kseg.layers.PyramidPooling": (3,),
    "kseg.layers.ScaledImage": (0.5,),
    "kseg.layers.ZoomLike": (8,),
}
# Names that are data, not options.
FREE = {"kseg.export.Format.export", "kseg.inference.save_crf", "kseg.training.Recipe.replace"}


def public_modules():
    names = ["kseg", *(m.name for m in pkgutil.walk_packages(kseg.__path__, "kseg."))]
    return [m for n in names if n != "kseg.__main__" and hasattr(m := importlib.import_module(n), "__all__")]


def public_callables():
    """Name -> function, class or public method of every name in an `__all__`, each object once."""
    found = {}
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and issubclass(value, BaseException | Warning):
                continue
            if inspect.isfunction(value) or inspect.isclass(value):
                found.setdefault(value, f"{module.__name__}.{name}")
            if inspect.isclass(value):
                for key, method in vars(value).items():
                    method = getattr(method, "__func__", method)
                    if not key.startswith("_") and inspect.isfunction(method):
                        found.setdefault(method, f"{module.__name__}.{name}.{key}")
    return {name: value for value, name in found.items()}


CALLABLES = public_callables()


def has_free_names(value):
    try:
        return any(p.kind is ANY for p in inspect.signature(value).parameters.values())
    except ValueError:  # built in C
        return False


def test_the_walk_finds_the_public_names():
    assert {"kseg.backbones.ResNet", "kseg.models.build", "kseg.training.fit"} <= set(CALLABLES)


@pytest.mark.parametrize("name", sorted(n for n, value in CALLABLES.items() if has_free_names(value)))
def test_free_names_are_refused(name, tmp_path):
    if name in FREE:
        return
    given = CALLS.get(name, ())
    if name.startswith("kseg.models.Segmenter."):
        model = kseg.models.LRASPP(kseg.backbones.ResNet(50, filters=2), 3)
        model.compile()
        given = (model, tmp_path / "folder") if name.endswith("save_to_preset") else (model,)
    with pytest.raises((TypeError, ValueError), match="no_such_name"):
        CALLABLES[name](*given, no_such_name=1)


GRAPHS = [v for v in CALLABLES.values() if inspect.isclass(v) and issubclass(v, keras.Model)]


@pytest.mark.parametrize("kind", GRAPHS, ids=lambda kind: kind.__name__)
def test_networks_name_what_they_know(kind):
    """Before anything is drawn, and with the close names."""
    known = list(inspect.signature(kind.__init__).parameters)[1:]
    assert {"name", "trainable"} <= set(known)
    wrong = known[2] + "s"
    with pytest.raises(SettingsError) as caught:
        kind(None, **{wrong: 3})
    assert str(caught.value).startswith(f"{kind.__name__} has no argument `{wrong}`: did you mean ")
    assert f"`{known[2]}`" in str(caught.value).split("?")[0]
    assert f"Its arguments are {', '.join(known)}." in str(caught.value)


def test_the_reported_cases():
    backbone = kseg.backbones.ResNet(50, filters=2)
    for make in (
        lambda: kseg.backbones.ResNet(50, stride=8),
        lambda: kseg.models.DeepLabV3Plus(backbone, 3, dropuot=0.5),
        lambda: kseg.backbones.EfficientNetLite("lite0", weights=None, channels=4),
    ):
        with pytest.raises(SettingsError, match="has no argument"):
            make()


def test_dtype_is_the_policy_of_every_layer():
    backbone = kseg.backbones.ResNet(50, filters=2, dtype="mixed_float16")
    model = kseg.models.LRASPP(backbone, 3, filters=4, dtype="mixed_float16")
    policies = {layer.name: layer.dtype_policy.name for layer in model.layers if layer.weights}
    assert set(policies.values()) == {"mixed_float16"}
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(SettingsError, match="dtype policy"):
        kseg.backbones.ResNet(50, filters=2, dtype="float17")


def test_trainable_freezes():
    assert kseg.backbones.ResNet(50, filters=2, trainable=False).trainable_variables == []
    with pytest.raises(SettingsError, match="`trainable` must be True or False"):
        kseg.backbones.ResNet(50, filters=2, trainable="no")
