"""The mean-field iterations of a dense CRF: splat, blur and slice as gathers that XLA compiles."""

# Tried and left (2026-11; processor time of the loop, in turns with this program): TensorFlow's CSR products, 0.65 to
# 1.0 of it at 21 classes but 1.2 to 2.1 at 2 to 4, and slower to lay out; SciPy's, no faster at any number; two
# directions of the blur in one pass, 0.9 at 21 classes, 1.2 at 4; one class fewer in the filter, as probabilities sum
# to one and filter(1) is known (half the passes of two classes), 0.89 at 2 and at 3 classes, one of 21 channels at 21.

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kseg.inference.crf import on_device
from kseg.inference.crf.permutohedral import PermutohedralLattice
from kseg.inference.crf.plain import PlainKernel, iterated
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf

LATTICE_SIZES = 4  # an octave; the lattice of an image of given size varies, its padding costs little
CHUNK = 8  # members of a vertex summed in one row; a vertex with more owns several rows


class Kernel(NamedTuple):
    """A symmetrically normalised Gaussian kernel over the points of a lattice, padded to few distinct sizes.

    Rows and vertices added by the padding have weight zero and read vertex `vertices`, which stays zero.
    """

    member: tf.Tensor  # int32 (rows, CHUNK): points gathered into a row
    share: tf.Tensor  # float32 (rows, CHUNK): their weights, normalisation included
    owner: tf.Tensor  # int32 (rows,): the vertex that a row is added to
    neighbours: tf.Tensor  # int32 (dimensions + 1, 2, vertices)
    corner: tf.Tensor  # int32 (points, dimensions + 1): vertices read by a point
    read: tf.Tensor  # float32 (points, dimensions + 1): their weights, normalisation and scale included


def padded(count: int, sizes: int = 8) -> int:
    """The next of a number of sizes an octave (a power of two): few sizes mean few compilations."""
    step = 1 << max(count.bit_length() - sizes.bit_length(), 0)
    return -(-count // step) * step


def kernel(lattice: PermutohedralLattice, device: str | None = None) -> Kernel | PlainKernel:
    """Lay out a lattice for the compiled filter, with 1 / sqrt(filter(1)) on both sides.

    Args:
        lattice: of the points.
        device: where its tables go, a device of Keras's backend; None for TensorFlow's processor, or NumPy.
    """
    norm = 1 / np.sqrt(lattice.filter(np.ones((lattice.points, 1), np.float32))[:, 0] + np.float32(1e-20))
    if device is not None:
        return Kernel(*on_device.tensors(_tables(lattice, norm), device))
    if not tf.installed():
        return PlainKernel(lattice, norm)
    with tf.device("CPU:0"):
        return Kernel(*map(tf.constant, _tables(lattice, norm)))


def _tables(lattice: PermutohedralLattice, norm: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays of a `Kernel`."""
    with ThreadPoolExecutor(2) as pool:
        splat = pool.submit(_splat_tables, lattice, norm)
        neighbours = np.full(
            (lattice.dimensions + 1, 2, padded(lattice.vertices + 1, LATTICE_SIZES)),
            lattice.vertices,
            np.int32,
        )
        neighbours[:, :, : lattice.vertices] = lattice.neighbours
        corner = np.zeros((padded(lattice.points), lattice.dimensions + 1), np.int32)
        corner[: lattice.points] = lattice.corners.T
        read = np.zeros(corner.shape, np.float32)
        np.multiply(lattice.weights.T, (lattice.scale * norm)[:, None], out=read[: lattice.points])
        return *splat.result(), neighbours, corner, read


def _splat_tables(
    lattice: PermutohedralLattice, norm: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Members and shares of every row, and the vertex that owns it."""
    sizes = np.diff(lattice.starts)
    rows = -(-sizes // CHUNK)
    total, before = int(rows.sum()), np.cumsum(rows) - rows
    slots = np.repeat(CHUNK * before - lattice.starts[:-1], sizes)
    slots += np.arange(len(slots))
    member = np.zeros((padded(total, LATTICE_SIZES), CHUNK), np.int32)
    member.reshape(-1)[slots] = lattice.members
    share = np.zeros(member.shape, np.float32)
    share.reshape(-1)[slots] = lattice.member_weights * norm[lattice.members]
    owner = np.full(len(member), padded(lattice.vertices + 1, LATTICE_SIZES) - 1, np.int32)
    owner[:total] = np.repeat(np.arange(lattice.vertices, dtype=np.int32), rows)
    return member, share, owner


def mean_field(
    probabilities: np.ndarray,
    kernels: list[Kernel] | list[PlainKernel],
    weights: list[float],
    iterations: int,
    floor: float,
    compatibility: np.ndarray | None = None,
    active: np.ndarray | None = None,
    device: str | None = None,
) -> np.ndarray:
    """Run the iterations on probabilities (points, classes).

    With `active` (class numbers; Potts only), only these classes send messages and the others' are taken as zero. The
    others then keep their unary term, and what the loop needs of them is its sum. With `device`, where the kernels are
    too, it runs through Keras's backend.
    """
    classes = probabilities.shape[1]
    silent = np.delete(np.arange(classes), slice(None) if active is None else active)
    others = probabilities[:, silent].clip(floor, 1)
    chosen = probabilities if active is None else probabilities[:, active]
    rest = others.sum(axis=1, dtype=np.float32)[:, None]
    if device is not None:
        run = functools.partial(_padded, run=functools.partial(on_device.iterated, device=device))
    else:
        run = functools.partial(_padded, run=_compiled) if tf.installed() else iterated
    found, share = run(chosen, rest, kernels, weights, iterations, floor, compatibility)
    if active is None:
        return found
    refined = np.empty(probabilities.shape, np.float32)
    refined[:, active] = found
    refined[:, silent] = others * share
    return refined


def _padded(
    probabilities: np.ndarray,
    rest: np.ndarray,
    kernels: list[Kernel],
    *settings: Any,
    run: Callable[..., Any],
) -> tuple[np.ndarray, np.ndarray]:
    """See `plain.iterated`; here the points are padded to one of few sizes, each of which is compiled once."""
    points, classes = probabilities.shape
    rows = np.full((padded(points), classes), np.float32(1))
    rows[:points] = probabilities
    others = np.zeros((len(rows), 1), np.float32)
    others[:points] = rest
    found, share = run(rows, others, kernels, *settings)
    return found[:points], share[:points]


def _compiled(
    rows: np.ndarray,
    rest: np.ndarray,
    kernels: list[Kernel],
    weights: list[float],
    iterations: int,
    floor: float,
    compatibility: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    with tf.device("CPU:0"):
        numbers = (tf.constant(x, tf.float32) for x in (floor, weights))
        matrix = () if compatibility is None else (tf.constant(compatibility),)
        run = _program(tuple(k.corner.shape[1] for k in kernels), compatibility is not None)
        rows, rest = tf.constant(rows), tf.constant(rest)
        found, share = run(rows, rest, kernels, *numbers, tf.constant(iterations), *matrix)
    return found.numpy(), share.numpy()


@functools.lru_cache(maxsize=8)
def _program(corners: tuple[int, ...], has_compatibility: bool) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The program for kernels with these numbers of corners, traced once; XLA compiles it for each size."""

    def spec(*shape: int | None, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype)

    def kernel_spec(n: int) -> Kernel:
        index, corner = spec(None, CHUNK, dtype=tf.int32), spec(None, n, dtype=tf.int32)
        neighbours = spec(n, 2, None, dtype=tf.int32)
        return Kernel(index, spec(None, CHUNK), spec(None, dtype=tf.int32), neighbours, corner, spec(None, n))

    signature = [
        spec(None, None),
        spec(None, 1),
        [kernel_spec(n) for n in corners],
        spec(),
        spec(len(corners)),
    ]
    signature += [spec(dtype=tf.int32)] + [spec(None, None)] * has_compatibility
    return tf.function(_mean_field, input_signature=signature, jit_compile=True, autograph=False)


def _mean_field(probabilities, rest, kernels, floor, weights, iterations, compatibility=None):
    """The probabilities after the iterations, and what those of the classes in `rest` are multiplied by."""
    clipped = tf.clip_by_value(probabilities, floor, 1.0)
    unary = tf.math.log(clipped)

    def update(i: tf.Tensor, q: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # what Potts takes from all the other classes, it may as well add to a class's own
        agreement = q if compatibility is None else -tf.matmul(q, compatibility)
        logits = unary
        for n, kernel in enumerate(kernels):
            rows = _gathered(agreement, kernel.share, kernel.member)
            vertices = tf.math.unsorted_segment_sum(rows, kernel.owner, tf.shape(kernel.neighbours)[-1])
            logits += weights[n] * _gathered(_blur(vertices, kernel), kernel.read, kernel.corner)
        top = tf.reduce_max(logits, axis=1, keepdims=True)
        q, share = tf.exp(logits - top), tf.exp(tf.minimum(-top, 80.0))  # finite for the smallest floors too
        total = tf.reduce_sum(q, axis=1, keepdims=True) + rest * share
        return i + 1, q / total, share / total

    share = 1 / (tf.reduce_sum(clipped, axis=1, keepdims=True) + rest)
    return tf.while_loop(lambda i, *_: i < iterations, update, (0, clipped * share, share))[1:]


def _gathered(values, weights, places):
    """For each row, the weighted sum of the values at its places."""
    total = weights[:, 0, None] * tf.gather(values, places[:, 0])
    for k in range(1, weights.shape[1]):
        total += weights[:, k, None] * tf.gather(values, places[:, k])
    return total


def _blur(values, kernel):
    def direction(j, values):
        before, after = kernel.neighbours[j, 0], kernel.neighbours[j, 1]
        return j + 1, values + 0.5 * (tf.gather(values, before) + tf.gather(values, after))

    # a loop, because XLA would fuse the directions and compute each of them three times
    return tf.while_loop(lambda j, _: j < kernel.neighbours.shape[0], direction, (0, values))[1]
