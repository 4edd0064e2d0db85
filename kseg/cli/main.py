"""The command ``kseg``: finds the verb, parses its arguments, runs it, and turns mistakes into one sentence.

Parsing imports neither TensorFlow nor Keras nor NumPy, so that ``kseg --help`` answers at once. Results go to
stdout and progress to stderr. Exit codes: 0 done, 1 the answer is no (a check found something), 2 a mistake
in what was asked or something a person can mend, 3 an unexpected failure (``KSEG_DEBUG=1`` shows its traceback), 130
interrupted, 141 the reader of the output went away.
"""

import argparse
import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

from kseg.cli.failures import outcome
from kseg.cli.options.given import given
from kseg.cli.quiet import import_keras, silence_tensorflow
from kseg.cli.terminal import Bar, printed_warnings
from kseg.version import __version__, stands_on

VERBS = {
    "demo": "demo",
    "train": "train",
    "evaluate": "evaluate",
    "predict": "predict",
    "label": "label",
    "tune-crf": "tune_crf",
    "export": "export",
    "import-weights": "import_weights",
    "webcam": "webcam",
    "info": "info",
    "models": "models",
    "datasets": "datasets",
    "check-data": "check_data",
    "convert": "convert",
}

# These import Keras only where their model is a Keras model.
LIGHT = {"predict", "evaluate", "webcam"}

DESCRIPTION = "Semantic segmentation for Keras 3 and TensorFlow. Start with: kseg demo"


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"kseg {__version__}\n{stands_on()}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of every verb: a verb's module gives the help (its docstring), arguments and ``run``."""
    parser = argparse.ArgumentParser(prog="kseg", description=DESCRIPTION)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions of kseg and what it stands on")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for verb, module_name in VERBS.items():
        module = importlib.import_module(f"kseg.cli.verbs.{module_name}")
        summary, _, rest = (module.__doc__ or "").strip().partition("\n")
        verb_parser = verbs.add_parser(
            verb,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=summary,
            epilog=rest.strip() or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb_parser)
        verb_parser.set_defaults(run=module.run)
    return parser


def _forget_stdout() -> None:
    """Point stdout at nothing, so that Python's own flush at exit does not complain a second time."""
    with contextlib.suppress(OSError, ValueError):  # where stdout is not a file of the system, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``kseg`` with ``argv`` (default: the command line) and return its exit code."""
    # Write file names that the terminal cannot show with backslashes, in place of ending with an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            parser = build_parser()
            args = parser.parse_args(argv)
            args.given = given(parser, argv)
        except SystemExit as exit_:  # argparse's way of saying --help, --version, or a mistake
            sys.stdout.flush()
            return exit_.code if isinstance(exit_.code, int) else 2
        silence_tensorflow()
        if args.verb not in LIGHT:
            import_keras()
        with printed_warnings(Bar(args.verb), action="default"):
            code = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _forget_stdout()
        return 141
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        message, code = outcome(error)
        print(f"kseg: {message}", file=sys.stderr)
        # Where stdout cannot be written to (a full disk), do not let Python say so again at exit.
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _forget_stdout()
    gc.collect()  # an iterator of TensorFlow's that the error's frames hold would keep Python from ending
    return code


if __name__ == "__main__":
    raise SystemExit(main())
