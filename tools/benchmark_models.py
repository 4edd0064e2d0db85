"""The table of the README: parameters, time in Keras and in LiteRT, size, for the presets and the fast networks.

    python tools/benchmark.py models

Each network works on one image, at the size its preset works at, else at 360x480 with 11 classes; two threads.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measuring import in_turns

NETWORKS = (
    "lraspp_efficientnetlite0",
    "deeplabv3plus_efficientnetlite0",
    "fcn8s_efficientnetlite0",
    "deeplabv2_efficientnetlite0",
    "pspnet_efficientnetlite0",
    "deconvnet_efficientnetlite0",
)
SIZE, CLASSES = (360, 480), 11
ROW = "| {:<34} | {:>10} | {:>8} | {:>9} | {:>8} | {:>5} |"


def model_table(rounds: int = 15) -> None:
    """Print one row a model, in Markdown."""
    print(ROW.format("model", "parameters", "size", "Keras ms", "LiteRT ms", "MB"))
    print("|---" * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, parameters, size, runs, file in entries(Path(folder)):
            times = in_turns(runs, rounds, warm=1)
            print(
                ROW.format(
                    f"`{name}`",
                    f"{parameters:,}",
                    f"{size[0]}x{size[1]}",
                    f"{1e3 * times['Keras'][0]:.1f}",
                    f"{1e3 * times['LiteRT'][0]:.1f}",
                    f"{file.stat().st_size / 1e6:.1f}",
                ),
                flush=True,
            )


def entries(folder: Path) -> Iterator[tuple[str, int, tuple[int, int], dict[str, Callable[[], object]], Path]]:
    """Name, parameters, size, what to time, and the LiteRT file of each model; a preset's is its int8 file."""
    import kseg

    presets = Path(kseg.__file__).parent / "models" / "presets"
    for name, card in kseg.models.presets().items():
        model, size = kseg.models.from_preset(name), tuple(card["size"])
        file = presets / card["files"]["int8"]["file"]
        yield name, model.count_params(), size, runs_of(model, file, size), file
    for name in NETWORKS:
        model, file = kseg.models.build(name, CLASSES), folder / f"{name}.tflite"
        kseg.export.tflite(model, file, size=SIZE)
        yield name, model.count_params(), SIZE, runs_of(model, file, SIZE), file


def runs_of(model, file: Path, size: tuple[int, int]) -> dict[str, Callable[[], object]]:
    """One image through Keras's compiled graph, and through LiteRT alone."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.float32)
    graph, fixed = tf.function(lambda x: model(x, training=False), autograph=False), tf.constant(image)
    interpreter = Interpreter(str(file), num_threads=2)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    interpreter.set_tensor(given["index"], image.astype(given["dtype"]))
    return {"Keras": lambda: graph(fixed), "LiteRT": interpreter.invoke}
