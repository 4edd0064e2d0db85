"""The command itself: quick, quiet, and clear about mistakes."""

import argparse
import errno
import importlib
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

from kseg.cli.main import VERBS, main
from kseg.errors import DataError, KsegWarning
from kseg.version import __version__


def fresh(*argv: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, **options)


def test_help_lists_every_verb_and_imports_nothing_heavy():
    done = fresh("-X", "importtime", "-m", "kseg", "--help")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "argparse" in imported  # the list is one of imports
    assert imported.isdisjoint({"tensorflow", "keras", "numpy", "cv2", "h5py", "tensorflow_datasets"})
    assert all(f"\n    {verb}" in done.stdout for verb in VERBS)


def test_installed_command_imports_nothing_heavy_either(tmp_path):
    # As pip's script does.
    script = tmp_path / "kseg"
    script.write_text(
        "import sys\nfrom kseg_command import main\nmain(['train', '--help'])\n"
        "print('HEAVY', sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))\n"
    )
    done = fresh(str(script))
    assert done.stderr == ""
    assert done.stdout.endswith("HEAVY []\n")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_is_its_docstring(verb, capsys):
    assert main([verb, "--help"]) == 0
    docstring = importlib.import_module(f"kseg.cli.verbs.{VERBS[verb]}").__doc__
    shown = capsys.readouterr().out
    for line in docstring.splitlines()[1:]:
        assert line in shown
    assert " ".join(docstring.splitlines()[0].split()) in " ".join(shown.split())


def test_version(capsys):
    assert main(["--version"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"kseg {__version__}"
    assert others[0].startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
    assert f"keras {keras.__version__}" in others
    assert f"numpy {np.__version__}" in others


@pytest.mark.parametrize(
    "argv", [[], ["nosuch"], ["train"], ["train", "--epochs", "0"], ["models", "--nosuch"]]
)
def test_wrong_arguments_exit_with_2(argv, capsys):
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "error:" in said.err


def test_a_warning_of_any_verb_is_one_line_and_told_once(monkeypatch, capsys):
    def run(args: argparse.Namespace) -> int:
        for told in ("two files\n are left out", "two files\n are left out", "one more"):
            warnings.warn(told, KsegWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("kseg.cli.verbs.models.run", run)
    assert main(["models"]) == 0
    assert capsys.readouterr().err == "kseg: two files are left out\nkseg: one more\n"


def verb_that(monkeypatch, raises: BaseException) -> None:
    def run(args: argparse.Namespace) -> int:
        raise raises

    monkeypatch.setattr("kseg.cli.verbs.models.run", run)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (DataError("a.png: not a\n  picture"), 2, "kseg: a.png: not a picture\n"),
        (KeyboardInterrupt(), 130, "kseg: stopped; what was finished before stays where it is.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x"),
            2,
            "kseg: the system refused: No space left on device (runs/x).\n",
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_errors_become_one_sentence_and_a_code(error, code, sentence, monkeypatch, capsys):
    verb_that(monkeypatch, error)
    assert main(["models"]) == code
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", sentence)


def test_an_unexpected_failure_is_one_sentence_with_a_code_of_its_own(monkeypatch, capsys):
    verb_that(monkeypatch, ValueError("a\nfault"))
    assert main(["models"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("kseg: unexpected failure, ValueError: a fault (")
    assert said.count("\n") == 1
    monkeypatch.setenv("KSEG_DEBUG", "1")
    assert main(["models"]) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_full_disk_behind_stdout_is_told_once():
    """As in `kseg predict --help > file` on a full disk."""
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "kseg", "--version"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (ran.returncode, ran.stderr) == (2, "kseg: the system refused: No space left on device.\n")


def test_a_reader_that_goes_away_is_no_error():
    # As in `kseg models | head -1`; the verb is replaced by one that prints a lot.
    program = (
        "import kseg.cli.verbs.models as verb\nfrom kseg.cli import main\n"
        "def run(args):\n    print('line ' * 10**5)\n    return 0\n"
        "verb.run = run\nmain.import_keras = lambda: None\nraise SystemExit(main.main(['models']))"
    )
    producer = subprocess.Popen(
        [sys.executable, "-c", f"import kseg_command\n{program}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    producer.stdout.close()
    _, said = producer.communicate()
    assert (producer.returncode, said) == (141, b"")
