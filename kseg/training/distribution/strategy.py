"""Distribution: which devices share a training step, how a batch is cut for them, and batch normalisation over all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kseg.errors import SettingsError
from kseg.parts import tensorflow as tf
from kseg.training.distribution import cluster

if TYPE_CHECKING:
    import tensorflow as tf


STRATEGIES = ("none", "mirrored", "multiworker")


@contextmanager
def strategy(name: str = "none", devices: int | None = None) -> Iterator[tf.distribute.Strategy]:
    """The context in which a model is built, and trained by `kseg.training.fit`, on one device or on several.

        with kseg.training.strategy("mirrored"):
            model = kseg.models.build("fcn8s_efficientnetlite0", 21)
            kseg.training.fit(model, recipe, train, val, "runs/a")

    It serves scripts with Keras's own `fit` too, all names but "multiworker"; around that `fit`, take
    `synchronised_batch_norm(model)`.

    Args:
        name: "none", one device; "mirrored", all GPUs of this machine (its CPU devices where it has no GPU);
            "multiworker", several machines, or processes, that the environment variable TF_CONFIG lists.
        devices: how many devices "mirrored" takes, all by default. Without GPUs the CPU is cut into that many,
            which is slower than one and good for trying out; this must come before TensorFlow's first operation.

    Returns:
        A context manager that gives the `tf.distribute.Strategy`.

    Raises:
        SettingsError: unknown name, too few devices, or a TF_CONFIG that is missing or wrong.
        KsegError: "multiworker" could not reach the other workers.

    Example:

    >>> with kseg.training.strategy("none") as strategy:
    ...     strategy.num_replicas_in_sync
    1
    """
    if name not in STRATEGIES:
        raise SettingsError(f"There is no strategy {name!r}; there are {', '.join(STRATEGIES)}.")
    if devices is not None and name != "mirrored":
        raise SettingsError("A number of devices goes with the strategy mirrored only.")
    if name == "none":
        chosen = tf.distribute.get_strategy()
    elif name == "mirrored":
        if devices is not None and not tf.config.list_physical_devices("GPU"):
            cpu, part = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
            with suppress(RuntimeError):  # TensorFlow has begun; the devices are what they are
                tf.config.set_logical_device_configuration(cpu, [part] * devices)
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if devices is not None and devices > len(found):
            raise SettingsError(f"{devices} devices are wanted and TensorFlow sees {len(found)}.")
        chosen = _mirrored(tuple(f"{one.device_type}:{i}" for i, one in enumerate(found[:devices])))
    else:
        chosen = cluster.connect()
    with chosen.scope():
        yield chosen


@cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    # One for all: the collective operations of a second object would bear the same numbers.
    return tf.distribute.MirroredStrategy(list(names))


def check_batch_size(batch_size: int) -> None:
    """SettingsError if the present strategy's replicas cannot share such a batch evenly."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if batch_size % replicas:
        raise SettingsError(
            f"{replicas} devices cannot share a batch of {batch_size} images evenly; give a batch size that is "
            f"a multiple of {replicas}."
        )


def distributed(pipeline: Callable[[int, range], tf.data.Dataset]) -> Any:
    """What a training under the present strategy iterates: every replica gets its part of every batch.

    Args:
        pipeline: gives the data set of batches for `parts` and `own` of `kseg.data.pipeline`.
    """
    chosen = tf.distribute.get_strategy()
    replicas = chosen.num_replicas_in_sync
    if replicas == 1:
        return pipeline(1, range(1))

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * here
        return pipeline(replicas, range(first, first + here))

    return chosen.distribute_datasets_from_function(of_worker)


def place() -> tuple[int, int]:
    """(number of this worker, number of workers) of the present strategy; (0, 1) on one machine."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    if resolver is None or not resolver.task_type:
        return 0, 1
    here = cluster.from_environment()
    return here.index, len(here.workers)


def sum_over_workers(values: np.ndarray) -> np.ndarray:
    """An array summed over all workers; every worker must call it. The array itself on one machine."""
    if place()[1] == 1:
        return values
    chosen = tf.distribute.get_strategy()

    @tf.function
    def total(own: Any) -> Any:
        def one(value: Any) -> Any:
            replica = tf.distribute.get_replica_context()
            first = tf.equal(replica.replica_id_in_sync_group % here, 0)
            return replica.all_reduce(
                tf.distribute.ReduceOp.SUM, tf.where(first, value, tf.zeros_like(value))
            )

        return chosen.run(one, args=(own,))

    here = chosen.num_replicas_in_sync // place()[1]
    return np.asarray(chosen.experimental_local_results(total(tf.constant(values)))[0])


def assign_total(variables: list[Any], values: list[np.ndarray]) -> None:
    """Give variables that are summed over replicas (a metric's) their sums: the first replica holds it all.

    TensorFlow's own assignment divides by the number of replicas, which loses odd counts.
    """
    chosen = tf.distribute.get_strategy()
    if chosen.num_replicas_in_sync == 1:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return

    @tf.function
    def assign() -> None:
        def one() -> Any:
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            for variable, value in zip(variables, values, strict=True):
                whole = tf.cast(tf.constant(value), variable.dtype)
                variable.assign(tf.where(first, whole, tf.zeros_like(whole)))

        chosen.run(one)

    assign()


@contextmanager
def synchronised_batch_norm(model: keras.Model) -> Iterator[None]:
    """Within it, batch normalisation that is traced takes mean and variance over the batch of all replicas.

    The layers are as they were afterwards, and so is what is saved. Layers that are frozen use their stored
    statistics as ever. Put it around Keras's `fit`; `kseg.training.fit` does it by itself.

    Args:
        model: the Keras model; its layers are as before afterwards.

    Returns:
        A context manager.

    Example:
    ```python
    with kseg.training.synchronised_batch_norm(model):
        model.fit(batches)
    ```
    """
    layers = []
    if model.distribute_strategy.num_replicas_in_sync > 1:
        layers = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
        ]
    for layer in layers:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = False
