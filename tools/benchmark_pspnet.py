"""PSPNet: its speed against PyTorch, the memory of the loss at 150 classes, the overhead of tiles; ratios in one run.

    python tools/benchmark_pspnet.py           everything (PyTorch is compared where it is installed)
    python tools/benchmark_pspnet.py torch     training step and inference of pspnet_resnet50 and of the same network
                                               in PyTorch (channels last), 473x473, batch 2; about 8 GB
    python tools/benchmark_pspnet.py loss      full-size logits that a training step at 150 classes holds
    python tools/benchmark_pspnet.py tiles     what a window over a large image costs beside the model

Never run while something else keeps the machine busy.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measuring import figures, peak_mebibytes, run, say, seconds

CLASSES, SIZE, BATCH = 150, (473, 473), 2
REPEATS = 5
SMALL = "pspnet_efficientnetlite0"


def against_torch() -> None:
    """Each network in a process of its own, so that neither's threads and memory are in the other's way."""
    ours, theirs = (figures(__file__, name) for name in ("_kseg", "_torch"))
    print(f"pspnet_resnet50, {SIZE[0]}x{SIZE[1]}, batch {BATCH}, {CLASSES} classes, second head, SGD")
    for name, (step, inference, peak) in (("kseg", ours), ("PyTorch", theirs)):
        print(f"  {name:8} training step {step:.2f} s, inference {inference:.2f} s, peak {peak:.0f} MiB")
    for number, what in enumerate(("training step", "inference", "peak memory")):
        print(f"  PyTorch / kseg, {what}: {theirs[number] / ours[number]:.2f} (1 is wanted, 1.2 aimed at)")


def loss_memory() -> None:
    """Peak of a training step at 150 classes above that at 2, in full-size logits tensors."""
    full = BATCH * SIZE[0] * SIZE[1] * CLASSES * 4 / 2**20
    (few,), (whole,), (strips,) = (
        figures(__file__, name) for name in ("_loss_2", "_loss_whole", "_loss_strips")
    )
    print(
        f"training step of one convolution, {SIZE[0]}x{SIZE[1]}, batch {BATCH}; full-size logits {full:.0f} MiB"
    )
    print(f"  2 classes {few:.0f} MiB; {CLASSES} classes: whole {whole:.0f}, strip by strip {strips:.0f} MiB")
    print(
        f"  held beyond 2 classes: whole {(whole - few) / full:.2f}, strip by strip {(strips - few) / full:.2f} "
        "full-size tensors (at most 1 is wanted)"
    )


def tiles(num_classes: int = 21, size: tuple[int, int] = (1024, 1365)) -> None:
    """The part of a tiled prediction that is not the model."""
    import numpy as np

    import kseg

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    predictor = kseg.inference.Predictor(kseg.models.build(SMALL, num_classes), window=SIZE)
    inside = [0.0]
    forward = predictor._probabilities.run

    def timed(batch):
        start = time.perf_counter()
        result = forward(batch)
        inside[0] += time.perf_counter() - start
        return result

    predictor._probabilities.run = timed
    predictor(image[: SIZE[0], : SIZE[1] + 8])
    shares = []
    for _ in range(REPEATS):
        inside[0], start = 0.0, time.perf_counter()
        predictor(image)
        shares.append(1 - inside[0] / (time.perf_counter() - start))
    share = sorted(shares)[len(shares) // 2]
    print(
        f"tiled prediction, {SMALL}, {size[0]}x{size[1]} in windows of {SIZE[0]}x{SIZE[1]}, {num_classes} classes"
    )
    print(f"  outside of the model {share:.1%} of the time (under 15 % is wanted)")


def batch():
    """A batch of noise with a few ignored pixels: images float32 0-255, labels int64."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (BATCH, *SIZE))
    labels[rng.random(labels.shape) < 0.05] = 255
    return rng.uniform(0, 255, (BATCH, *SIZE, 3)).astype("float32"), labels


def kseg_step(model, recipe, classes: int = CLASSES, metric: bool = True) -> Callable[[], float]:
    """A training step as ``kseg.training.fit`` takes it."""
    import kseg

    kseg.training.memory.keep_freed_memory()
    images, labels = batch()
    labels[(labels >= classes) & (labels != 255)] = 0
    training_model = kseg.training.objective_of(model, recipe).model
    metrics = [kseg.metrics.MeanIoU(classes)] if metric else []
    optimizer = kseg.training.SGD(0.01, 0.9, l2=1e-4)
    training_model.compile(optimizer, kseg.losses.CrossEntropy(), metrics=metrics, jit_compile=False)
    return lambda: training_model.train_on_batch(images, labels)


def _kseg() -> None:
    import tensorflow as tf

    import kseg

    model = kseg.models.build("pspnet_resnet50", CLASSES)
    recipe = kseg.training.Recipe(auxiliary_weight=0.4, size=SIZE, batch_size=BATCH)
    # PyTorch counts no score: neither does this.
    step = seconds(kseg_step(model, recipe, metric=False), REPEATS)
    graph = tf.function(lambda images: model(images, training=False), autograph=False)
    images = tf.constant(batch()[0])
    say(step, seconds(lambda: graph(images).numpy(), REPEATS), peak_mebibytes())


def _torch() -> None:
    import torch
    from pspnet import pspnet_in_torch

    images, labels = batch()
    network = pspnet_in_torch.PSPNet(CLASSES).to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    step = seconds(pspnet_in_torch.training_step(network, images, torch.from_numpy(labels)), REPEATS)
    network.eval()

    def infer():
        with torch.inference_mode():
            return network(images)[0]

    say(step, seconds(infer, REPEATS), peak_mebibytes())


def one_convolution(classes: int):
    """Nothing but scores at stride 8 and their upsampling, so that the loss is what takes the memory."""
    import keras

    import kseg

    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(classes, 3, 8, padding="same")(keras.layers.Rescaling(1 / 127, -1)(image))
    return keras.Model(image, kseg.layers.ZoomLike(8, name="logits")([x, image]))


def _loss(classes: int, strip_bytes: float) -> None:
    import kseg

    kseg.training.objective.STRIP_BYTES = strip_bytes
    step = kseg_step(one_convolution(classes), kseg.training.Recipe(size=SIZE, batch_size=BATCH), classes)
    for _ in range(2):
        step()
    say(peak_mebibytes())


MEASUREMENTS = {"torch": against_torch, "loss": loss_memory, "tiles": tiles}
_IN_A_PROCESS = {
    "_kseg": _kseg,
    "_torch": _torch,
    "_loss_2": lambda: _loss(2, 0),
    "_loss_whole": lambda: _loss(CLASSES, float("inf")),
    "_loss_strips": lambda: _loss(CLASSES, 0),
}


def main(argv: list[str] | None = None) -> int:
    return run(__doc__, MEASUREMENTS, _IN_A_PROCESS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
