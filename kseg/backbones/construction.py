"""What every constructor of a functional network does around its graph."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from kseg import checks
from kseg.errors import SettingsError


@contextmanager
def graph_settings(dtype: Any = None) -> Iterator[None]:
    """Build layers with channels last, whatever `keras.json` says, and under a dtype policy.

    Args:
        dtype: Keras dtype policy such as "mixed_float16"; None keeps the current one.

    Raises:
        SettingsError: no dtype policy.
    """
    policy, data_format = keras.config.dtype_policy(), keras.config.image_data_format()
    try:
        wanted = policy if dtype is None else keras.dtype_policies.get(dtype)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"`dtype` must be a Keras dtype policy; got {dtype!r} ({error}).") from None
    keras.config.set_dtype_policy(wanted)
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(data_format)


def draws_graph(init: Callable) -> Callable:
    """Decorator of a constructor: unknown arguments are refused, and its layers built in `graph_settings`.

    The constructor lists all of its arguments, among them `name` and `trainable`, and `dtype` where it draws the
    graph itself.
    """
    own = inspect.signature(init).parameters

    @functools.wraps(init)
    def construct(self, *args: Any, **kwargs: Any) -> None:
        checks.arguments(kwargs, init, type(self).__name__)
        if "num_classes" in own:  # before a layer is made of it
            given = inspect.signature(init).bind_partial(self, *args, **kwargs).arguments
            checks.whole(given.get("num_classes", 1), "num_classes")
        with graph_settings(kwargs.get("dtype") if "dtype" in own else None):
            init(self, *args, **kwargs)

    construct.__signature__ = inspect.signature(init)  # Keras reads the names without following wrappers
    return construct
