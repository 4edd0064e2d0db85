"""What is measured against what. Each function prepares its work and returns a function that does it once.

Packages of peers that are not in this environment are looked for in the folders of KSEG_PARITY_PACKAGES too. The
reference models are those of ../shared/reference_models beside the checkout, or of KSEG_REFERENCE_MODELS.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers import channels_last, peer, torch_ready

TOOLS = Path(__file__).resolve().parents[1]
BESIDE = TOOLS.parents[1] / "shared"
Work = Callable[[], object]
BATCH, CROP, CLASSES, IMAGE = 8, (256, 352), 11, (360, 480)
THREADS = 2


def noise(batch: int, size: tuple[int, int], classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, *size, 3)).astype("float32")
    return images, rng.integers(0, classes, (batch, *size)).astype("int64")


def _deeplab():
    import kseg

    return kseg.models.build("deeplabv3plus_efficientnetlite0", CLASSES)


def step_kseg(remat: int = 0) -> Work:
    import kseg

    kseg.training.memory.keep_freed_memory()
    recipe = kseg.training.Recipe(remat="all" if remat else None)
    model = kseg.training.objective_of(_deeplab(), recipe).model
    model.compile(kseg.training.AdamW(1e-3), kseg.losses.CrossEntropy(), metrics=[], jit_compile=False)
    images, labels = noise(BATCH, CROP)
    return lambda: model.train_on_batch(images, labels)


def step_torch() -> Work:
    torch, model = _deeplab_in_torch()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    loss = torch.nn.CrossEntropyLoss(ignore_index=255)
    images, labels = noise(BATCH, CROP)
    images, labels = channels_last(torch, images), torch.from_numpy(labels)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        optimizer.step()

    return step


def inference_kseg() -> Work:
    return predicting(_deeplab(), noise(1, IMAGE)[0])


def predicting(model, images: np.ndarray) -> Work:
    """A model's logits as `Predictor` computes them, with its batch normalisations folded."""
    import tensorflow as tf

    from kseg.inference.folding import folded_call

    graph = tf.function(lambda x: folded_call(model, x), autograph=False)
    images = tf.constant(images)
    return lambda: np.asarray(memoryview(graph(images)))  # as Predictor does: .numpy() is a second copy


def inference_torch() -> Work:
    torch, model = _deeplab_in_torch()
    model.eval()
    images = channels_last(torch, noise(1, (368, 480))[0])  # it takes multiples of 16 only

    def infer() -> object:
        with torch.inference_mode():
            return model(images)

    return infer


def _deeplab_in_torch():
    torch, smp = torch_ready(), peer("segmentation_models_pytorch")
    model = smp.DeepLabV3Plus("tu-tf_efficientnet_lite0", encoder_weights=None, classes=CLASSES)
    return torch, model.to(memory_format=torch.channels_last)


def unpooling_kseg() -> Work:
    from benchmark_unpooling import _there_and_back

    import kseg

    pool, unpool = kseg.layers.MaxPoolingWithArgmax2D(2), kseg.layers.MaxUnpooling2D(2)
    return ten_times(_there_and_back(lambda x: unpool(pool(x)), _map()))


def unpooling_torch() -> Work:
    torch_ready()
    from benchmark_unpooling import _there_and_back_in_torch

    return ten_times(_there_and_back_in_torch(_map()))


def ten_times(work: Work) -> Work:
    """Ten in a row: one of a few milliseconds is short beside waking threads that slept in the other side's turn."""

    def run() -> None:
        for _ in range(10):
            work()

    return run


def _map() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 112, 112, 64)).astype("float32")


def crf_kseg() -> Work:
    from benchmark_crf import ITERATIONS, photograph, probabilities

    import kseg

    crf, image, soft = (
        kseg.inference.DenseCRF(iterations=ITERATIONS),
        photograph(375, 500),
        probabilities(375, 500),
    )
    return lambda: crf(image, soft)


def crf_pydensecrf() -> Work:
    peer("pydensecrf.densecrf")
    from benchmark_crf import photograph, probabilities, reference

    image, soft = photograph(375, 500), probabilities(375, 500)
    return lambda: reference(image, soft)


def people_int8() -> Work:
    return _litert(_preset("people_int8.tflite"))


def people_float32() -> Work:
    return _litert(_exported("people", (256, 256)))


def camvid_int8() -> Work:
    return _litert(_preset("camvid_int8.tflite"))


def camvid_float32() -> Work:
    return _litert(_exported("camvid", IMAGE))


def selfie() -> Work:
    return _litert(_reference("selfie_segmentation.tflite"))


def deeplabv3() -> Work:
    return _litert(_reference("deeplabv3_mnv2_pascal_quant.tflite"))


def _preset(name: str) -> Path:
    import kseg

    return Path(kseg.__file__).parent / "models" / "presets" / name


def _exported(preset: str, size: tuple[int, int]) -> Path:
    """The preset as a float32 file, kept for the life of this process."""
    import atexit
    import tempfile

    import kseg

    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "float32.tflite"
    kseg.export.tflite(kseg.models.from_preset(preset), path, size=size)
    return path


def _reference(name: str) -> Path:
    path = Path(os.environ.get("KSEG_REFERENCE_MODELS", BESIDE / "reference_models")) / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is not there (KSEG_REFERENCE_MODELS)")
    return path


def _litert(path: Path) -> Work:
    """Twenty images through a file, as a camera gives them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    image = np.random.default_rng(0).uniform(0, 255, given["shape"])
    interpreter.set_tensor(given["index"], image.astype(given["dtype"]))

    def frames() -> None:
        for _ in range(20):
            interpreter.invoke()

    return frames


def predict_command() -> Work:
    """A photo's mask by the preset, the whole command."""
    import tempfile

    photo = _preset("people.json").parents[2] / "data" / "samples"
    photo = next(iter(sorted(photo.glob("*.jpg"))))
    out = tempfile.mkdtemp()
    return lambda: _command("predict", str(photo), "--model", "people", "--out", out)


def import_tensorflow() -> Work:
    return lambda: subprocess.run(
        [sys.executable, "-c", "import tensorflow"], check=True, stderr=subprocess.DEVNULL
    )


def webcam_mistake() -> Work:
    def mistake() -> None:
        code = _command("webcam", "--source", "no_such_file.mp4", "--headless", check=False)
        if code != 2:
            raise RuntimeError(f"expected exit code 2, got {code}")

    return mistake


def _command(*words: str, check: bool = True) -> int:
    command = [sys.executable, "-m", "kseg", *words]
    done = subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode


def pspnet_step_kseg(remat: int = 0) -> Work:
    from benchmark_pspnet import BATCH, CLASSES, SIZE, kseg_step

    import kseg

    recipe = kseg.training.Recipe(
        auxiliary_weight=0.4, size=SIZE, batch_size=BATCH, remat="all" if remat else None
    )
    return kseg_step(kseg.models.build("pspnet_resnet50", CLASSES), recipe, metric=False)


def pspnet_step_torch() -> Work:
    torch, images, labels, network, module = _pspnet_in_torch()
    return module.training_step(network, images, torch.from_numpy(labels))


def pspnet_inference_kseg() -> Work:
    from benchmark_pspnet import CLASSES, batch

    import kseg

    return predicting(kseg.models.build("pspnet_resnet50", CLASSES), batch()[0])


def pspnet_inference_torch() -> Work:
    torch, images, _, network, _ = _pspnet_in_torch()
    network.eval()

    def infer() -> object:
        with torch.inference_mode():
            return network(images)

    return infer


def _pspnet_in_torch():
    torch = torch_ready()
    from benchmark_pspnet import CLASSES, batch
    from pspnet import pspnet_in_torch

    images, labels = batch()
    network = pspnet_in_torch.PSPNet(CLASSES).to(memory_format=torch.channels_last)
    return torch, channels_last(torch, images), labels, network, pspnet_in_torch
