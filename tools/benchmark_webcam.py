"""Speed of the webcam program at 640x480 and of its model in several forms, as ratios within one run.

    python tools/benchmark_webcam.py       (python tools/benchmark.py webcam runs it too)

The people model is the preset, or the same network untrained where the preset is missing: speed is the same. DeepLabV3
is ../shared/reference_models/deeplabv3.tflite, where it is there. Never run while something else keeps the machine
busy.
"""

import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measuring import in_turns


def webcam_files(folder: Path) -> dict[str, Path]:
    """The people model as int8 and float32 TFLite (untrained where the preset is missing), and DeepLabV3."""
    import numpy as np

    import kseg

    model = (
        kseg.models.from_preset("people")
        if "people" in kseg.models.presets()
        else kseg.models.build("deeplabv3plus_efficientnetlite0_fast", 2)
    )
    images = np.random.default_rng(0).uniform(0, 255, (4, 256, 256, 3)).astype("float32")
    files = {name: folder / f"{name}.tflite" for name in ("int8", "float32")}
    for name, path in files.items():
        kseg.export.tflite(model, path, size=(256, 256), precision=name, calibration=images)
    shared = Path(__file__).resolve().parents[2] / "shared" / "reference_models" / "deeplabv3.tflite"
    return files | ({"deeplabv3": shared} if shared.is_file() else {})


def webcam_speed(frames: int = 200) -> None:
    """The webcam program without a window: as fast as it can, then on a camera of 30 frames a second.

    With one thread for the model the second core draws; with two, model and drawing share both.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        files = webcam_files(Path(folder))
        for threads in (1, 2):
            _with_threads(files, threads, frames)


def _with_threads(files: dict[str, Path], threads: int, frames: int) -> None:
    from kseg import webcam
    from kseg.webcam.source import Synthetic

    models = {name: webcam.load(str(path), threads=threads) for name, path in files.items()}
    frame = Synthetic(paced=False).read()
    inputs = {name: model.prepared(frame) for name, model in models.items()}
    runs = {name: partial(model.runner, inputs[name]) for name, model in models.items()}
    times = {name: wall for name, (wall, _) in in_turns(runs, 35).items()}
    settings = webcam.Settings(live=False, headless=True, max_frames=frames)
    report = webcam.App(lambda: Synthetic(paced=False), models["int8"], settings).run()
    settings = webcam.Settings(headless=True, max_frames=min(frames, 90))
    live = webcam.App(Synthetic, models["int8"], settings).run()
    alone, latency = 1 / times["int8"], live["stages"]["latency"]["p50_ms"]
    print(f"webcam, frames of 640x480, model at 256x256, threads of the model: {threads}")
    for name, value in times.items():
        print(f"  {name:<10} {1e3 * value:.2f} ms, {value / times['int8']:.2f} x int8")
    print("  (2 x int8 or more is wanted of deeplabv3)")
    print(f"  {report['fps']:.1f} fps, alone {alone:.1f}, ratio {report['fps'] / alone:.2f} (0.9 is wanted)")
    print(
        f"  grab to screen {latency:.1f} ms (at most {1e3 * (times['int8'] + 1 / live['fps']):.1f} is wanted)"
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    webcam_speed()
