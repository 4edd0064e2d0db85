"""Arguments of `kseg webcam` and what they refuse while they are parsed."""

import argparse

import pytest

from kseg.cli.options.webcam import add_arguments, port


@pytest.fixture
def parser():
    made = argparse.ArgumentParser()
    add_arguments(made)
    return made


def test_defaults(parser):
    args = parser.parse_args([])
    assert (args.source, args.model, args.alpha, args.trust) == ("0", "people", None, False)


@pytest.mark.parametrize("words", ["--alpha 2", "--max-frames 0", "--size x", "--colours pink", "--port 0"])
def test_refused(parser, words, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(words.split())
    assert words.split()[0] in capsys.readouterr().err


def test_ports():
    assert port("8420") == 8420
    for text in ("0", "65536", "-1", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="1 to 65535"):
            port(text)
