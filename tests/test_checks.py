import doctest
import math

import numpy as np
import pytest

from kseg import checks
from kseg.errors import SettingsError

NO_NUMBERS = [True, np.True_, "3", None, 1j, [], {}, object(), float("nan"), float("inf"), 10**400]


@pytest.mark.parametrize("value", [1, np.int64(1), np.uint8(1), np.array(1)])
def test_whole_takes_integers_of_any_type(value):
    assert checks.whole(value, "count") == 1
    assert type(checks.whole(value, "count")) is int


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, *NO_NUMBERS[:-1]])
def test_whole_refuses(value):
    with pytest.raises(SettingsError, match=r"`count` must be a whole number from 1 on; got "):
        checks.whole(value, "count")


def test_whole_bounds_are_included():
    assert [checks.whole(n, "n", least=-2, most=3) for n in (-2, 3)] == [-2, 3]
    for n in (-3, 4):
        with pytest.raises(SettingsError, match="from -2 to 3"):
            checks.whole(n, "n", least=-2, most=3)
    assert checks.whole(-7, "n", least=None) == -7


def test_colours_as_numbers_and_as_text():
    for same in ((255, 128, 0), [255, 128, 0], np.array([255, 128, 0], np.uint8), "#ff8000", "rgb(255, 128, 0)"):
        assert checks.colour(same, "colour") == (255, 128, 0)
    assert checks.colour("navy", "colour") == (0, 0, 128)  # of CSS
    for wrong in ("#ff80", "nocolour", (1, 2), (1, 2, 256), (-1, 0, 0), (0.5, 0, 0), 7, None, "#ff800080"):
        with pytest.raises(SettingsError, match="`colour` must be a colour of three whole numbers from 0 to 255, or a"):
            checks.colour(wrong, "colour")


def test_wholes():
    assert checks.wholes([1, np.int32(2)], "bins") == (1, 2)
    assert checks.wholes(np.array([3, 4]), "bins", count=2) == (3, 4)
    for values in ((), 3, "12", {1: 2}, (1, 0), (1, 2.0), (1, True), None):
        with pytest.raises(SettingsError, match="`bins` must be one or more whole numbers from 1 on"):
            checks.wholes(values, "bins")
    with pytest.raises(SettingsError, match="3 whole numbers"):
        checks.wholes((1, 2), "bins", count=3)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_number_refuses(value):
    with pytest.raises(SettingsError, match="`rate` must be a number; got"):
        checks.number(value, "rate")


def test_number_bounds():
    assert checks.number(0, "x", least=0) == 0.0
    assert checks.number(np.float32(0.5), "x", above=0, below=1) == 0.5
    for value, bounds in ((0, {"above": 0}), (1, {"below": 1}), (-0.1, {"least": 0}), (1.1, {"most": 1})):
        with pytest.raises(SettingsError):
            checks.number(value, "x", **bounds)


def test_numbers():
    assert checks.numbers((1, 2.5, 3), "std", count=3, above=0) == (1.0, 2.5, 3.0)
    for values in ((1, 2), (1, 2, 0), (1, 2, "3"), 3, (1, 2, math.nan)):
        with pytest.raises(SettingsError, match="`std` must be 3 numbers above 0"):
            checks.numbers(values, "std", count=3, above=0)


def test_fraction_ends():
    assert [checks.fraction(x, "f") for x in (0, 0.25, 1)] == [0, 0.25, 1]
    for value, ends in ((0, {"zero": False}), (1, {"one": False}), (-0.01, {}), (1.01, {})):
        with pytest.raises(SettingsError):
            checks.fraction(value, "f", **ends)


def test_pair():
    assert checks.pair(3, "size") == (3, 3)
    assert checks.pair([3, np.int64(5)], "size") == (3, 5)
    assert checks.pair(np.array([3, 5]), "size") == (3, 5)
    for value in (0, (3,), (3, 4, 5), (3, 0), (3, 4.0), "34", None, True, (True, 3), {3: 4, 5: 6}):
        with pytest.raises(SettingsError, match="`size` must be a whole number from 1 on or a pair"):
            checks.pair(value, "size")


def test_one_of():
    assert checks.one_of("same", "padding", ("same", "valid")) == "same"
    assert checks.one_of(np.int64(8), "stride", (8, 16)) == 8
    assert checks.one_of(None, "mode", (None, "max")) is None
    for value in ("full", 0, None, ["same"], np.array(["same", "valid"])):
        with pytest.raises(SettingsError, match="`padding` must be 'same' or 'valid'; got"):
            checks.one_of(value, "padding", ("same", "valid"))
    with pytest.raises(SettingsError, match="got True"):
        checks.one_of(True, "factor", (1, 2))


def test_flag():
    assert [checks.flag(v, "f") for v in (True, False, np.True_, 0, 1)] == [True, False, True, False, True]
    for value in ("no", "False", None, 2, 0.0, []):
        with pytest.raises(SettingsError, match="`f` must be True or False; got"):
            checks.flag(value, "f")


def test_scales():
    assert checks.scales(0.5) == (0.5,)
    assert checks.scales([1, 0.5], with_one=True) == (1.0, 0.5)
    for values in ((), (0,), (-1, 1), (1, 1.0), "1", (1, None), (1, math.inf), (1, 1001)):
        with pytest.raises(SettingsError, match="`scales` must be different numbers above 0"):
            checks.scales(values)
    with pytest.raises(SettingsError, match="with 1 among them"):
        checks.scales((0.5,), with_one=True)


def test_arguments_names_close_and_known_ones():
    def net(depth, *, output_stride=32, dropout=0.5): ...

    checks.arguments({"dropout": 1, "depth": 2}, net, "Net")
    with pytest.raises(SettingsError) as caught:
        checks.arguments({"dropuot": 1}, net, "Net")
    expected = "Net has no argument `dropuot`: did you mean `dropout`? "
    assert str(caught.value) == expected + "Its arguments are depth, output_stride, dropout."


def test_a_phrase_is_no_name():
    with pytest.raises(SettingsError, match=r"^A window must be"):
        checks.pair(0, "A window")


def test_long_values_are_cut():
    with pytest.raises(SettingsError) as caught:
        checks.wholes(["x"] * 1000, "bins")
    assert len(str(caught.value)) < 400


def test_examples():
    assert doctest.testmod(checks, optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0


def test_value_range():
    assert checks.value_range([0, 65535]) == (0.0, 65535.0)
    for wrong in ((1, 1), (2, 1), (0,), (0, float("nan")), "01", 3):
        with pytest.raises(SettingsError, match="lowest and the highest"):
            checks.value_range(wrong)
