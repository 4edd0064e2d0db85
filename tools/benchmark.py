"""Speed and memory as ratios within one run, so that they mean the same on any machine.

    python tools/benchmark.py              everything
    python tools/benchmark.py input        input pipeline against training, images a second
    python tools/benchmark.py evaluation   the confusion matrix's share of an evaluation step
    python tools/benchmark.py help         seconds of kseg --help
    python tools/benchmark.py memory       peak memory of a training step, in a process of its own
    python tools/benchmark.py unpooling    pooling and unpooling against scattering and PyTorch
    python tools/benchmark.py proposals    prediction by object proposals in batches against one by one
    python tools/benchmark.py crf          the dense CRF against pydensecrf
    python tools/benchmark.py crf_error    its filter against the exact sum over all pairs of pixels
    python tools/benchmark.py crf_growth   the dense CRF's time and peak memory from 0.1 to 4 megapixels
    python tools/benchmark.py crf_sizes    its labels and memory beside pydensecrf's and the estimate, to 8 megapixels
    python tools/benchmark.py crf_device   the CRF on a GPU through Keras's backend (KSEG_DEVICE, else gpu:0)
    python tools/benchmark.py torch        training step and inference of pspnet_resnet50 against PyTorch; 8 GB
    python tools/benchmark.py loss         full-size logits that a training step at 150 classes holds
    python tools/benchmark.py tiles        what a window over a large image costs beside the model
    python tools/benchmark.py mirrored     a step on two logical CPUs against one device, the same batch
    python tools/benchmark.py checkpoint   writing last.keras as a share of an epoch
    python tools/benchmark.py skip         from starting at epoch 50 to the first batch, and at epoch 0
    python tools/benchmark.py order        input pipeline in any order, in order, with deterministic operations
    python tools/benchmark.py models       the README's table of models
    python tools/benchmark.py export       exported files against Keras's graph, one image
    python tools/benchmark.py serving      8 clients with 250 requests each against the loopback server
    python tools/benchmark.py table        every row against its peer, into docs/results/speed.md
    python tools/benchmark.py operations   the int8 presets by operation in LiteRT; any file: speed/operations.py FILE
    python tools/benchmark.py webcam       frames a second against inference alone; int8, float32 and DeepLabV3

Uses CamVid below KSEG_DATA (default: ../shared/data beside the checkout) where it is there, else the built-in
data set shapes. Never run while something else keeps the machine busy.
"""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measuring import figures, peak_mebibytes, run, say, seconds

MODEL = "fcn8s_efficientnetlite0"
BATCH = 8


def training_data():
    """The training split to measure with, and the crop size and augmentation of its recipe."""
    import kseg

    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("KSEG_DATA", default)) / "camvid"
    dataset = kseg.data.load("camvid", root) if root.is_dir() else kseg.data.load("shapes")
    recipe = next(r for r in kseg.training.RECIPES.values() if (r.model, r.data) == (MODEL, dataset.name))
    names = ("scale", "mirror", "rotate", "jitter", "blur", "brightness", "contrast", "saturation", "hue")
    return dataset, recipe.size, kseg.data.Augment(**{name: getattr(recipe, name) for name in names})


def batches(dataset, size, augment):
    """An endless iterator of training batches, as ``kseg.training.fit`` reads them."""
    import kseg

    return iter(
        kseg.data.pipeline(
            dataset,
            batch_size=BATCH,
            size=size,
            augment=augment,
            shuffle=True,
            epochs=None,
            drop_remainder=True,
        )
    )


def trainer(num_classes: int):
    """The fastest network, compiled as training compiles it."""
    import kseg

    model = kseg.models.build(MODEL, num_classes)
    metric = kseg.metrics.MeanIoU(num_classes)
    model.compile(kseg.training.AdamW(1e-3), kseg.losses.CrossEntropy(), metrics=[metric], jit_compile=False)
    return model


def input_against_training(steps: int = 30) -> None:
    """Images a second of the input pipeline alone, and of training on one batch that is there already."""
    dataset, size, augment = training_data()
    source = batches(dataset, size, augment)
    for _ in range(len(dataset) // BATCH + 1):  # the first epoch fills the cache; the others are the rule
        image, label = next(source)
    start = time.perf_counter()
    for _ in range(steps):
        next(source)
    reading = BATCH * steps / (time.perf_counter() - start)
    del source
    model = trainer(dataset.num_classes)
    training = BATCH / seconds(lambda: model.train_on_batch(image, label), max(steps // 5, 3))
    print(f"input pipeline ({dataset.name}, {size[0]}x{size[1]}, batch {BATCH}, augmented)")
    print(f"  reads {reading:.1f} images a second, {MODEL} trains on {training:.1f}")
    print(f"  ratio {reading / training:.1f} (3 or more is wanted)")


def confusion_share(repeats: int = 7) -> None:
    """What counting the confusion matrix costs of a step that predicts and counts."""
    import numpy as np

    import kseg

    dataset, _, _ = training_data()
    image, label = dataset.load(0)
    model = kseg.models.build(MODEL, dataset.num_classes)
    predictor = kseg.inference.Predictor(model)
    predicted = predictor(image)

    def count() -> np.ndarray:
        return kseg.metrics.confusion_matrix(label, predicted, dataset.num_classes, dataset.ignore_label)

    predicting, counting = seconds(lambda: predictor(image), repeats), seconds(count, repeats)
    print(f"evaluation step ({dataset.name}, one image of {image.shape[0]}x{image.shape[1]})")
    print(f"  predicting {1e3 * predicting:.1f} ms, counting {1e3 * counting:.2f} ms")
    print(f"  share of the confusion matrix {counting / (predicting + counting):.2%} (under 3 % is wanted)")


def help_seconds(repeats: int = 5) -> None:
    """Wall time of ``kseg --help``, the interpreter's own start included."""
    command = [sys.executable, "-m", "kseg", "--help"]

    def ask() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    bare = seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True), repeats)
    print("kseg --help")
    print(f"  {seconds(ask, repeats):.3f} s (under 0.5 s is wanted), Python alone {bare:.3f} s")


def peak_memory() -> None:
    """Peak memory of three training steps in a fresh process, and of the same process without training."""
    peaks = {what: figures(__file__, f"_peak_{what}")[0] for what in ("import", "step")}
    print(f"peak memory of a training step ({MODEL}, batch {BATCH})")
    print(f"  {peaks['step']:.0f} MiB, {peaks['import']:.0f} MiB of it after importing kseg alone")


def proposals_batched(
    boxes: int = 20,
    repeats: int = 3,
    networks: tuple[str, ...] = ("deconvnet_small", "deconvnet_efficientnetlite0"),
) -> None:
    """Prediction by object proposals in batches, and one crop at a time."""
    for name in networks:
        _proposals_of(name, boxes, repeats)


def _proposals_of(name: str, boxes: int, repeats: int) -> None:
    import numpy as np

    import kseg

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)
    corners = rng.integers(0, (200, 300), (boxes, 2))
    found = np.concatenate([corners, corners + rng.integers(100, 170, (boxes, 2))], axis=1)
    model = kseg.models.build(name, 21)
    times = {}
    for batch in (1, 10):
        predictor = kseg.inference.ProposalPredictor(
            model, size=(112, 112), batch_size=batch, propose=lambda *_: found
        )
        times[batch] = seconds(lambda predictor=predictor: predictor(image), repeats)
    alone = seconds(
        lambda: [model.predict(np.zeros((1, 112, 112, 3), "f"), verbose=0) for _ in range(boxes)], repeats
    )
    print(f"prediction by {boxes} proposals ({name}, warped to 112x112)")
    print(
        f"  in batches of 10 {times[10]:.2f} s, one at a time {times[1]:.2f} s, by model.predict alone {alone:.2f} s"
    )
    print(
        f"  ratio {times[1] / times[10]:.1f} (2 or more is wanted), {alone / times[10]:.1f} against model.predict"
    )


def _peak_import() -> None:
    import kseg  # noqa: F401

    say(peak_mebibytes())


def _peak_step() -> None:
    dataset, size, augment = training_data()
    source = batches(dataset, size, augment)
    model = trainer(dataset.num_classes)
    for _ in range(3):
        model.train_on_batch(*next(source))
    say(peak_mebibytes())


def elsewhere(module: str, function: str) -> Callable[[], None]:
    """A measurement of another file of this folder, which is imported when it is asked for."""
    return lambda: getattr(importlib.import_module(module), function)()


MEASUREMENTS = {
    "input": input_against_training,
    "evaluation": confusion_share,
    "help": help_seconds,
    "memory": peak_memory,
    "unpooling": elsewhere("benchmark_unpooling", "unpooling"),
    "proposals": proposals_batched,
    "crf": elsewhere("benchmark_crf", "crf_speed"),
    "crf_error": elsewhere("benchmark_crf", "crf_error"),
    "crf_growth": elsewhere("benchmark_crf", "crf_growth"),
    "crf_sizes": elsewhere("benchmark_crf", "crf_sizes"),
    "crf_device": elsewhere("benchmark_crf", "crf_device"),
    "torch": elsewhere("benchmark_pspnet", "against_torch"),
    "loss": elsewhere("benchmark_pspnet", "loss_memory"),
    "tiles": elsewhere("benchmark_pspnet", "tiles"),
    "mirrored": elsewhere("benchmark_training", "mirrored_overhead"),
    "checkpoint": elsewhere("benchmark_training", "checkpoint_share"),
    "skip": elsewhere("benchmark_training", "skip_ahead"),
    "order": elsewhere("benchmark_training", "order_cost"),
    "export": elsewhere("benchmark_export", "export_speed"),
    "serving": elsewhere("benchmark_export", "serving_load"),
    "webcam": elsewhere("benchmark_webcam", "webcam_speed"),
    "models": elsewhere("benchmark_models", "model_table"),
    "table": elsewhere("speed.table", "written"),
    "operations": elsewhere("speed.operations", "presets"),
}
_IN_A_PROCESS = {"_peak_import": _peak_import, "_peak_step": _peak_step}


def main(argv: list[str] | None = None) -> int:
    return run(__doc__, MEASUREMENTS, _IN_A_PROCESS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
