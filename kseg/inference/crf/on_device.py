"""The mean-field iterations of a dense CRF on a device of Keras's backend: gathers and segment sums in `keras.ops`."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kseg.errors import SettingsError

if TYPE_CHECKING:
    from kseg.inference.crf.mean_field import Kernel


def checked_device(device: Any) -> str:
    """The device's full name, "gpu:0" for "gpu".

    Raises:
        SettingsError: what is no such name, or a device that Keras's backend does not have.
    """
    found = re.fullmatch(r"(cpu|gpu|tpu)(?::(\d+))?", device.lower()) if isinstance(device, str) else None
    if found is None:
        raise SettingsError(f'device of a DenseCRF must be None or a name such as "gpu:0", got {device!r}')
    name = f"{found[1]}:{found[2] or 0}"
    _check_available(name)
    return name


@functools.lru_cache(maxsize=8)
def _check_available(name: str) -> None:
    import keras

    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        raise SettingsError(
            f"a DenseCRF with a device needs Keras on TensorFlow, JAX or PyTorch, not {backend}"
        )
    try:
        (probe,) = tensors([np.zeros(1, np.float32)], name)
    except Exception as error:
        raise SettingsError(
            f"a DenseCRF cannot run on device {name}: Keras's backend {backend} does not have it ({error})"
        ) from None
    # TensorFlow takes the processor instead of a device that is missing, and says nothing.
    if backend == "tensorflow" and name not in probe.device.lower():
        raise SettingsError(f"a DenseCRF cannot run on device {name}: TensorFlow does not have it")


def tensors(arrays: Sequence[np.ndarray], device: str) -> list[Any]:
    """Arrays as tensors on a device."""
    import keras

    with _memory_of(device), keras.device(device):
        return [keras.ops.convert_to_tensor(array) for array in arrays]


@contextlib.contextmanager
def _memory_of(device: str) -> Iterator[None]:
    """Says what to do when the device's memory does not suffice."""
    try:
        yield
    except Exception as error:
        if not re.search("RESOURCE_EXHAUSTED|out of memory|OOM", str(error)):
            raise
        raise SettingsError(
            f"the CRF of this image takes more memory than {device} has free; refine it in tiles (tile=512, or smaller "
            "ones), or on the processor (device=None)"
        ) from None


def iterated(
    probabilities: np.ndarray,
    rest: np.ndarray,
    kernels: list[Kernel],
    weights: list[float],
    iterations: int,
    floor: float,
    compatibility: np.ndarray | None,
    device: str,
) -> tuple[np.ndarray, np.ndarray]:
    """See `plain.iterated`; here probabilities and kernels are padded to few sizes, each of which is compiled once."""
    import keras

    numbers = [np.float32(floor), np.asarray(weights, np.float32), np.int32(iterations)]
    matrix = [] if compatibility is None else [compatibility]
    rows, rest, *others = tensors([probabilities, rest, *numbers, *matrix], device)
    program = _program(tuple(k.corner.shape[1] for k in kernels), compatibility is not None)
    with _memory_of(device), keras.device(device):
        found = program(rows, rest, kernels, *others)
        return tuple(keras.ops.convert_to_numpy(x) for x in found)


@functools.lru_cache(maxsize=8)
def _program(corners: tuple[int, ...], has_compatibility: bool) -> Callable[..., Any]:
    """The program for kernels with these numbers of corners."""
    from kseg.ops.programs.compiled import compiled

    # A function of its own for each of them, as a compiler keeps what it knows with the function.
    return compiled(lambda *arguments: _mean_field(*arguments))


def _mean_field(probabilities, rest, kernels, floor, weights, iterations, compatibility=None):
    """The probabilities after the iterations, and what those of the classes in `rest` are multiplied by."""
    from keras import ops

    clipped = ops.minimum(ops.maximum(probabilities, floor), 1.0)
    unary = ops.log(clipped)
    messages = _joined_filter(kernels, weights) if kernels else None

    def update(_: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        q, _ = state
        # What Potts takes from all the other classes, it may as well add to a class's own.
        agreement = q if compatibility is None else -ops.matmul(q, compatibility)
        logits = unary if messages is None else unary + messages(agreement)
        top = ops.max(logits, axis=1, keepdims=True)
        q, share = (
            ops.exp(logits - top),
            ops.exp(ops.minimum(-top, 80.0)),
        )  # finite for the smallest floors too
        total = ops.sum(q, axis=1, keepdims=True) + rest * share
        return q / total, share / total

    share = 1 / (ops.sum(clipped, axis=1, keepdims=True) + rest)
    return ops.fori_loop(0, iterations, update, (clipped * share, share))


def _joined_filter(kernels: list[Kernel], weights: Any) -> Callable[[Any], Any]:
    """The weighted sum of the kernels, as one lattice that holds the vertices of all: fewer, larger steps."""
    from keras import ops

    counts = [ops.shape(kernel.neighbours)[-1] for kernel in kernels]
    starts = [sum(counts[:n]) for n in range(len(kernels))]
    directions = max(kernel.neighbours.shape[0] for kernel in kernels)

    def padded(kernel: Kernel, count: Any) -> Any:
        # A kernel's last vertex is padding and stays zero. Along a direction that the kernel does not have it is both
        # neighbours of every vertex, which leaves them as they are.
        missing = ops.zeros_like(kernel.neighbours[:1]) + (count - 1)
        return ops.concatenate([kernel.neighbours] + [missing] * (directions - kernel.neighbours.shape[0]))

    parts = list(zip(kernels, counts, starts, strict=True))
    neighbours = ops.concatenate([padded(k, count) + start for k, count, start in parts], axis=2)
    owner = ops.concatenate([k.owner + start for k, _, start in parts])
    corner = ops.concatenate([k.corner + start for k, _, start in parts], axis=1)
    read = ops.concatenate([weights[n] * k.read for n, k in enumerate(kernels)], axis=1)
    member = ops.concatenate([k.member for k in kernels])
    share = ops.concatenate([k.share for k in kernels])

    def blurred(j, values):
        before, after = neighbours[j, 0], neighbours[j, 1]
        return values + 0.5 * (ops.take(values, before, axis=0) + ops.take(values, after, axis=0))

    def filtered(values):
        vertices = ops.segment_sum(_gathered(values, share, member), owner, num_segments=sum(counts))
        # A loop, because XLA would fuse the directions and compute each of them three times.
        return _gathered(ops.fori_loop(0, directions, blurred, vertices), read, corner)

    return filtered


def _gathered(values, weights, places):
    """For each row, the weighted sum of the values at its places."""
    from keras import ops

    total = weights[:, :1] * ops.take(values, places[:, 0], axis=0)
    for k in range(1, weights.shape[1]):
        total += weights[:, k : k + 1] * ops.take(values, places[:, k], axis=0)
    return total
