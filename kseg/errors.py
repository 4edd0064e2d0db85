"""The errors that a user can mend: what was expected, what came, which file, what to do.

The command line prints these as one sentence and exits with 2. Anything else is a fault in kseg and keeps its
traceback.
"""

import gc
import re
import traceback
from contextlib import suppress


class KsegError(Exception):
    """A mistake in what kseg was given; the message says what to do about it.

    Example:

    >>> try:
    ...     kseg.models.build("fcn9s_vgg16", num_classes=3)
    ... except kseg.KsegError as error:
    ...     print(type(error).__name__)
    ModelError
    """


class DataError(KsegError):
    """An image, mask or data set that cannot be used; the message names the file."""


class ModelError(KsegError):
    """A model file, weights or a combination of parts that cannot be used."""


class SettingsError(KsegError, ValueError):
    """An argument, setting, recipe or command-line value that cannot be used."""

    # By this AutoGraph knows how to raise it again: from a `tf.function` would come its StagingError otherwise.
    __init__ = Exception.__init__


class PackageError(KsegError, ImportError):
    """A package that this call needs is not installed; the message says how to install it."""


class FileError(KsegError, OSError):
    """A file that the system refuses to write: a full disk, no permission. `errno` and `strerror` are the system's."""

    def __init__(self, message: str, cause: OSError | None = None) -> None:
        super().__init__(message)
        self.errno = getattr(cause, "errno", None)
        self.strerror = getattr(cause, "strerror", None)

    def __str__(self) -> str:
        return str(self.args[0])


class KsegWarning(UserWarning):
    """Something was done in another way than asked for; the message says what and why."""


def find_user_error(error: BaseException) -> KsegError | None:
    """Find the KsegError that a TensorFlow error wraps.

    Args:
        error: an exception that iterating a pipeline raised.

    Returns:
        The `KsegError`, or None.

    Example:

    >>> kseg.data.find_user_error(ValueError("something else")) is None
    True
    """
    match = re.search(r"\b(DataError|SettingsError): (.+)", str(error))
    return globals()[match[1]](match[2].strip()) if match else None


def release_frames(error: BaseException) -> None:
    """Drop what the frames hold that an error came through, such as an iterator of TensorFlow's.

    An iterator that is left until Python ends waits for its threads then, and they for Python. TensorFlow takes
    frames of its own out of a traceback, so the callers of each frame are asked too.

    Args:
        error: an exception that was caught; those it came after are released too.
    """
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            while frame is not None:
                with suppress(RuntimeError):  # it still runs
                    frame.clear()
                frame = frame.f_back
        cause = cause.__context__
    gc.collect()
