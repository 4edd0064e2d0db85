"""What the options of a training accept."""

import argparse

import pytest

from kseg.cli.options.training import add_losses, add_safety, add_settings


def parsed(*words):
    parser = argparse.ArgumentParser()
    for add in (add_settings, add_losses, add_safety):
        add(parser.add_argument_group("group"))
    return parser.parse_args(words)


def test_nothing_given_changes_nothing():
    given = {name: value for name, value in vars(parsed()).items() if value not in (None, False)}
    given.pop("max_pixels", None)
    assert given == {"keep": 1, "strategy": "none"}


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "0"],
        ["--size", "3"],
        ["--learning-rate", "-1"],
        ["--sampling", "2"],
        ["--freeze-normalization", "some"],
        ["--strategy", "two"],
        ["--devices", "0"],
    ],
)
def test_values_out_of_range(words, capsys):
    with pytest.raises(SystemExit):
        parsed(*words)
    assert words[0] in capsys.readouterr().err
