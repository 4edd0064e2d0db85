"""The mean-field iterations of a dense CRF: splat, blur and slice as gathers that XLA compiles for the host's CPU."""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kseg.inference.permutohedral import PermutohedralLattice

CHUNK = 8  # members of a vertex summed in one row; a vertex with more owns several rows


class Kernel(NamedTuple):
    """A symmetrically normalised Gaussian kernel over the points of a lattice, padded to few distinct sizes.

    Rows and vertices added by the padding have weight zero and read vertex `vertices`, which stays zero.
    """

    member: tf.Tensor  # int32 (rows, CHUNK): points gathered into a row
    share: tf.Tensor  # float32 (rows, CHUNK): their weights, normalisation included
    owner: tf.Tensor  # int32 (rows,): the vertex that a row is added to
    neighbours: list  # pairs of int32 (vertices,), one pair a direction
    corner: tf.Tensor  # int32 (points, dimensions + 1): vertices read by a point
    read: tf.Tensor  # float32 (points, dimensions + 1): their weights, normalisation and scale included


def padded(count: int) -> int:
    """The next of eight sizes an octave, so that a picture of another size seldom needs a new compilation."""
    step = 1 << max(count.bit_length() - 4, 0)
    return -(-count // step) * step


def kernel(lattice: PermutohedralLattice) -> Kernel:
    """Lay out a lattice for the compiled filter, with 1 / sqrt(filter(1)) on both sides."""
    norm = 1 / np.sqrt(lattice.filter(np.ones((lattice.points, 1), np.float32))[:, 0] + np.float32(1e-20))
    sizes = np.diff(lattice.starts)
    rows = -(-sizes // CHUNK)
    total, first = int(rows.sum()), np.cumsum(rows) - rows
    slots = np.arange(len(lattice.members)) + np.repeat(CHUNK * first - lattice.starts[:-1], sizes)
    member = np.zeros((padded(total), CHUNK), np.int32)
    share = np.zeros((padded(total), CHUNK), np.float32)
    member.reshape(-1)[slots] = lattice.members
    share.reshape(-1)[slots] = lattice.member_weights * norm[lattice.members]
    vertices = padded(lattice.vertices + 1)
    owner = np.full(padded(total), vertices - 1, np.int32)
    owner[:total] = np.repeat(np.arange(lattice.vertices, dtype=np.int32), rows)
    neighbours = np.full((lattice.dimensions + 1, 2, vertices), lattice.vertices, np.int32)
    neighbours[:, :, : lattice.vertices] = lattice.neighbours
    corner = np.zeros((padded(lattice.points), lattice.dimensions + 1), np.int32)
    corner[: lattice.points] = lattice.corners.T
    read = np.zeros(corner.shape, np.float32)
    read[: lattice.points] = (lattice.weights * (lattice.scale * norm)).T
    with tf.device("CPU:0"):
        pairs = [(tf.constant(before), tf.constant(after)) for before, after in neighbours]
        member, share, owner, corner, read = (tf.constant(x) for x in (member, share, owner, corner, read))
    return Kernel(member, share, owner, pairs, corner, read)


def mean_field(
    probabilities: np.ndarray,
    kernels: list[Kernel],
    weights: list[float],
    iterations: int,
    copies: np.ndarray,
    floor: float,
    compatibility: np.ndarray | None,
) -> np.ndarray:
    """Run the iterations on probabilities (points, classes); class c stands for copies[c] equal classes."""
    points, classes = probabilities.shape
    rows = np.full((padded(points), classes), np.float32(1))
    rows[:points] = probabilities
    with tf.device("CPU:0"):
        unary, q = _start(tf.constant(rows), tf.constant(copies), tf.constant(floor, tf.float32))
        del rows
        weights = [tf.constant(weight, tf.float32) for weight in weights]
        copies = tf.constant(copies)
        step = _step(tuple(k.corner.shape[1] for k in kernels))
        for _ in range(iterations):
            # what Potts subtracts from the other classes it may as well add to a class's own
            agreement = q if compatibility is None else tf.matmul(q, tf.constant(-compatibility))
            q = step(agreement, unary, copies, kernels, weights)
    return q.numpy()[:points]


@functools.lru_cache(maxsize=8)
def _step(corners: tuple[int, ...]):
    """One iteration, traced once for kernels with these numbers of corners; XLA compiles its parts for each size."""

    def spec(*shape, dtype=tf.float32):
        return tf.TensorSpec(shape, dtype)

    def kernel_spec(n):
        index = spec(None, dtype=tf.int32)
        corner, member = spec(None, n, dtype=tf.int32), spec(None, CHUNK, dtype=tf.int32)
        return Kernel(member, spec(None, CHUNK), index, [(index, index)] * n, corner, spec(None, n))

    kernel_specs, weight_specs = [kernel_spec(n) for n in corners], [spec()] * len(corners)

    @tf.function(input_signature=[spec(None, None), spec(None, None), spec(None), kernel_specs, weight_specs])
    def step(q, unary, copies, kernels, weights):
        values = [_on_lattice(q, kernel) for kernel in kernels]
        return _read(unary, copies, values, [k.corner for k in kernels], [k.read for k in kernels], weights)

    return step


def _on_lattice(q, kernel):
    values = _splat(q, kernel.member, kernel.share, kernel.owner, kernel.neighbours[0][0])
    for before, after in kernel.neighbours:
        values = _blur(values, before, after)
    return values


@tf.function(jit_compile=True)
def _start(probabilities, copies, floor):
    probabilities = tf.clip_by_value(probabilities, floor, 1.0)
    return -tf.math.log(probabilities), probabilities / tf.reduce_sum(
        probabilities * copies, axis=1, keepdims=True
    )


@tf.function(jit_compile=True)
def _splat(q, member, share, owner, like):
    rows = share[:, 0, None] * tf.gather(q, member[:, 0])
    for k in range(1, CHUNK):
        rows += share[:, k, None] * tf.gather(q, member[:, k])
    return tf.math.unsorted_segment_sum(rows, owner, tf.shape(like)[0])


@tf.function(jit_compile=True)
def _blur(values, before, after):
    # one direction a program: fused with the next, XLA would compute each of them three times
    return values + 0.5 * (tf.gather(values, before) + tf.gather(values, after))


@tf.function(jit_compile=True)
def _read(unary, copies, values, corners, reads, weights):
    logits = -unary
    for value, corner, read, weight in zip(values, corners, reads, weights, strict=True):
        for k in range(corner.shape[1]):
            logits += (weight * read[:, k, None]) * tf.gather(value, corner[:, k])
    q = tf.exp(logits - tf.reduce_max(logits, axis=1, keepdims=True))
    return q / tf.reduce_sum(q * copies, axis=1, keepdims=True)
