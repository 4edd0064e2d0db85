"""The errors of a user's mistake are one family that a program can catch, apart from faults."""

import weakref

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


def test_an_error_inside_of_another_ones_text_is_found():
    from kseg.errors import DataError, SettingsError, find_user_error

    found = find_user_error(RuntimeError("Graph execution error\n DataError: a.png: broken\nTraceback: kseg"))
    assert (type(found), str(found)) == (DataError, "a.png: broken")
    assert isinstance(find_user_error(RuntimeError("SettingsError: no")), SettingsError)
    assert find_user_error(RuntimeError("another")) is None


@pytest.mark.tensorflow
def test_a_compiled_function_raises_it_as_it_is():
    import tensorflow as tf

    loss = tf.function(kseg.losses.CrossEntropy())
    with pytest.raises(errors.SettingsError, match="the same height and width"):
        loss(tf.zeros((1, 4, 4)), tf.zeros((1, 5, 4, 2)))
    step = tf.function(lambda labels, logits: kseg.losses.Dice()(labels, logits))
    with pytest.raises(errors.SettingsError, match="the same height and width"):
        step(tf.zeros((1, 4, 4)), tf.zeros((1, 5, 4, 2)))


class Held:
    pass


def test_the_frames_of_an_error_let_go_of_what_they_hold():
    seen = []

    def inner(held):
        seen.append(weakref.ref(held))
        raise ValueError("first")

    def outer():
        own = Held()
        seen.append(weakref.ref(own))
        try:
            inner(Held())
        except ValueError as error:
            raise KeyError("second") from error.with_traceback(error.__traceback__.tb_next)

    with pytest.raises(KeyError) as caught:
        outer()
    assert all(one() is not None for one in seen)
    errors.release_frames(caught.value)
    assert [one() for one in seen] == [None, None]
