"""The errors of a user's mistake are one family that a program can catch, apart from faults."""

import pytest

import kseg
from kseg import errors


@pytest.mark.parametrize("kind", [errors.DataError, errors.ModelError, errors.SettingsError, errors.FileError])
def test_one_family_that_programs_catch_by_one_name(kind):
    with pytest.raises(kseg.KsegError, match=r"^a\.png: not a picture$"):
        raise kind("a.png: not a picture")
    # A handler for a program's own faults must not swallow them; two are what Python calls them, too.
    also = {errors.SettingsError: ValueError, errors.FileError: OSError}.get(kind, KeyboardInterrupt)
    others = {ValueError, TypeError, OSError, RuntimeError, LookupError} - {also}
    assert not issubclass(kind, tuple(others))


@pytest.mark.parametrize("other", [errors.ModelError, errors.SettingsError])
def test_the_kinds_are_told_apart(other):
    assert not issubclass(errors.DataError, other)
    assert not issubclass(other, errors.DataError)
