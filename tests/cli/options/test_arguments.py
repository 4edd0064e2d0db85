import argparse

import pytest
from numpy.testing import assert_array_equal

from kseg.cli.options import arguments
from kseg.cli.options.arguments import above_zero, fraction, natural, positive
from kseg.errors import SettingsError


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (positive, [("1", 1), ("12", 12)], ["0", "-3"]),
        (natural, [("0", 0), ("7", 7)], ["-1"]),
        (above_zero, [("0.5", 0.5), ("1e-14", 1e-14)], ["0", "-1", "nan", "inf"]),
        (fraction, [("0", 0.0), ("0.25", 0.25), ("1", 1.0)], ["-0.1", "1.5", "nan"]),
    ],
)
def test_types_refuse_what_they_do_not_mean(kind, good, bad):
    for text, value in good:
        assert kind(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=text):
            kind(text)


def test_a_window_is_one_number_or_two():
    assert arguments.height_and_width(None, "kseg predict --window") is None
    assert arguments.height_and_width([512], "kseg predict --window") == (512, 512)
    assert arguments.height_and_width([256, 384], "kseg predict --window") == (256, 384)
    with pytest.raises(SettingsError, match="predict --window"):
        arguments.height_and_width([1, 2, 3], "kseg predict --window")


def test_the_predictor_has_the_settings_asked_for(model_file):
    import keras

    parser = argparse.ArgumentParser()
    parser.set_defaults(verb="predict")
    arguments.add_prediction(parser)
    args = parser.parse_args(["--scales", "0.5", "1.5", "--flip", "--window", "16", "24"])
    predictor = arguments.predictor_of(keras.models.load_model(model_file), args)
    assert_array_equal(predictor.scales, [0.5, 1.5])
    assert predictor.flip
    assert predictor.window == (16, 24)


def test_the_released_test_of_pspnet(model_file):
    import keras

    parser = argparse.ArgumentParser()
    parser.set_defaults(verb="evaluate")
    arguments.add_prediction(parser)
    model = keras.models.load_model(model_file)
    args = parser.parse_args(["--window", "48", "--pad", "--long-side", "52"])
    predictor = arguments.predictor_of(model, args)
    assert (predictor.window, predictor.pad, predictor.long_side) == ((48, 48), True, 52)
    with pytest.raises(SettingsError, match="give --window too"):
        arguments.predictor_of(model, parser.parse_args(["--pad"]))
    with pytest.raises(SettingsError, match="not both"):
        arguments.predictor_of(model, parser.parse_args(["--long-side", "52", "--size", "8", "8"]))
    for option in (["--pad"], ["--long-side", "52"]):
        with pytest.raises(SettingsError, match="--long-side are for whole images"):
            arguments.predictor_of(model, parser.parse_args(["--proposals", "5", "--window", "48", *option]))
