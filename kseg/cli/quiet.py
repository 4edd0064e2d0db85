"""Importing Keras and TensorFlow without their chatter on the screen, and in less time."""

import contextlib
import gc
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from kseg.errors import KsegError

# Keras imports them for wrappers and charts that the command does not use: half a second where they are installed.
UNUSED = ("sklearn", "matplotlib")


def silence_tensorflow() -> None:
    """Keep TensorFlow's chatter off the screen; only the command does this, and a set variable wins."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # warnings about tracing are for developers


def import_keras() -> None:
    """Import Keras, quietly unless a set variable says otherwise."""
    silence_tensorflow()
    if "keras" not in sys.modules:
        silent = os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
        with hidden(*UNUSED), without_collector(), quietly() if silent else contextlib.nullcontext():
            importlib.import_module("keras")


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """While it lasts, packages that are not imported yet seem not to be installed."""
    names = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """While it lasts, Python's garbage collector rests, and what came to be meanwhile it never looks through.

    TensorFlow's modules are half a million objects that stay; searching them takes a quarter of their import.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """While it lasts, the system's stderr goes to a file, which is shown only after a failure.

    TensorFlow and LiteRT write a few lines while they start, before they look at any setting.
    """
    with tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, KsegError):  # whose sentence says it all
                said.seek(0)
                os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
