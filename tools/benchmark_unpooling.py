"""Pooling with switches and unpooling against TensorFlow's scattering and PyTorch's pair, as ratios within one run.

    python tools/benchmark_unpooling.py

PyTorch is compared where it is installed. Never run while something else keeps the machine busy.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from measuring import seconds


def unpooling(shape: tuple[int, ...] = (4, 112, 112, 64), repeats: int = 7) -> None:
    """Forward and backward, float32."""
    import numpy as np
    import tensorflow as tf

    import kseg

    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    pool, unpool = kseg.layers.MaxPoolingWithArgmax2D(2), kseg.layers.MaxUnpooling2D(2)

    def scattered(x):
        pooled, places = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME", include_batch_in_index=True)
        flat = tf.scatter_nd(tf.reshape(places, (-1, 1)), tf.reshape(pooled, (-1,)), (tf.size(x, tf.int64),))
        return tf.reshape(flat, tf.shape(x))

    ours, scatter = _there_and_back(lambda x: unpool(pool(x)), x), _there_and_back(scattered, x)
    contestants = {"kseg": ours, "scatter": scatter}
    try:
        contestants["torch"] = _there_and_back_in_torch(x)
    except ImportError:
        print("PyTorch is not installed: compared with scattering only")
    times = {name: seconds(run, repeats) for name, run in contestants.items()}
    print(f"pooling and unpooling, forward and backward, {shape}")
    print("  " + ", ".join(f"{name} {1e3 * time:.1f} ms" for name, time in times.items()))
    for name, wanted in (("scatter", 1.5), ("torch", 1.0)):
        if name in times:
            print(f"  ratio to {name} {times[name] / times['kseg']:.1f} ({wanted} or more is wanted)")


def _there_and_back(function: Callable, x) -> Callable[[], object]:
    import tensorflow as tf

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(function(x) ** 2)
        return tape.gradient(y, x)

    x = tf.constant(x)
    return lambda: gradient(x)  # there when it returns; .numpy() would copy it once more


def _there_and_back_in_torch(x) -> Callable[[], object]:
    import numpy as np
    import torch

    pool, unpool = torch.nn.MaxPool2d(2, 2, return_indices=True), torch.nn.MaxUnpool2d(2, 2)
    x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))

    def run():
        leaf = x.clone().requires_grad_()
        (unpool(*pool(leaf)) ** 2).sum().backward()
        return leaf.grad

    return run


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    unpooling()
