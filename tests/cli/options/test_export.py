import argparse

import pytest

from kseg.cli.options.export import add_arguments


def parsed(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--model", "m.keras", "--out", "m.tflite", *argv])


def test_what_is_judged_and_how_the_output_is_read_is_left_to_the_file_unless_said():
    args = parsed()
    assert (args.min_agreement, args.output_kind, args.precision, args.format) == (None, None, None, None)
    args = parsed("--min-agreement", "0.8", "--output-kind", "probabilities")
    assert (args.min_agreement, args.output_kind) == (0.8, "probabilities")


@pytest.mark.parametrize(
    "argv", [["--min-agreement", "1.5"], ["--output-kind", "softmax"], ["--size", "0", "4"]]
)
def test_values_out_of_range(argv, capsys):
    with pytest.raises(SystemExit):
        parsed(*argv)
    assert argv[0] in capsys.readouterr().err
