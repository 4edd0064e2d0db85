"""The errors that a user can mend: what was expected, what came, which file, what to do.

The command line prints these as one sentence and exits with 2. Anything else is a fault in kseg and keeps its
traceback.
"""

import re


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
