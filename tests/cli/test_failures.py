"""Exit codes of what ends a command, whatever library raised it."""

import errno

import pytest

from kseg.cli.failures import one_sentence, outcome
from kseg.errors import FileError, SettingsError


def of_tensorflow(name, message):
    from tensorflow import errors

    return getattr(errors, name)(None, None, message)


FULL = "runs/x/variables.data-00000; No space left on device"
HDF5 = "Unable to flush file (file write failed: errno = 28, error message = 'No space left on device')"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsError("a\nb"), 2, "a b"),
        (FileError("x: could not be written", OSError(28, "full")), 2, "x: could not be written"),
        (OSError(errno.EIO, "I/O error"), 2, "the system refused: I/O error."),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "runs/x"), 2, "(runs/x)."),
        (OSError(HDF5), 2, "the system refused: No space left on device"),
        (
            RuntimeError(
                "Can't decrement id ref count (errno = 30, error message = 'Read-only file system')"
            ),
            2,
            "Read-only",
        ),
        (MemoryError(), 2, "memory"),
        (ValueError("No space left on device"), 3, "unexpected failure, ValueError"),
        (ModuleNotFoundError("No module named 'x'", name="x"), 2, "pip install x"),
        (ModuleNotFoundError("No module named 'kseg.x'", name="kseg.x"), 3, "unexpected failure"),
        (RecursionError(), 3, "RecursionError"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_sentence_and_code(error, code, words):
    message, found = outcome(error)
    assert found == code
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("ResourceExhaustedError", FULL, 2),
        ("UnknownError", "runs/x; Read-only file system", 2),
        ("FailedPreconditionError", "runs/x; No such file or directory", 2),
        ("ResourceExhaustedError", "OOM when allocating tensor with shape[1]", 2),
        ("InvalidArgumentError", "shapes differ", 3),
    ],
)
def test_tensorflows_own_errors(name, message, code):
    assert outcome(of_tensorflow(name, message))[1] == code


def test_where_it_comes_from_is_told():
    with pytest.raises(TypeError) as caught:
        one_sentence(None, 2)
    assert "test_failures.py, line" in outcome(caught.value)[0]
