"""The errors of a user's mistake are one family that a program can catch, apart from faults."""

import pytest

import kseg
from kseg import errors


@pytest.mark.parametrize("kind", [errors.DataError, errors.ModelError, errors.SettingsError])
def test_one_family_that_programs_catch_by_one_name(kind):
    with pytest.raises(kseg.KsegError, match=r"^a\.png: not a picture$"):
        raise kind("a.png: not a picture")
    # A handler for a program's own faults must not swallow them, nor the other way round.
    assert not issubclass(kind, (ValueError, TypeError, OSError, RuntimeError, LookupError))


@pytest.mark.parametrize("other", [errors.ModelError, errors.SettingsError])
def test_the_kinds_are_told_apart(other):
    assert not issubclass(errors.DataError, other)
    assert not issubclass(other, errors.DataError)
