"""Training that survives: what distribution, checkpoints, resuming and determinism cost; ratios in one run.

    python tools/benchmark_training.py             everything
    python tools/benchmark_training.py mirrored    a step on two logical CPUs against one device, the same batch
    python tools/benchmark_training.py checkpoint  writing last.keras as a share of an epoch
    python tools/benchmark_training.py skip        from starting at epoch 50 to the first batch, and at epoch 0
    python tools/benchmark_training.py order       input pipeline in any order, in order, with deterministic operations

Data as in tools/benchmark.py. Never run while something else keeps the machine busy.
"""

import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
from benchmark import BATCH, MODEL, batches, trainer, training_data
from measuring import figures, run, say, seconds

EPOCH = 50


def mirrored_overhead() -> None:
    """Two devices share the processor that one has to itself, so 1.0 would be no overhead."""
    one, two = (figures(__file__, name)[0] for name in ("_one", "_two"))
    print(f"mirrored on two logical CPUs ({MODEL}, batch {BATCH})")
    print(f"  a step {two:.2f} s, on one device {one:.2f} s: ratio {two / one:.2f}")


def _step(name: str, devices: int | None, repeats: int = 5) -> None:
    """Prints the time of an optimizer step of `kseg.training.fit` on batches that are there already."""
    import kseg
    from kseg.data import pipeline
    from kseg.training.distribution.strategy import distributed
    from kseg.training.train_step import TrainStep

    dataset, size, _ = training_data()
    with kseg.training.strategy(name, devices):
        steps = TrainStep(trainer(dataset.num_classes), kseg.losses.CrossEntropy())

        def few(parts: int, own: range):
            return (
                pipeline(dataset, batch_size=BATCH, size=size, parts=parts, own=own)
                .take(len(own))
                .cache()
                .repeat()
            )

        source = iter(distributed(few))
        say(seconds(lambda: steps(source), repeats))


def checkpoint_share(repeats: int = 3) -> None:
    """What is written once an epoch, against the epoch's training steps."""
    from kseg.training.run import checkpoint

    dataset, size, augment = training_data()
    model, source = trainer(dataset.num_classes), batches(dataset, size, augment)
    batch = next(source)
    step = seconds(lambda: model.train_on_batch(*batch), repeats)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.keras"
        writing = seconds(lambda: checkpoint.save(model, path), repeats)
        size_written = path.stat().st_size / 2**20
    epoch = step * max(len(dataset) // BATCH, 1)
    print(f"checkpoint ({MODEL} with its optimizer, {size_written:.1f} MiB; {dataset.name})")
    print(f"  {writing:.2f} s against an epoch of {epoch:.1f} s of steps: {writing / epoch:.2%}")


def skip_ahead() -> None:
    """Consumed batches are skipped by arithmetic, so that the epoch makes no difference."""
    dataset, size, augment = training_data()
    times = [_first_batch(dataset, size, augment, epoch) for epoch in (0, 0, EPOCH)][1:]
    print(f"first batch of a run that goes on at epoch {EPOCH} ({dataset.name}, {size[0]}x{size[1]})")
    print(f"  after {times[1]:.2f} s (under 5 s is wanted), at epoch 0 after {times[0]:.2f} s")


def _first_batch(dataset, size, augment, epoch: int) -> float:
    from kseg.data import pipeline

    start = time.perf_counter()
    steps = epoch * (len(dataset) // BATCH)
    settings = {"shuffle": True, "epochs": None, "start_step": steps, "drop_remainder": True}
    next(iter(pipeline(dataset, batch_size=BATCH, size=size, augment=augment, **settings)))
    return time.perf_counter() - start


def order_cost() -> None:
    """Images a second of the input pipeline alone, each in a process of its own."""
    any_order, in_order, deterministic = (
        figures(__file__, name)[0] for name in ("_any", "_order", "_deterministic")
    )
    print("input pipeline, images a second")
    print(f"  in any order {any_order:.1f}, in order {in_order:.1f}, --deterministic {deterministic:.1f}")
    print(
        f"  cost of the order {any_order / in_order:.2f}, of --deterministic {any_order / deterministic:.2f}"
    )


def _reading(steps: int = 30) -> None:
    dataset, size, augment = training_data()
    source = batches(dataset, size, augment)
    for _ in range(len(dataset) // BATCH + 1):  # the first epoch fills the cache
        next(source)
    start = time.perf_counter()
    for _ in range(steps):
        next(source)
    say(BATCH * steps / (time.perf_counter() - start))


def _reading_in_any_order() -> None:
    import tensorflow as tf

    ordered = tf.data.Dataset.map

    def unordered(self, function, **settings):
        return ordered(self, function, **{**settings, "deterministic": False})

    with mock.patch.object(tf.data.Dataset, "map", unordered):
        _reading()


def _reading_deterministically() -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    _reading()


MEASUREMENTS = {
    "mirrored": mirrored_overhead,
    "checkpoint": checkpoint_share,
    "skip": skip_ahead,
    "order": order_cost,
}
_IN_A_PROCESS = {
    "_one": lambda: _step("none", None),
    "_two": lambda: _step("mirrored", 2),
    "_any": _reading_in_any_order,
    "_order": _reading,
    "_deterministic": _reading_deterministically,
}


def main(argv: list[str] | None = None) -> int:
    return run(__doc__, MEASUREMENTS, _IN_A_PROCESS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
